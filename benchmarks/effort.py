"""What searching longer brings: `python -m hqcodec.benchmarks.effort DIR [--pictures 6]`.

Whole files at every effort and number of layers, decoded again by every decoder; and the bits that
each effort takes more than effort 1 at equal quality by the same decoder.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

import hqcodec
from hqcodec.benchmarks.baselines import Codec, ours
from hqcodec.benchmarks.curves import bd_rate, decibels
from hqcodec.benchmarks.metrics import make_judge
from hqcodec.benchmarks.pictures import find_pictures
from hqcodec.benchmarks.report import curve, markdown, percent, pictures, replace_block
from hqcodec.benchmarks.results import Result, write_result
from hqcodec.benchmarks.script import run
from hqcodec.benchmarks.sweep import sweep
from hqcodec.limits import EFFORTS
from hqcodec.models.base import Model

JSON = Path("benchmarks/effort.json")
README = Path("README.md")
BLOCK = "effort"
QUALITIES = {"psnr": "PSNR", "lpips": "LPIPS"}


def at_effort(effort: int, codec: Codec, model: Model) -> Codec:
    """The codec of a model, at another effort."""

    def encode(picture: Image.Image, layers: int) -> bytes:
        return hqcodec.compress(picture, model=model, layers=layers, effort=effort)

    others = {
        name.replace(codec.name, f"effort {effort}", 1): f for name, f in codec.others.items()
    }
    return replace(codec, name=f"effort {effort}", encode=encode, others=others)


def gains(result: Result, metric: str) -> dict[str, float | None]:
    """BD-rate in percent of each curve against effort 1's by the same decoder; None: not measured.

    Over the means.
    """
    curves = {
        name: [(bpp, decibels(metric, value)) for bpp, value in curve(result, name, metric)]
        for name in result["codecs"]
    }
    return {name: bd_rate(found, curves[first(name)]) for name, found in curves.items()}


def first(name: str) -> str:
    """What a curve is compared with: "effort 3 (perceptual)" -> "effort 1 (perceptual)"."""
    _, _, decoder = name.partition(" (")
    return f"effort 1 ({decoder}" if decoder else "effort 1"


def effort(
    folder: Annotated[Path, typer.Argument(help="Folder with the pictures.")],
    limit: Annotated[
        int | None, typer.Option("--pictures", help="The first so many; by default all.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    lpips: Annotated[Path | None, typer.Option(help="LPIPS weights: a file or folder.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Measure rate, quality and seconds of every effort."""
    codec, loaded = ours(model), hqcodec.load(model)
    codecs = [at_effort(n, codec, loaded) for n in range(1, EFFORTS + 1)]
    judge = make_judge(("rmse", "psnr", "lpips"), weights=lpips)
    result = sweep(find_pictures(folder, limit), codecs, judge)
    result["bd_rate"] = {metric: gains(result, metric) for metric in QUALITIES}
    write_result(out, result)
    if out == JSON and README.is_file():
        replace_block(README, BLOCK, table(result))
    typer.echo(table(result))


def table(result: Result) -> str:
    """The README's table: bits at equal quality, and seconds at some numbers of layers."""
    seconds = {(m["codec"], m["setting"]): m["encode_seconds"] for m in result["means"]}
    shown = [layers for layers in (1, 4, 6) if ("effort 1", layers) in seconds]
    further = [name.removeprefix("effort 1") for name in result["codecs"] if first(name) == name]
    columns = [(label, metric, end) for metric, label in QUALITIES.items() for end in further]
    rows = []
    for name in (name for name in result["codecs"] if name.split(" (")[0] == name):
        found = [
            percent(result["bd_rate"][metric][name + end]) if name != "effort 1" else "0"
            for _, metric, end in columns
        ]
        rows.append([name, *found, *(f"{seconds[name, layers]:.1f}" for layers in shown)])
    heads = ["", *(f"bits at equal {label}{end}" for label, _, end in columns)]
    heads += [f"encode s, {layers} layers" for layers in shown]
    about = f"Means over {pictures(result)}, {result['machine']['torch_threads']} torch threads."
    return f"{markdown(heads, rows)}\n\n{about}"


if __name__ == "__main__":
    run(effort)
