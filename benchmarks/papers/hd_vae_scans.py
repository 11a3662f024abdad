"""HD-VAE as a codec for black and white pages, beside lossless codecs.

Run from the root of the repository, with a folder of photographs that no model was trained on:

    python -m hqcodec.benchmarks.papers.hd_vae_scans PICTURES --drawings OMNIGLOT

Pages are drawn by scan_pages.py, print in fonts and letters in drawings that no model has seen;
masks are made of the photographs. Every number of layers is coded to a whole file and decoded
again. The others are lossless; lossy JBIG2 is in none of the libraries that come with the project.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

import hqcodec
from hqcodec.benchmarks import inline_png
from hqcodec.benchmarks.montage import Cell, sheet
from hqcodec.benchmarks.papers import binary_pictures, scan_pages
from hqcodec.benchmarks.papers.scan_pages import PAGE, Draw, Page
from hqcodec.benchmarks.report import markdown
from hqcodec.benchmarks.results import PACKAGES, SCHEMA, Result, environment, write_result
from hqcodec.benchmarks.script import run
from hqcodec.models import zoo
from hqcodec.models.base import Model

JSON = Path("benchmarks/papers/hd_vae_scans.json")
SEED = 1  # of pages; those to train on have seed 0
CUT = 196  # pixels a side of what the figure shows of a page
PRINT, SMALL = (42, 50), (20, 26)  # pixels of letters: 11 and 5.5 points at 300 dots an inch
LOSSLESS: dict[str, dict[str, Any]] = {
    "TIFF Group 4": {"format": "TIFF", "compression": "group4"},
    "PNG": {"format": "PNG", "optimize": True},
    "WebP": {"format": "WEBP", "lossless": True, "method": 6, "quality": 100},
}


def kinds(photographs: Path, drawings: Path) -> dict[str, Draw]:
    """What is measured, a page at a time."""
    faces = scan_pages.fonts(scan_pages.KEPT)
    return {
        "print, 11 points": scan_pages.printed(faces, PRINT),
        "print, 5.5 points": scan_pages.printed(faces, SMALL),
        "drawn letters": scan_pages.lettered(binary_pictures.drawings(drawings, kept=True)),
        "rules and boxes": scan_pages.ruled,
        "masks": scan_pages.masked(scan_pages.greys(photographs)),
    }


def coded(page: Page, model: Model) -> Iterator[tuple[str, int, Page]]:
    """One page [H,W] by ours and by the others: name, bits of the whole file, what comes back."""
    picture = Image.fromarray(255 * page)
    for layers in range(1, len(model.layers) + 1):
        blob = hqcodec.compress(picture, model, layers=layers)
        shown = hqcodec.decompress(blob, model)
        assert isinstance(shown, Image.Image)
        yield ours(layers), 8 * len(blob), _page(shown)
    for name, options in LOSSLESS.items():
        file = io.BytesIO()
        picture.convert("L" if name == "WebP" else "1").save(file, **options)
        size = file.tell()
        with Image.open(file) as again:
            yield name, 8 * size, _page(again)


def ours(layers: int) -> str:
    """How the table calls so many layers."""
    return f"HD-VAE, {layers} layer{'s' * (layers > 1)}"


def hd_vae_scans(
    photographs: Annotated[Path, typer.Argument(help="Folder of photographs, to make masks of.")],
    drawings: Annotated[Path, typer.Option(help="Folder of Omniglot's drawings, packed.")],
    model: Annotated[str, typer.Option(help="Name, or weights file.")] = "hd_vae-scans",
    count: Annotated[int, typer.Option("--pages", min=1, help="Pages a kind.")] = 10,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Measure pages of each kind as whole files on their way there and back."""
    m = zoo.load(model)
    records, rows = [], []
    for kind, draw in kinds(photographs, drawings).items():
        for n, page in enumerate(scan_pages.pages([draw], count, SEED)):
            found = list(coded(page, m))
            for name, size, shown in found:
                wrong = float((shown != page).mean())
                records.append({"kind": kind, "codec": name, "bits": size, "wrong": wrong})
            if not n:
                shows = [(name, y) for name, _, y in found if name not in LOSSLESS]
                pairs = [("original", page), *shows]
                rows.append([Cell(f"{kind}: {name}", _cut(y)) for name, y in pairs])
        typer.echo(f"{kind}: {count} pages")
    result: Result = {
        "schema": SCHEMA,
        "what": "black and white pages",
        **environment(torch.get_num_threads(), (*PACKAGES, "matplotlib")),  # whose fonts these are
        "model": m.name,
        "records": records,
        "shown": inline_png.pack(sheet(rows, 1)),
    }
    write_result(out, result)
    typer.echo(table(result))


def table(result: Result) -> str:
    """The block of the document: bits a pixel and wrong pixels, codecs by kinds."""
    records = result["records"]
    names = list(dict.fromkeys(r["kind"] for r in records))
    rows = []
    for codec in dict.fromkeys(r["codec"] for r in records):
        row = [codec]
        for kind in names:
            found = [r for r in records if (r["kind"], r["codec"]) == (kind, codec)]
            rate = f"{mean(r['bits'] for r in found) / PAGE**2:.3f}"
            wrong = mean(r["wrong"] for r in found)
            row.append(f"{rate}, {wrong:.2%}" if wrong else rate)
        rows.append(row)
    count = len(records) // (len(rows) * len(names))
    return (
        f"{markdown(['codec', *names], rows)}\n\n"
        f"Bits a pixel of whole files, and the share of pixels that come back wrong, by "
        f"`{result['model']}`: means over {count} pages of {PAGE}x{PAGE} pixels each."
    )


def plot(result: Result, target: Path) -> None:
    """Write the figure that the JSON holds."""
    inline_png.unpack(result["shown"]).save(target, optimize=True)


def _page(image: Image.Image) -> Page:
    """Its pixels, which are black or white."""
    return (np.asarray(image.convert("L")) >= 128).astype(np.uint8)


def _cut(page: Page) -> Image.Image:
    """The upper left corner of a page."""
    return Image.fromarray(255 * page[:CUT, :CUT])


if __name__ == "__main__":
    run(hd_vae_scans)
