"""Small pictures, as papers on discrete autoencoders measure them, beside JPEG at equal bits.

    python -m hqcodec.benchmarks.small SOURCE --side 64 [--name NAME] [--lpips WEIGHTS]

SOURCE is a folder of photographs, of each of which the middle square is shrunk to SIDE pixels, or
one picture that is a sheet of tiles of SIDE pixels. Every number of layers is coded to a whole file
and decoded again. Beside it stands JPEG at no larger a payload (see jpeg.py), and JPEG as a file of
no more bytes; where JPEG cannot be so small, its smallest file stands there, and is counted.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

from hqcodec.benchmarks.baselines import Codec, ours
from hqcodec.benchmarks.jpeg import best_within, ladder
from hqcodec.benchmarks.metrics import Pixels, rmse, to_tensor
from hqcodec.benchmarks.montage import Cell, montage
from hqcodec.benchmarks.pictures import find_pictures, load_pixels
from hqcodec.benchmarks.report import markdown, replace_block, short
from hqcodec.benchmarks.results import SCHEMA, Result, environment, read_result, write_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError, UnknownModelError
from hqcodec.models import data
from hqcodec.models.lpips import SMALLEST, Lpips, load_lpips

JSON = Path("benchmarks/small.json")
README = Path("README.md")
BLOCK = "small"
PAYLOAD, FILE = "JPEG, equal payload", "JPEG, equal file"
MAGNIFIED = 128  # pixels a side of a picture in the montage


@dataclass(frozen=True)
class View:
    """One picture by one codec. over: a JPEG that costs more than ours, being the smallest."""

    codec: str
    layers: int
    payload_bytes: int
    file_bytes: int
    rmse: float
    lpips: float | None
    over: bool
    picture: Image.Image


def squares(source: Path, side: int, limit: int | None) -> list[Pixels]:
    """Pictures [side,side,3]: tiles of a sheet, or middles of photographs shrunk by averaging."""
    if source.is_file():
        return data.load(source, tile=side, held_out=0).train[:limit]
    found = []
    for path in find_pictures(source, limit):
        x = load_pixels(path)
        span = min(x.shape[:2])
        if span < side:
            raise HqcodecError(
                f"{path.name}: {x.shape[1]}x{x.shape[0]} pixels; it takes at least {side}"
            )
        top, left = ((n - span) // 2 for n in x.shape[:2])
        middle = Image.fromarray(x[top : top + span, left : left + span])
        found.append(np.asarray(middle.resize((side, side), Image.Resampling.BOX)))
    return found


def views(x: Pixels, codec: Codec, lpips: Lpips | None) -> Iterator[View]:
    """Pixels x [H,W,3] by every decoder at every number of layers, and JPEG beside each."""
    picture = Image.fromarray(x)
    files = ladder(picture)

    def view(
        name: str, layers: int, sizes: tuple[int, int], decoded: Image.Image, over: bool
    ) -> View:
        y = np.asarray(decoded)
        with torch.inference_mode():
            distance = None if lpips is None else float(lpips(to_tensor(x), to_tensor(y)))
        return View(name, layers, *sizes, rmse(x, y), distance, over, decoded)

    for layers in codec.settings:
        file = codec.encode(picture, layers)
        payload = codec.payload(file)
        assert payload is not None  # ours always knows
        for name, decode in codec.curves.items():
            yield view(name, layers, (payload, len(file)), decode(file), False)
        for name, budget, cost in (
            (PAYLOAD, payload, lambda f: f.payload),
            (FILE, len(file), lambda f: f.size),
        ):
            jpeg, over = best_within(files, x, budget, cost)
            yield view(name, layers, (jpeg.payload, jpeg.size), jpeg.decode(), over)


def means(found: Sequence[View], name: str) -> list[dict[str, Any]]:
    """A row for each number of layers and codec: means over the pictures, and how many are over."""
    groups: dict[tuple[int, str], list[View]] = {}
    for view in found:
        groups.setdefault((view.layers, view.codec), []).append(view)

    def row(layers: int, codec: str, group: list[View]) -> dict[str, Any]:
        count = len(group)
        distances = [view.lpips for view in group if view.lpips is not None]
        return {
            "set": name,
            "codec": codec,
            "layers": layers,
            "payload_bytes": sum(view.payload_bytes for view in group) / count,
            "file_bytes": sum(view.file_bytes for view in group) / count,
            "rmse": sum(view.rmse for view in group) / count,
            "lpips": sum(distances) / count if len(distances) == count else None,
            "over": sum(view.over for view in group),
        }

    return [row(*key, group) for key, group in groups.items()]


def cells(x: Pixels, found: Sequence[View]) -> list[list[Cell]]:
    """Rows of the montage for one picture: a row a codec, the original before the first."""
    rows: dict[str, list[Cell]] = {}
    for view in found:
        if view.codec != FILE:
            title = f"{short(view.codec).partition(',')[0]}, {8 * view.payload_bytes:,} bits"
            cell = Cell(title + " (over)" * view.over, view.picture)
            rows.setdefault(view.codec, []).append(cell)
    empty = Cell("", None)
    first = [Cell("original", Image.fromarray(x)), *[empty] * (len(rows) - 1)]
    return [[start, *row] for start, row in zip(first, rows.values(), strict=True)]


def small(
    source: Annotated[Path, typer.Argument(help="Folder of photographs, or a sheet of tiles.")],
    side: Annotated[int, typer.Option(min=1, help="Pixels a side of the small pictures.")] = 64,
    name: Annotated[str, typer.Option(help="What to call them; by default as SOURCE.")] = "",
    limit: Annotated[int | None, typer.Option("--pictures", min=1, help="Only so many.")] = None,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    lpips: Annotated[Path | None, typer.Option(help="LPIPS weights: a file or folder.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write; its other sets stay.")] = JSON,
    png: Annotated[Path | None, typer.Option("--montage", help="PNG to draw.")] = None,
    shown: Annotated[int, typer.Option(min=1, help="Pictures in the montage.")] = 3,
) -> None:
    """Measure small pictures; at the root of the repository, update the README's tables too."""
    codec, judge = ours(model), find_lpips(lpips, side)
    pixels = squares(source, side, limit)
    label = f"{name or source.stem}, {side}x{side}"
    found: list[View] = []
    rows: list[list[Cell]] = []
    for i, x in enumerate(pixels):
        seen = list(views(x, codec, judge))
        if i < shown:
            rows += cells(x, seen)
        found += seen
        if (i + 1) % 50 == 0:
            typer.echo(f"{i + 1} of {len(pixels)} pictures")
    about = {
        "name": label,
        "side": side,
        "pictures": len(pixels),
        "sha256": hashlib.sha256(b"".join(x.tobytes() for x in pixels)).hexdigest(),
        "model": codec.about["model"],
        "weights": codec.about["weights"],
        "lpips": judge and judge.net,
        **environment(torch.get_num_threads()),
    }
    result = merged(out, about, means(found, label))
    if png is not None:
        montage(rows, max(1, MAGNIFIED // side), png)
    write_result(out, result)
    if out == JSON and README.is_file():
        replace_block(README, BLOCK, table(result))
    typer.echo(table(result))


def find_lpips(weights: Path | None, side: int) -> Lpips | None:
    """AlexNet's metric, if pictures are large enough for it; weights that were named must exist."""
    if side < SMALLEST["alex"]:
        return None
    try:
        return load_lpips("alex", weights)
    except UnknownModelError:
        if weights is not None:
            raise
        return None


def merged(path: Path, about: dict[str, Any], rows: list[dict[str, Any]]) -> Result:
    """The result with one set of pictures added, or put in the place of its earlier measurement."""
    old: Result = read_result(path) if path.is_file() else {"sets": [], "means": []}
    sets = [entry for entry in old["sets"] if entry["name"] != about["name"]]
    kept = [row for row in old["means"] if row["set"] != about["name"]]
    return {
        "schema": SCHEMA,
        "what": "means over small pictures; rmse on 0..255; over: pictures of which no JPEG is so "
        "small, its smallest counted in their place",
        "sets": sorted([*sets, about], key=lambda entry: str(entry["name"])),
        "means": sorted([*kept, *rows], key=lambda row: str(row["set"])),
    }


def table(result: Result) -> str:
    """The README's tables, one for each set of pictures."""
    weights = " and ".join(dict.fromkeys(f"`{about['weights']}`" for about in result["sets"]))
    about = (
        f"Bits and ratios are of the payload, bytes and ratios of whole files, RMSE on 0..255; "
        f"weights {weights}. JPEG's payload is its entropy-coded data, without headers and tables; "
        "its best mode and quality at no more bytes than ours is chosen for each picture. Over: "
        "pictures for which even its smallest takes more than ours; that one is counted."
    )
    return "\n\n".join([*(one_set(result, about) for about in result["sets"]), about])


def one_set(result: Result, about: dict[str, Any]) -> str:
    """The table of one set: bits, ratios, then RMSE and LPIPS by each codec, and JPEGs over."""
    rows = [row for row in result["means"] if row["set"] == about["name"]]
    codecs = list(dict.fromkeys(row["codec"] for row in rows))
    raw = 3 * about["side"] ** 2  # bytes
    lines = []
    for layers in dict.fromkeys(row["layers"] for row in rows):
        by_codec = {row["codec"]: row for row in rows if row["layers"] == layers}
        payload, file = (by_codec[codecs[0]][key] for key in ("payload_bytes", "file_bytes"))
        line = [str(layers), f"{8 * payload:,.0f}", f"{raw / payload:.1f}"]
        line += [f"{file:,.0f}", f"{raw / file:.1f}"]
        lines.append(line + [errors(by_codec[codec]) for codec in codecs])
    heads = ["layers", "payload bits", "ratio", "file bytes", "ratio", *codecs]
    metrics = "RMSE" + f" / LPIPS ({about['lpips']})" * (about["lpips"] is not None)
    title = f"{about['name']}, {about['pictures']} pictures, {metrics}:"
    return f"{title}\n\n{markdown(heads, lines)}"


def errors(row: dict[str, Any]) -> str:
    """RMSE, LPIPS if it was measured, and for how many pictures JPEG's smallest is too large."""
    text = f"{row['rmse']:.2f}"
    if row["lpips"] is not None:
        text += f" / {row['lpips']:.3f}"
    return f"{text} ({row['over']} over)" if row["over"] else text


if __name__ == "__main__":
    run(small)
