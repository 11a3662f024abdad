"""The pictures of a folder: found, read as pixels, and described."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hqcodec.benchmarks.metrics import Pixels
from hqcodec.errors import HqcodecError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"}


@dataclass(frozen=True)
class Picture:
    """A picture as a result lists it. sha256: of the file, in hexadecimal."""

    name: str
    sha256: str
    width: int
    height: int


def find_pictures(folder: Path, limit: int | None = None) -> list[Path]:
    """The picture files of a folder, by name; `folder` may also be one picture."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise HqcodecError(f"no folder {folder}; name one with pictures in it")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise HqcodecError(f"no pictures in {folder}; looked for {' '.join(sorted(SUFFIXES))}")
    return found[:limit]


def load_pixels(path: Path) -> Pixels:
    """[H,W,3] uint8: upright, 24 bits a pixel, nothing else of the file is left."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def survey(paths: Sequence[Path]) -> tuple[dict[Path, Picture], list[str]]:
    """The pictures that can be read, and a line for each that cannot."""
    found: dict[Path, Picture] = {}
    failures = []
    for path in paths:
        try:
            height, width = load_pixels(path).shape[:2]
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[path] = Picture(path.name, digest, width, height)
        except Exception as error:  # Pillow's plugins raise whatever they like
            failures.append(f"{path.name}: {one_line(error, path)}")
    return found, failures


def one_line(error: Exception, path: Path) -> str:
    """What went wrong, in one line that does not say where the pictures lie."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(str(path), path.name)
