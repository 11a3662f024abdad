"""Black and white pages for HD-VAE as a codec: what it learns from, and what it is measured by.

Run from the root of the repository, to make a folder that `hqcodec train` reads:

    python -m hqcodec.benchmarks.papers.scan_pages OUT --digits BINARIZED --drawings OMNIGLOT \
        --photos PHOTOS

Print, ruled tables, digits, handwritten letters, and masks, which are photographs cut at a grey;
some of each white on black. Nothing is scanned: print is drawn, turned by up to two degrees,
blurred, made noisy and cut at a grey, as scanners do. Fonts are those that matplotlib brings along;
the STIX fonts, which look like Times, are kept for measuring, as are some of the letters.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import numpy.typing as npt
import typer
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hqcodec.benchmarks.papers import binary_pictures
from hqcodec.benchmarks.papers.binary_pictures import DRAWN, SIDE, Bits
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError
from hqcodec.models import data

Page = npt.NDArray[np.uint8]  # [H,W], 0 black or 1 white
Draw = Callable[[np.random.Generator], Page]

PAGE = 504  # pixels a side: 18 tiles
INVERTED = 0.3  # of the pages are white on black
LETTERS = "etaoinshrdlcumwfgypbvkjxqz"  # by falling frequency in English
SIZES = 14, 80  # of letters, pixels; 11 points are 46 pixels at 300 dots an inch
FONTS = "DejaVu", "cmr10", "cmss10", "cmtt10", "cmti10", "cmb10"  # to train with
KEPT = ("STIXGeneral",)  # to measure with


def fonts(names: Sequence[str]) -> list[Path]:
    """matplotlib's fonts of which the names begin so."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    found = sorted(p for p in folder.glob("*.ttf") if p.stem.startswith(tuple(names)))
    if not found:
        raise HqcodecError(f"{folder}: no fonts {', '.join(names)}; matplotlib brings them along")
    return [p for p in found if not p.stem.endswith("Display")]  # those have no letters


def words(rng: np.random.Generator, count: int) -> str:
    """So many made-up words and numbers, letters as frequent as in English."""
    share = 1 / np.arange(2, len(LETTERS) + 2)
    found = []
    for _ in range(count):
        word = "".join(rng.choice(list(LETTERS), rng.integers(1, 11), p=share / share.sum()))
        kind = rng.random()
        if kind < 0.1:
            word = str(rng.integers(10 ** rng.integers(1, 6)))
        elif kind < 0.3:
            word = word.upper() if kind < 0.15 else word.title()
        found.append(word + rng.choice(["", "", "", "", ".", ",", ":", "!", "?", ")"]))
    return " ".join(found)


def scanned(grey: Image.Image, rng: np.random.Generator) -> Page:
    """What a scanner makes of a drawing in greys, black and white."""
    angle = float(rng.uniform(-2, 2)) if rng.random() < 0.5 else 0.0
    turned = grey.rotate(angle, Image.Resampling.BICUBIC, fillcolor=255)
    blurred = turned.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2))))
    levels = np.asarray(blurred, np.float32) / 255 + rng.normal(0, rng.uniform(0, 0.08), grey.size)
    return (levels >= rng.uniform(0.4, 0.6)).astype(np.uint8)


def printed(faces: Sequence[Path], size: tuple[int, int] = SIZES) -> Draw:
    """Lines of print, in one of the fonts, in letters of `size` pixels; and sometimes rules."""

    def draw(rng: np.random.Generator) -> Page:
        pixels = round(float(np.exp(rng.uniform(*np.log(size)))))
        font = ImageFont.truetype(str(faces[int(rng.integers(len(faces)))]), pixels)
        grey = Image.new("L", (PAGE, PAGE), 255)
        pen = ImageDraw.Draw(grey)
        step = pixels * float(rng.uniform(1.1, 1.8))
        for top in np.arange(rng.uniform(-pixels, pixels), PAGE, step):
            left = float(rng.uniform(-2 * pixels, pixels))
            pen.text((left, float(top)), words(rng, 2 + 2 * PAGE // pixels), 0, font)
        for _ in range(int(rng.integers(6)) if rng.random() < 0.3 else 0):
            _rule(pen, rng)
        return scanned(grey, rng)

    return draw


def ruled(rng: np.random.Generator) -> Page:
    """Rules, frames, filled boxes and ellipses, as in tables, plans and charts."""
    grey = Image.new("L", (PAGE, PAGE), 255)
    pen = ImageDraw.Draw(grey)
    for _ in range(int(rng.integers(4, 24))):
        _rule(pen, rng)
    for _ in range(int(rng.integers(8))):
        (x, y), (w, h) = rng.uniform(0, PAGE, 2), rng.uniform(8, PAGE / 2, 2)
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        fill = 0 if rng.random() < 0.4 else None
        shape((x, y, x + w, y + h), fill, 0, int(rng.integers(1, 8)))
    return scanned(grey, rng)


def _rule(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """One line: half of them along the page's sides."""
    (x, y), (u, v) = rng.uniform(0, PAGE, (2, 2)).tolist()
    ends = rng.choice([0, 1, 2, 2])
    pen.line(((x, y), (x if ends == 0 else u, y if ends == 1 else v)), 0, int(rng.integers(1, 8)))


def lettered(drawings: Bits) -> Draw:
    """Omniglot's drawings [N,105,105] at their own size, ink black, side by side."""

    def draw(rng: np.random.Generator) -> Page:
        across = -(-PAGE // DRAWN)
        chosen = drawings[rng.choice(len(drawings), across**2)]
        rows = chosen.reshape(across, across, DRAWN, DRAWN).swapaxes(1, 2)
        page: Page = 1 - rows.reshape(across * DRAWN, -1)[:PAGE, :PAGE]
        return page

    return draw


def numbered(digits: Bits) -> Draw:
    """MNIST's digits [N,28,28], white on black, one a tile or moved by a few pixels."""

    def draw(rng: np.random.Generator) -> Page:
        across = PAGE // SIDE
        chosen = digits[rng.choice(len(digits), across**2)]
        rows = chosen.reshape(across, across, SIDE, SIDE).swapaxes(1, 2)
        page: Page = np.roll(rows.reshape(PAGE, PAGE), rng.integers(-3, 4, 2), (0, 1))
        return page

    return draw


def masked(photographs: Sequence[Page]) -> Draw:
    """Where a photograph in greys, blurred, is lighter than its median."""

    def draw(rng: np.random.Generator) -> Page:
        image = Image.fromarray(photographs[int(rng.integers(len(photographs)))])
        larger = image.resize((PAGE, PAGE), Image.Resampling.BICUBIC)
        grey = np.asarray(larger.filter(ImageFilter.GaussianBlur(float(rng.uniform(2, 8)))))
        page: Page = (grey >= np.median(grey)).astype(np.uint8)
        return page

    return draw


def greys(folder: Path) -> list[Page]:
    """The luma of all photographs in a folder and those inside, 0..255."""
    found = data.load(folder, held_out=0).train
    return [np.asarray(Image.fromarray(pixels).convert("L")) for pixels in found]


def pages(draws: Sequence[Draw], count: int, seed: int) -> list[Page]:
    """So many pages, the kinds by turns; some inverted."""
    found = []
    for n in range(count):
        rng = np.random.default_rng([seed, n])
        page = draws[n % len(draws)](rng)
        found.append(1 - page if rng.random() < INVERTED else page)
    return found


def write_pages(
    out: Annotated[Path, typer.Argument(help="Folder to write to, new.")],
    digits: Annotated[Path, typer.Option(help="Folder of static binarized MNIST, packed.")],
    drawings: Annotated[Path, typer.Option(help="Folder of Omniglot's drawings, packed.")],
    photos: Annotated[Path, typer.Option(help="Folder of photographs, to make masks of.")],
    count: Annotated[int, typer.Option(min=8, help="Pages.")] = 720,
) -> None:
    """Draw pages to train on, and write them as PNG."""
    if out.exists():
        raise HqcodecError(f"{out} exists; name a new folder")
    lines = printed(fonts(FONTS))
    masks = masked(greys(photos))
    hand = lettered(binary_pictures.drawings(drawings, kept=False))
    draws = [lines, ruled, lines, hand, lines, masks]
    draws += [lines, numbered(binary_pictures.mnist(digits)[0])]
    out.mkdir(parents=True)
    for n, page in enumerate(pages(draws, count, 0)):
        Image.fromarray(255 * page).convert("1").save(out / f"{n:04d}.png")
    typer.echo(f"wrote {count} pages to {out}")


if __name__ == "__main__":
    run(write_pages)
