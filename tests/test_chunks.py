"""Alpha, ICC profile and EXIF of a picture survive as chunks."""

import itertools
from dataclasses import fields

import numpy as np
import pytest

from hqcodec.chunks import from_chunks, pack_chunks
from hqcodec.container import ALPHA, EXIF, ICC
from hqcodec.errors import FormatError
from hqcodec.image import Picture

RGB = np.zeros((3, 5, 3), np.uint8)
PLANE = np.arange(15, dtype=np.uint8).reshape(3, 5)


@pytest.mark.parametrize(
    ("alpha", "icc", "exif"),
    list(itertools.product([None, PLANE], [None, b"icc"], [None, b"exif"])),
)
def test_from_chunks_inverts_pack_chunks(
    alpha: np.ndarray | None, icc: bytes | None, exif: bytes | None
) -> None:
    mode = "RGB" if alpha is None else "RGBA"
    picture = Picture(RGB, alpha, mode, icc, exif)
    chunks = pack_chunks(picture)
    assert set(chunks) == {
        tag for tag, part in [(ICC, icc), (EXIF, exif), (ALPHA, alpha)] if part is not None
    }
    restored = from_chunks(RGB, mode, chunks)
    for field in fields(Picture):
        assert np.array_equal(getattr(restored, field.name), getattr(picture, field.name))


@pytest.mark.parametrize(
    ("mode", "chunks"),
    [
        ("RGB", {ICC: b"noise"}),
        ("RGB", {EXIF: b""}),
        ("RGB", {ALPHA: b"\0\xff"}),
        ("RGBA", {}),
        ("RGBA", {ALPHA: b""}),
    ],
)
def test_chunks_that_are_damaged_or_do_not_fit_are_format_errors(
    mode: str, chunks: dict[int, bytes]
) -> None:
    with pytest.raises(FormatError):
        from_chunks(RGB, mode, chunks)
