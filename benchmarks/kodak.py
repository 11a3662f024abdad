"""Regenerate benchmarks/kodak.json, benchmarks/kodak.png and the README's tables.

Run from the root of the repository:  python -m hqcodec.benchmarks.kodak DIR
DIR holds the 24 pictures of the Kodak suite; --again draws and writes from the JSON that is there.
"""

from pathlib import Path
from typing import Annotated

import typer

from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError

JSON = Path("benchmarks/kodak.json")
PNG = Path("benchmarks/kodak.png")
README = Path("README.md")


def kodak(
    folder: Annotated[Path | None, typer.Argument(help="Folder with the pictures.")] = None,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    lpips: Annotated[Path | None, typer.Option(help="LPIPS weights: a file or folder.")] = None,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", min=1, help="Points at a time; more than 1 blurs seconds."),
    ] = 1,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do not go on with a stopped run.")
    ] = False,
    again: Annotated[bool, typer.Option(help="Take the JSON that is there.")] = False,
) -> None:
    """Measure the Kodak suite and bring the repository's numbers up to date."""
    from hqcodec.benchmarks.plot import plot
    from hqcodec.benchmarks.report import update_readme
    from hqcodec.benchmarks.results import read_result

    if not README.is_file() or not JSON.parent.is_dir():
        raise HqcodecError(f"no {README} and {JSON.parent}/ here; run at the repository's root")
    if not again:
        from rich.console import Console

        from hqcodec.benchmarks.baselines import BASELINES
        from hqcodec.benchmarks.pictures import find_pictures
        from hqcodec.benchmarks.plan import Outputs, Plan, measure

        if folder is None:
            raise HqcodecError("no folder; name the one with the Kodak suite, or give --again")
        plan = Plan(model=model, codecs=tuple(BASELINES), lpips=lpips)
        outputs, progress = Outputs(JSON), Console(stderr=True)
        measure(plan, find_pictures(folder), outputs, progress, jobs=jobs, fresh=fresh)
    result = read_result(JSON)
    plot(result, PNG)
    update_readme(README, result)
    typer.echo(f"wrote {JSON}, {PNG} and the tables of {README}")


if __name__ == "__main__":
    run(kodak)
