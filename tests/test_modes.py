"""Pictures of every mode and depth become 8 bits without loss of what 8 bits can hold."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqcodec.image import from_pillow, load

RAMP = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
RGB = np.stack([RAMP, RAMP[::-1], 255 - RAMP], -1)
COLOUR = Image.fromarray(RGB)


def file_of(image: Image.Image, format: str = "PNG", **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **settings)
    return stream.getvalue()


def png(kind: int, depth: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 2x1 pixels, byte by byte, for what Pillow does not write."""
    head = struct.pack(">IIBBBBB", 2, 1, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"\0" + rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        for tag, data in parts
    )


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (COLOUR, "RGB"),
        (COLOUR.convert("RGBA"), "RGBA"),
        (COLOUR.convert("RGBA").convert("RGBa"), "RGBA"),
        (COLOUR.convert("RGBX"), "RGB"),
        (COLOUR.convert("L"), "L"),
        (COLOUR.convert("LA"), "LA"),
        (COLOUR.convert("LA").convert("La"), "LA"),
        (COLOUR.convert("1"), "L"),
        (COLOUR.quantize(16), "RGB"),
        (COLOUR.convert("PA"), "RGBA"),
        (COLOUR.convert("CMYK"), "RGB"),
        (COLOUR.convert("YCbCr"), "RGB"),
        (COLOUR.convert("HSV"), "RGB"),
        (Image.new("LAB", (16, 12), (128, 128, 128)), "RGB"),
        (COLOUR.convert("L").convert("I"), "L"),
        (COLOUR.convert("L").convert("F"), "L"),
        (Image.fromarray(RAMP.astype(np.uint16) * 257), "L"),
        (Image.fromarray((RAMP.astype(np.uint16) * 257).astype(">u2")), "L"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.mode,
)
def test_every_mode_of_pillow_arrives(image: Image.Image, mode: str) -> None:
    picture = from_pillow(image)
    assert (picture.mode, picture.rgb.shape) == (mode, (12, 16, 3))
    assert (picture.alpha is None) == ("A" not in mode)
    if image.mode in ("RGB", "RGBA", "RGBX", "CMYK"):
        assert np.array_equal(picture.rgb, RGB)
    if image.mode in ("YCbCr", "HSV"):
        assert np.abs(picture.rgb.astype(int) - RGB).max() < 12


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 129, 32_768, 65_535]], np.uint16), [0, 0, 1, 128, 255]),
        (np.array([[0, 128, 129, 32_768, 65_535]], ">u2"), [0, 0, 1, 128, 255]),
        (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
        (np.array([[0, 257, 65_535]], np.int32), [0, 1, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0, 1 << 20]], np.int32), [0, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 2, 254.6]], np.float32), [0, 2, 255]),
        (np.array([[0, 2570, 60_000]], np.float32), [0, 10, 233]),
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[-3, -3]], np.float32), [0, 0]),
        (np.array([[np.nan, 0.25, 1, np.inf, -np.inf]], np.float32), [64, 64, 255, 255, 64]),
        (np.array([[np.nan]], np.float32), [0]),
    ],
    ids=str,
)
def test_deep_pictures_are_scaled_and_not_clipped(values: Any, expected: list[int]) -> None:
    for picture in (
        from_pillow(Image.fromarray(values)),
        load(file_of(Image.fromarray(values), "TIFF")),
    ):
        assert picture.mode == "L"
        assert picture.rgb[0, :, 1].tolist() == expected


@pytest.mark.parametrize(
    ("file", "mode", "alpha"),
    [
        (png(0, 1, b"\x40", (b"tRNS", b"\0\1")), "LA", [255, 0]),
        (png(0, 8, b"\x05\x06", (b"tRNS", b"\0\5")), "LA", [0, 255]),
        (png(0, 16, b"\1\2\3\4", (b"tRNS", b"\3\4")), "LA", [255, 0]),
        (png(2, 8, b"\1\2\3\4\5\6", (b"tRNS", b"\0\1\0\2\0\3")), "RGBA", [0, 255]),
        (png(2, 16, bytes(range(12)), (b"tRNS", bytes(range(6)))), "RGBA", [0, 255]),
        (png(3, 8, b"\1\0", (b"PLTE", bytes(6)), (b"tRNS", b"\x40")), "RGBA", [255, 64]),
        (png(3, 8, b"\1\0", (b"PLTE", bytes(6))), "RGB", None),
        (png(4, 16, bytes(8)), "RGBA", [0, 0]),  # so Pillow reads it
        (png(6, 16, bytes(16)), "RGBA", [0, 0]),
    ],
)
def test_transparent_colours_become_an_alpha_plane(file: bytes, mode: str, alpha: Any) -> None:
    picture = load(file)
    assert picture.mode == mode
    assert (picture.alpha if picture.alpha is None else picture.alpha[0].tolist()) == alpha
