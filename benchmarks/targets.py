"""How near to their targets files come: `python -m hqcodec.benchmarks.targets DIR [--out FILE]`.

At the root of the repository it brings the README's table up to date too.

Every picture is compressed to every rate, written, and decoded from what was written. `miss` is
how far below the target the file is, as a share of it; seconds are of the whole of `compress`.
"""

import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

import hqcodec
from hqcodec import container
from hqcodec.benchmarks.metrics import psnr, rmse
from hqcodec.benchmarks.pictures import find_pictures, load_pixels
from hqcodec.benchmarks.report import markdown, replace_block
from hqcodec.benchmarks.results import SCHEMA, environment, write_result
from hqcodec.benchmarks.script import run
from hqcodec.models.base import Model

JSON = Path("benchmarks/targets.json")
README = Path("README.md")
BLOCK = "targets"
RATES = [0.15, 0.3, 0.6]  # bits a pixel: low, middling, high for the photo model


def one_file(picture: Path, bpp: float, model: Model, target: Path) -> dict[str, Any]:
    """The record of one picture at one rate, by way of the file `target`."""
    x = load_pixels(picture)
    start = perf_counter()
    blob = hqcodec.compress(Image.fromarray(x), model, target=hqcodec.Target(bpp=bpp))
    seconds = perf_counter() - start
    target.write_bytes(blob)
    size = target.stat().st_size
    found = 8 * size / (x.shape[0] * x.shape[1])
    return {
        "picture": picture.name,
        "target_bpp": bpp,
        "file_bytes": size,
        "bpp": found,
        "miss": 1 - found / bpp,
        "layers": len(container.read(blob).payloads),
        "psnr": psnr(rmse(x, np.asarray(hqcodec.decompress(target.read_bytes(), model)))),
        "encode_seconds": seconds,
    }


def means(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each rate: mean and worst miss, files over it, mean PSNR and seconds."""
    found = []
    for bpp in dict.fromkeys(record["target_bpp"] for record in records):
        group = [record for record in records if record["target_bpp"] == bpp]
        misses = [record["miss"] for record in group]
        found.append(
            {
                "target_bpp": bpp,
                "pictures": len(group),
                "over": sum(miss < 0 for miss in misses),
                "mean_miss": sum(misses) / len(group),
                "worst_miss": max(misses, key=abs),
                "psnr": sum(record["psnr"] for record in group) / len(group),
                "encode_seconds": sum(record["encode_seconds"] for record in group) / len(group),
            }
        )
    return found


def targets(
    folder: Annotated[Path, typer.Argument(help="Folder with the pictures.")],
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    bpp: Annotated[list[float], typer.Option(help="Target; give it again for more.")] = RATES,
) -> None:
    """Compress every picture to every rate and see what came of it."""
    loaded = hqcodec.load(model)
    with tempfile.TemporaryDirectory() as place:
        records = [
            one_file(picture, rate, loaded, Path(place, "a.hqc"))
            for picture in find_pictures(folder)
            for rate in bpp
        ]
    settings = {"model": loaded.name, "weights": loaded.hash[:4].hex(), "target_bpp": bpp}
    found = environment(torch.get_num_threads())
    rows = means(records)
    result = {"schema": SCHEMA, **settings, **found, "means": rows, "records": records}
    write_result(out, result)
    if out == JSON and README.is_file():
        replace_block(README, BLOCK, table(result))
    typer.echo(table(result))


def table(result: dict[str, Any]) -> str:
    """The README's table."""
    heads = ["target bpp", "files over", "mean miss", "worst miss", "PSNR", "encode s"]
    rows = [
        [
            f"{row['target_bpp']:g}", f"{row['over']} of {row['pictures']}",
            f"{100 * row['mean_miss']:.2f} %", f"{100 * row['worst_miss']:.2f} %",
            f"{row['psnr']:.2f}", f"{row['encode_seconds']:.1f}",
        ]
        for row in result["means"]
    ]  # fmt: skip
    about = (
        f"Miss is how far below its target a whole file is. Weights `{result['weights']}`, "
        f"{result['machine']['torch_threads']} torch threads."
    )
    return f"{markdown(heads, rows)}\n\n{about}"


if __name__ == "__main__":
    run(targets)
