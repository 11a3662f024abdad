"""hqcodec bench: rate and quality of a model on pictures or sounds, against other codecs."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hqcodec.cli.bench_sound import SoundOptions, bench_sound

# torch, Pillow and matplotlib are imported inside: `hqcodec --help` must not wait for them.


def bench(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with pictures or sounds.")],
    model: Annotated[
        str | None,
        typer.Option(help="Name or path of a model; by default photo, or sound for sounds."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="picture or sound, if the folder has both; sounds may lie in folders."),
    ] = None,
    codecs: Annotated[
        str,
        typer.Option(
            help="Some of jpeg, jpeg444, webp, avif, jxl, jpeg2000, for sounds of opus, mp3, "
            "vorbis; 'all' that are installed; or 'none'."
        ),
    ] = "all",
    codec_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="A further codec: what the function returns, see benchmarks/baselines.py and "
            "sound_baselines.py. May be given again.",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Some of rmse, psnr, ssim, ms_ssim, lpips, lpips_squeeze, for sounds of mel, "
            "stft, si_sdr, pesq, stoi, visqol; by default all but visqol, which is slow."
        ),
    ] = None,
    lpips: Annotated[
        Path | None,
        typer.Option(help="LPIPS weights, a file or folder; else torch.hub's cache is searched."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take the first N pictures, or sounds of each kind.")
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=1, help="Points at a time; seconds are honest with 1 only."
        ),
    ] = 1,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write all records as JSON. What is finished is kept in FILE.partial until then, "
            "and the same command goes on from there.",
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write all records as CSV.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, whatever FILE.partial holds.")
    ] = False,
    memory: Annotated[
        bool, typer.Option(help="Measure each codec's peak memory, in processes of their own.")
    ] = True,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves as PNG.")] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--report", help="Write one HTML file with curves, tables and pictures to compare."
        ),
    ] = None,
    page_pictures: Annotated[
        int, typer.Option("--report-pictures", min=0, help="How many pictures the report shows.")
    ] = 4,
    published: Annotated[
        Path | None,
        typer.Option(help="JSON {codec: [[bpp, psnr, ms-ssim], ...]} to show in the report."),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option("--from", help="Take the JSON of an earlier run instead of measuring."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the JSON instead of tables.")
    ] = False,
) -> None:
    """Measure a model on pictures or sounds: every number is of a whole file decoded again.

    A picture's files are decoded by each of the model's decoders; each has a curve of its own.
    Sounds are told by kind, which is the folder that they lie in below DIR; --lpips, --jobs,
    --fresh, --report and --published are for pictures.
    """
    from rich.console import Console

    from hqcodec.benchmarks import report
    from hqcodec.benchmarks.content import kind_of, read_result_of
    from hqcodec.benchmarks.memory import memory_lines
    from hqcodec.benchmarks.metrics import NAMES
    from hqcodec.benchmarks.page import write_page
    from hqcodec.benchmarks.pictures import find_pictures
    from hqcodec.benchmarks.plan import Outputs, Plan, chosen, measure
    from hqcodec.benchmarks.published import read_published
    from hqcodec.benchmarks.results import to_json
    from hqcodec.models.zoo import DEFAULTS

    for path in (output, csv, plot, page):
        check_target(path)
    named = None if metrics is None else split(metrics)
    content = kind_of(folder, kind)
    if content == "sound":
        given = {"--lpips": lpips, "--fresh": fresh or None, "--report": page}
        refuse({**given, "--published": published, "--jobs": None if jobs == 1 else jobs})
        bench_sound(
            folder,
            SoundOptions(
                model=model or DEFAULTS[content],
                codecs=split(codecs),
                joined=codec_from or (),
                metrics=named,
                limit=limit,
                memory=memory,
                output=output,
                csv=csv,
                plot=plot,
                measured=measured,
                as_json=as_json,
            ),
        )
        return
    further = [] if published is None else read_published(published)
    known = None if measured is None else read_result_of(content, measured)
    draw = None if plot is None else load_plot()
    pictures = find_pictures(folder, limit)
    progress = Console(stderr=True)
    plan = Plan(
        model=model or DEFAULTS[content],
        codecs=chosen(split(codecs), progress),
        joined=tuple(codec_from or ()),
        metrics=NAMES if named is None else tuple(named),
        lpips=lpips,
    )
    outputs = Outputs(output, csv)
    result = known or measure(
        plan, pictures, outputs, progress, jobs=jobs, fresh=fresh, memory=memory
    )
    if known is not None:
        outputs.write(known)
        plan = plan.within(known)
    if page is not None:
        bench = plan.bench()
        codecs_shown = list(bench.codecs.values())
        write_page(page, result, pictures, codecs_shown, bench.judge, page_pictures, further)
    if plot is not None and draw is not None:
        draw(result, plot)
    if as_json:
        typer.echo(to_json(result), nl=False)
        return
    console = Console()
    console.print(report.rich_table(result))
    for curve in report.ours(result) if report.baselines(result) else ():
        console.print(report.bd_table(result, curve))
    for line in memory_lines(result.get("memory", {})):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for metric, reasons in result["notes"].items():
        console.print(f"no {metric}: {'; '.join(reasons)}", markup=False, highlight=False)


def split(names: str) -> list[str]:
    """The names of a list with commas, once each, in order."""
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def refuse(options: dict[str, object]) -> None:
    """Raise HqcodecError for an option that was given, though only pictures have it."""
    from hqcodec.errors import HqcodecError

    for name, value in options.items():
        if value is not None:
            raise HqcodecError(f"{name} is for pictures; sounds have no such thing")


def check_target(path: Path | None) -> None:
    """Find out before the long run, not after it, that a result has no place to go."""
    from hqcodec.errors import HqcodecError

    if path is not None and not path.parent.is_dir():
        raise HqcodecError(f"no folder {path.parent} to write {path.name} to; make it first")


def load_plot() -> Callable[[dict[str, Any], Path], None]:
    """The function that draws, if matplotlib is there; better to know before the long run."""
    from hqcodec.errors import HqcodecError

    try:
        from hqcodec.benchmarks.plot import plot
    except ImportError as error:
        raise HqcodecError(f"--plot: {error}; pip install 'hqcodec[bench]'") from error
    return plot
