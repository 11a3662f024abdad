"""What searching longer brings: `python -m hqcodec.benchmarks.effort DIR [--pictures 6]`.

Whole files at every effort and number of layers, decoded again; and the bits that each effort takes
more than effort 1 at equal quality.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

import hqcodec
from hqcodec.benchmarks.baselines import Codec, ours
from hqcodec.benchmarks.curves import bd_rate, decibels
from hqcodec.benchmarks.metrics import make_judge
from hqcodec.benchmarks.report import curve
from hqcodec.benchmarks.results import Result, write_result
from hqcodec.benchmarks.sweep import find_pictures, sweep
from hqcodec.errors import HqcodecError
from hqcodec.limits import EFFORTS
from hqcodec.models.base import Model


def at_effort(effort: int, codec: Codec, model: Model) -> Codec:
    """The codec of a model, at another effort."""

    def encode(picture: Image.Image, layers: int) -> bytes:
        return hqcodec.compress(picture, model=model, layers=layers, effort=effort)

    return replace(codec, name=f"effort {effort}", encode=encode)


def gains(result: Result, metric: str) -> dict[str, float | None]:
    """BD-rate in percent of each effort against the first, over the means; None: not measured."""
    curves = [
        [(bpp, decibels(metric, value)) for bpp, value in curve(result, name, metric)]
        for name in result["codecs"]
    ]
    return {n: bd_rate(c, curves[0]) for n, c in zip(result["codecs"], curves, strict=True)}


def row(mean: dict[str, Any]) -> str:
    """A line of the table."""
    lpips = "-" if mean["lpips"] is None else f"{mean['lpips']:.4f}"
    return (
        f"{mean['codec']}  {mean['setting']:6}  {mean['bpp']:6.4f}  {mean['psnr']:6.3f}  "
        f"{lpips:>6}  {mean['encode_seconds']:8.2f}"
    )


def effort(
    folder: Annotated[Path, typer.Argument(help="Folder with the pictures.")],
    pictures: Annotated[int | None, typer.Option(help="The first so many; by default all.")] = None,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    lpips: Annotated[Path | None, typer.Option(help="LPIPS weights: a file or folder.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/effort.json"),
) -> None:
    """Measure rate, quality and seconds of every effort."""
    codec, loaded = ours(model), hqcodec.load(model)
    codecs = [at_effort(n, codec, loaded) for n in range(1, EFFORTS + 1)]
    judge = make_judge(("rmse", "psnr", "lpips"), weights=lpips)
    result = sweep(find_pictures(folder, pictures), codecs, judge)
    result["bd_rate"] = {metric: gains(result, metric) for metric in ("psnr", "lpips")}
    write_result(out, result)
    typer.echo("effort    layers     bpp    PSNR   LPIPS  encode s")
    for mean in result["means"]:
        typer.echo(row(mean))
    for metric, found in result["bd_rate"].items():
        values = (f"{k} {v:+.2f} %" for k, v in found.items() if v is not None)
        typer.echo(f"BD-rate by {metric}: {', '.join(values) or 'not measured'}")


if __name__ == "__main__":
    try:
        typer.run(effort)
    except HqcodecError as error:
        raise SystemExit(f"effort: {error}") from error
