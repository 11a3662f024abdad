"""RRVQ-VAE's codes of 64x64 photographs beside JPEG at the same bits (App. F, figure F.9).

Run from the root of the repository, with a folder of photographs that no model was trained on:

    python -m hqcodec.benchmarks.papers.rrvq_ratio PICTURES --model WEIGHTS [--lpips WEIGHTS]

The middle square of each photograph is shrunk to 64x64. The codes of all layers take 2,275 bits as
they are, a ratio of 43; coded, they take fewer. JPEG has either budget for its entropy-coded data
alone (see jpeg.py); its header and tables would take more than that by themselves. The photographs
are also coded whole, to see how near a file comes to the cross-entropy under its integer prior.
"""

from collections.abc import Sequence
from math import log2
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

import hqcodec
from hqcodec import container
from hqcodec.benchmarks import inline_png
from hqcodec.benchmarks.jpeg import Jpeg, best_within, ladder
from hqcodec.benchmarks.metrics import Pixels, rmse, to_tensor
from hqcodec.benchmarks.montage import Cell, sheet
from hqcodec.benchmarks.papers.rates import ideal
from hqcodec.benchmarks.pictures import find_pictures, load_pixels
from hqcodec.benchmarks.report import markdown
from hqcodec.benchmarks.results import SCHEMA, Result, environment, write_result
from hqcodec.benchmarks.script import run
from hqcodec.benchmarks.small import find_lpips, squares
from hqcodec.models import zoo
from hqcodec.models.base import Model
from hqcodec.models.lpips import Lpips

JSON = Path("benchmarks/papers/rrvq_ratio.json")
SIDE = 64
MAGNIFY = 3
OURS, RAW, CODED = "RRVQ-VAE", "JPEG, bits of the codes", "JPEG, bits of our payload"


@torch.no_grad()
def compare(x: Pixels, model: Model, lpips: Lpips | None) -> tuple[dict[str, Any], list[Cell]]:
    """One picture x [H,W,3]: figures by method, and cells of the montage."""
    picture = Image.fromarray(x)
    blob = hqcodec.compress(picture, model)
    shown = hqcodec.decompress(blob, model)
    assert isinstance(shown, Image.Image)
    payload = sum(len(part) for part in container.read(blob).payloads)
    raw = raw_bits(model, (x.shape[0], x.shape[1]))
    files = ladder(picture)
    found: dict[str, Any] = {}
    cells = [Cell("original", picture)]

    def add(name: str, bits: float, y: Image.Image, over: bool) -> None:
        pixels = np.asarray(y)
        with torch.inference_mode():
            distance = None if lpips is None else float(lpips(to_tensor(x), to_tensor(pixels)))
        found[name] = {"bits": bits, "rmse": rmse(x, pixels), "lpips": distance, "over": over}
        cells.append(Cell(f"{name.partition(',')[0]}, {bits:,.0f} bits", y))

    add(OURS, 8 * payload, shown, False)
    found[OURS] |= {"raw_bits": raw, "file_bytes": len(blob)}
    for name, budget in ((RAW, int(raw / 8)), (CODED, payload)):
        jpeg, over = best_within(files, x, budget, _payload)
        add(name, 8 * jpeg.payload, jpeg.decode(), over)
    return found, cells


def raw_bits(model: Model, size: tuple[int, int]) -> float:
    """Bits of a picture's codes before entropy coding, for a picture of `size` (H, W)."""
    shapes = (model.code_shape(n, size) for n in range(len(model.layers)))
    pairs = zip(shapes, model.layers, strict=True)
    return float(sum(np.prod(shape) * log2(layer.codebook) for shape, layer in pairs))


@torch.no_grad()
def overhead(x: Pixels, model: Model) -> dict[str, float]:
    """A whole picture x [H,W,3]: bits of its payloads, and what the integer prior says they cost.

    coded_bits: the cross-entropy, -log2 of the probabilities of the codes under the tables.
    """
    blob = hqcodec.compress(Image.fromarray(x), model)
    payload = sum(len(part) for part in container.read(blob).payloads)
    codes = [layer[0] for layer in model.encode(to_tensor(x))]
    coded = sum(ideal(model, codes[:n], codes[n]) for n in range(len(codes)))
    return {"payload_bits": 8.0 * payload, "coded_bits": coded, "file_bytes": float(len(blob))}


def rrvq_ratio(
    pictures: Annotated[Path, typer.Argument(help="Folder of photographs.")],
    model: Annotated[str, typer.Option(help="Name, or weights file.")] = "rrvq-64",
    lpips: Annotated[Path | None, typer.Option(help="LPIPS weights: a file or folder.")] = None,
    limit: Annotated[int | None, typer.Option("--pictures", min=1, help="Only so many.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
    shown: Annotated[int, typer.Option(min=1, help="Pictures that the figure shows.")] = 8,
) -> None:
    """Measure small photographs beside JPEG at equal bits, and whole ones beside their bound."""
    m, judge = zoo.load(model), find_lpips(lpips, SIDE)
    rows, records = [], []
    for i, x in enumerate(squares(pictures, SIDE, limit)):
        found, cells = compare(x, m, judge)
        records.append(found)
        if i < shown:
            rows.append(cells)
    whole = []
    for path in find_pictures(pictures, limit):
        whole.append({"name": path.name, **overhead(load_pixels(path), m)})
        typer.echo(f"{path.name}: {_excess(whole[-1:]):+.2%} over the cross-entropy")
    result: Result = {
        "schema": SCHEMA,
        "what": "ratio 43",
        **environment(torch.get_num_threads()),
        "model": m.name,
        "lpips": judge and judge.net,
        "records": records,
        "whole": whole,
        "shown": inline_png.pack(sheet(rows, MAGNIFY)),
    }
    write_result(out, result)
    typer.echo(table(result))


def table(result: Result) -> str:
    """The block of the document."""
    rows = []
    for name in (OURS, RAW, CODED):
        found = [record[name] for record in result["records"]]
        bits = mean(one["bits"] for one in found)
        distances = [one["lpips"] for one in found]
        judged = None not in distances
        rows.append(
            [
                name,
                f"{bits:,.0f}",
                f"{24 * SIDE * SIDE / bits:.1f}",
                f"{mean(one['rmse'] for one in found):.2f}",
                f"{mean(distances):.3f}" if judged else "–",
                str(sum(one["over"] for one in found)),
            ]
        )
    ours = [record[OURS] for record in result["records"]]
    whole = result["whole"]
    heads = ["codec", "bits", "ratio", "RMSE", f"LPIPS ({result['lpips']})", "over"]
    return (
        f"{markdown(heads, rows)}\n\n"
        f"Means over {len(ours)} photographs of {SIDE}x{SIDE}, RMSE on 0..255. The codes of "
        f"`{result['model']}` take {ours[0]['raw_bits']:,.0f} bits as they are, a ratio of "
        f"{24 * SIDE * SIDE / ours[0]['raw_bits']:.1f}, and with their file's header "
        f"{mean(one['file_bytes'] for one in ours):.0f} bytes. Over: pictures whose smallest JPEG "
        f"takes more than that; it is counted. Coded whole, the same {len(whole)} photographs' "
        f"payloads are {_excess(whole):.2%} larger than the cross-entropy under the integer prior."
    )


def plot(result: Result, target: Path) -> None:
    """Write the figure that the JSON holds."""
    inline_png.unpack(result["shown"]).save(target, optimize=True)


def _excess(whole: Sequence[dict[str, Any]]) -> float:
    """Of the payloads over the cross-entropy, as a share."""
    payload, coded = (sum(float(w[key]) for w in whole) for key in ("payload_bits", "coded_bits"))
    return payload / coded - 1


def _payload(jpeg: Jpeg) -> int:
    return jpeg.payload


if __name__ == "__main__":
    run(rrvq_ratio)
