"""Small pictures in rows, magnified so that every pixel is a square."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageDraw

GAP, TITLE = 6, 16  # pixels between pictures, and above each for its title


@dataclass(frozen=True)
class Cell:
    """A picture with a title; None leaves its place empty."""

    title: str
    picture: Image.Image | None


def montage(rows: Sequence[Sequence[Cell]], magnify: int, target: Path | BinaryIO) -> None:
    """Write `sheet` as PNG."""
    sheet(rows, magnify).save(target, format="PNG", optimize=True)


def sheet(rows: Sequence[Sequence[Cell]], magnify: int) -> Image.Image:
    """Rows of pictures of one size, each pixel `magnify` pixels wide and high."""
    sizes = [cell.picture.size for row in rows for cell in row if cell.picture is not None]
    width, height = (magnify * max(side) for side in zip(*sizes, strict=True))
    columns = max(map(len, rows))
    size = columns * (width + GAP) - GAP, len(rows) * (height + TITLE + GAP) - GAP
    whole = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(whole)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            left, top = j * (width + GAP), i * (height + TITLE + GAP)
            draw.text((left + 2, top + 2), cell.title, fill="black")
            if cell.picture is not None:
                place = tuple(magnify * n for n in cell.picture.size)
                large = cell.picture.resize((place[0], place[1]), Image.Resampling.NEAREST)
                whole.paste(large, (left, top + TITLE))
    return whole
