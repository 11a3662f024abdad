"""hqcodec bench: rate and quality of a model on a folder of pictures, against other codecs."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

# torch, Pillow and matplotlib are imported inside: `hqcodec --help` must not wait for them.


def bench(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with pictures.")],
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    codecs: Annotated[
        str, typer.Option(help="Codecs to compare with, or 'none'.")
    ] = "jpeg,webp,avif",
    metrics: Annotated[
        str, typer.Option(help="Some of rmse, psnr, ms_ssim, lpips.")
    ] = "rmse,psnr,ms_ssim,lpips",
    lpips: Annotated[
        Path | None,
        typer.Option(help="LPIPS weights, a file or folder; else torch.hub's cache is searched."),
    ] = None,
    lpips_net: Annotated[str, typer.Option(help="LPIPS backbone: alex or squeeze.")] = "alex",
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first N pictures.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all records as JSON.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves as PNG.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the JSON instead of tables.")
    ] = False,
) -> None:
    """Measure a model on pictures: every number is of a whole file that was decoded again.

    The same files are decoded by each of the model's decoders; each has a curve of its own.
    """
    from rich.console import Console

    from hqcodec.benchmarks import report
    from hqcodec.benchmarks.baselines import baseline, ours
    from hqcodec.benchmarks.metrics import make_judge
    from hqcodec.benchmarks.results import to_json, write_result
    from hqcodec.benchmarks.sweep import find_pictures, sweep

    check_target(output)
    check_target(plot)
    draw = None if plot is None else load_plot()
    pictures = find_pictures(folder, limit)
    others = [baseline(name) for name in split(codecs) if name != "none"]
    judge = make_judge(split(metrics), lpips_net, lpips)
    result = sweep(pictures, [ours(model), *others], judge)
    if output is not None:
        write_result(output, result)
    if plot is not None and draw is not None:
        draw(result, plot)
    if as_json:
        typer.echo(to_json(result), nl=False)
        return
    console = Console()
    console.print(report.rich_table(result))
    for curve in report.ours(result) if others else ():
        console.print(report.bd_table(result, curve))
    for metric, reasons in result["notes"].items():
        console.print(f"no {metric}: {'; '.join(reasons)}", markup=False, highlight=False)


def split(names: str) -> list[str]:
    """The names of a list with commas, once each, in order."""
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


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
