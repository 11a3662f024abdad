"""What a picture has beside its colours <-> the chunks of a .hqc file."""

import numpy as np
from numpy.typing import NDArray

from hqcodec.alpha import pack_alpha, unpack_alpha
from hqcodec.container import ALPHA, EXIF, ICC
from hqcodec.image import Picture
from hqcodec.metadata import pack_metadata, unpack_metadata


def pack_chunks(picture: Picture) -> dict[int, bytes]:
    """Tag -> body, of the alpha plane, the ICC profile and the EXIF that are there."""
    chunks: dict[int, bytes] = {}
    if picture.icc:
        chunks[ICC] = pack_metadata(picture.icc)
    if picture.exif:
        chunks[EXIF] = pack_metadata(picture.exif)
    if picture.alpha is not None:
        chunks[ALPHA] = pack_alpha(picture.alpha)
    return chunks


def from_chunks(rgb: NDArray[np.uint8], mode: str, chunks: dict[int, bytes]) -> Picture:
    """Inverse of `pack_chunks`, with the colours [H,W,3] uint8 decoded elsewhere.

    Raise FormatError if a body is damaged, or if they do not fit `mode`.
    """
    height, width = rgb.shape[:2]
    return Picture(
        rgb=rgb,
        alpha=unpack_alpha(chunks[ALPHA], width, height) if ALPHA in chunks else None,
        mode=mode,
        icc=unpack_metadata(chunks[ICC]) if ICC in chunks else None,
        exif=unpack_metadata(chunks[EXIF]) if EXIF in chunks else None,
    )
