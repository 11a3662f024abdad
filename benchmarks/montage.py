"""Small pictures in rows, magnified so that every pixel is a square."""

import base64
import io
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
    """Write rows of pictures of one size as PNG, each pixel `magnify` pixels wide and high."""
    sizes = [cell.picture.size for row in rows for cell in row if cell.picture is not None]
    width, height = (magnify * max(side) for side in zip(*sizes, strict=True))
    columns = max(map(len, rows))
    size = columns * (width + GAP) - GAP, len(rows) * (height + TITLE + GAP) - GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            left, top = j * (width + GAP), i * (height + TITLE + GAP)
            draw.text((left + 2, top + 2), cell.title, fill="black")
            if cell.picture is not None:
                place = tuple(magnify * n for n in cell.picture.size)
                large = cell.picture.resize((place[0], place[1]), Image.Resampling.NEAREST)
                sheet.paste(large, (left, top + TITLE))
    sheet.save(target, format="PNG", optimize=True)


def pack(rows: Sequence[Sequence[Cell]], magnify: int) -> str:
    """The montage as PNG in base64, to be kept in a JSON."""
    file = io.BytesIO()
    montage(rows, magnify, file)
    return base64.b64encode(file.getvalue()).decode()


def unpack(packed: str, target: Path) -> None:
    """Inverse of `pack`: write the PNG."""
    target.write_bytes(base64.b64decode(packed))
