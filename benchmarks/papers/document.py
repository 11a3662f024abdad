"""Write the tables and figures of benchmarks/papers/README.md from the JSON that is there.

Run from the root of the repository:

    python -m hqcodec.benchmarks.papers.document

A paper whose JSON is not there keeps a line that says so.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from hqcodec.benchmarks.papers import (
    hd_vae_report,
    hd_vae_scans,
    hq_vae_report,
    hq_vae_sound_report,
    hqa_report,
    hr_vqvae_report,
    rrvq_bitsback,
    rrvq_ratio,
    rrvq_vae_report,
)
from hqcodec.benchmarks.report import replace_block
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError

FOLDER = Path("benchmarks/papers")


class Report(NamedTuple):
    """What is made of a paper's JSON."""

    table: Callable[[Result], str]
    plot: Callable[[Result, Path], None] | None  # None: a table, and no figure of its own


# Name of the JSON, the block and the PNG -> what makes them; a script of this name trains.
REPORTS = {
    "hd_vae": Report(hd_vae_report.table, hd_vae_report.plot),
    "hd_vae_scans": Report(hd_vae_scans.table, hd_vae_scans.plot),
    "hq_vae": Report(hq_vae_report.table, hq_vae_report.plot),
    "hq_vae_sound": Report(hq_vae_sound_report.table, hq_vae_sound_report.plot),
    "hqa": Report(hqa_report.table, hqa_report.plot),
    "hr_vqvae": Report(hr_vqvae_report.table, hr_vqvae_report.plot),
    "rrvq_vae": Report(rrvq_vae_report.table, rrvq_vae_report.plot),
    "rrvq_ratio": Report(rrvq_ratio.table, rrvq_ratio.plot),
    "rrvq_bitsback": Report(rrvq_bitsback.table, None),
}


def block(folder: Path, name: str) -> str:
    """What stands between the markers of a paper; the PNG is named where there is a JSON."""
    source = folder / f"{name}.json"
    if not source.exists():
        return (
            f"Not trained yet: `python -m hqcodec.benchmarks.papers.{name} --help`, then "
            "`python -m hqcodec.benchmarks.papers.document`."
        )
    table = REPORTS[name].table(read_result(source))
    return table if REPORTS[name].plot is None else f"{table}\n\n![Curves of {name}]({name}.png)"


def document(
    folder: Annotated[Path, typer.Option(help="Where README.md and the JSONs are.")] = FOLDER,
) -> None:
    """Bring tables and figures of the document up to date."""
    if not (folder / "README.md").is_file():
        raise HqcodecError(f"no README.md in {folder}; run at the repository's root")
    for name, report in REPORTS.items():
        replace_block(folder / "README.md", name, block(folder, name))
        source = folder / f"{name}.json"
        if source.exists() and report.plot is not None:
            report.plot(read_result(source), source.with_suffix(".png"))
        typer.echo(f"{name}: {'written' if source.exists() else 'no JSON yet'}")


if __name__ == "__main__":
    run(document)
