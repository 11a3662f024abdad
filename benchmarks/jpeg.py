"""JPEG at a budget, for pictures so small that its header is longer than the picture.

Gregor et al. (Towards Conceptual Compression, 2016) compare with JPEG at equal bits and leave its
header out. What is left out is defined here: a JPEG's *payload* is its entropy-coded data, the
bytes between the header of each scan and the next marker, stuffing included. Quantization and
Huffman tables, frame and scan headers cost nothing, though the Huffman tables are fitted to the
picture; that favours JPEG, as does taking the best of all its modes.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hqcodec.benchmarks.metrics import Pixels, rmse
from hqcodec.errors import FormatError

QUALITIES = range(1, 96)  # above 95 libjpeg adds bytes and hardly any quality
SUBSAMPLINGS = ("4:2:0", "4:4:4")
SCAN, END = 0xDA, 0xD9  # second bytes of markers: start of scan, end of image
STUFFED = {0x00, *range(0xD0, 0xD8)}  # after 0xFF these are data: a stuffed byte, a restart


@dataclass(frozen=True)
class Jpeg:
    """A JPEG of a picture. payload: bytes of entropy-coded data."""

    quality: int
    subsampling: str
    data: bytes
    payload: int

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)

    def decode(self) -> Image.Image:
        """The picture, RGB."""
        with Image.open(io.BytesIO(self.data)) as picture:
            return picture.convert("RGB")


def payload_size(data: bytes) -> int:
    """Bytes of entropy-coded data in a JPEG file, over all its scans."""
    total, at = 0, 2  # past the start-of-image marker
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != END:
        marker = data[at + 1]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == SCAN:
            start = at
            while at + 1 < len(data) and (data[at] != 0xFF or data[at + 1] in STUFFED):
                at += 1
            total += at - start
    if data[:2] != b"\xff\xd8" or data[at : at + 2] != bytes([0xFF, END]):
        raise FormatError("not a whole JPEG file: its markers do not lead from start to end")
    return total


def ladder(picture: Image.Image) -> list[Jpeg]:
    """JPEGs of an RGB picture at every quality, with and without chroma subsampling.

    Tables are optimized. Baseline and progressive files hold the same coefficients, so they decode
    to the same pixels; both are here, because now one is smaller and now the other.
    """
    found = []
    for subsampling in SUBSAMPLINGS:
        for quality in QUALITIES:
            for progressive in (False, True):
                file = io.BytesIO()
                picture.save(
                    file,
                    format="JPEG",
                    quality=quality,
                    subsampling=subsampling,
                    optimize=True,
                    progressive=progressive,
                )
                data = file.getvalue()
                found.append(Jpeg(quality, subsampling, data, payload_size(data)))
    return found


def best_within(
    files: Sequence[Jpeg], x: Pixels, budget: int, cost: Callable[[Jpeg], int]
) -> tuple[Jpeg, bool]:
    """The JPEG nearest to the pixels x [H,W,3] that costs no more than `budget` bytes.

    For each subsampling that is the one of the highest quality. If even the cheapest costs more, it
    is taken nevertheless, and the second value is True.
    """
    finest = [
        max(fitting, key=lambda file: (file.quality, -cost(file)))
        for subsampling in SUBSAMPLINGS
        if (fitting := [f for f in files if f.subsampling == subsampling and cost(f) <= budget])
    ]
    if not finest:
        return min(files, key=cost), True
    return min(finest, key=lambda file: rmse(x, np.asarray(file.decode()))), False
