"""An alpha plane <-> bytes, lossless.

The first byte says how the rest is coded:

    0   every pixel is the one byte that follows
    1   two bytes, then LZMA: one bit a pixel, rows back to back, choosing between the two
    2   LZMA of the pixels
    3   LZMA of the differences, mod 256, to the pixel on the left
    4   LZMA of the differences, mod 256, to the pixel above

LZMA is one raw LZMA2 stream with a dictionary of at most 8 MiB, and nothing follows it. A neighbour
outside of the picture counts as 0.
"""

import lzma
import zlib

import numpy as np
from numpy.typing import NDArray

from hqcodec.errors import FormatError
from hqcodec.limits import check_size

Plane = NDArray[np.uint8]

CONSTANT, BITS, PLAIN, LEFT, ABOVE = range(5)

# Pixels have no 4-byte words to align to, hence lc = lp = pb = 0: a tenth smaller than the default.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "dict_size": 8 << 20, "lc": 0, "lp": 0, "pb": 0}]


def pack_alpha(alpha: Plane) -> bytes:
    """Body of an alpha chunk for a plane [H,W] uint8; 2 bytes if all pixels are the same."""
    low, high = int(alpha.min()), int(alpha.max())
    if low == high:
        return bytes([CONSTANT, low])
    if ((alpha == low) | (alpha == high)).all():
        return bytes([BITS, low, high]) + _press(np.packbits(alpha == high).tobytes())
    rows = {method: _differences(alpha, method).tobytes() for method in (PLAIN, LEFT, ABOVE)}
    best = min(rows, key=lambda method: len(zlib.compress(rows[method])))  # a fast guess
    return bytes([best]) + _press(rows[best])


def unpack_alpha(body: bytes, width: int, height: int) -> Plane:
    """Inverse of `pack_alpha`: [height,width] uint8; raise FormatError if `body` is damaged."""
    check_size(width, height)
    method, rest = body[:1], body[1:]
    if method == bytes([CONSTANT]) and len(rest) == 1:
        return np.full((height, width), rest[0], np.uint8)
    if method == bytes([BITS]) and len(rest) > 2:
        packed = np.frombuffer(_expand(rest[2:], (width * height + 7) // 8), np.uint8)
        bits = np.unpackbits(packed, count=width * height).reshape(height, width)
        return np.frombuffer(rest[:2], np.uint8)[bits]
    if method in (bytes([PLAIN]), bytes([LEFT]), bytes([ABOVE])):
        plane = np.frombuffer(_expand(rest, width * height), np.uint8).reshape(height, width)
        return _sums(plane, method[0])
    raise FormatError(f"the alpha chunk starts with {body[:3]!r}, which names no known coding")


def _differences(plane: Plane, method: int) -> Plane:
    if method == PLAIN:
        return plane
    axis = 1 if method == LEFT else 0
    return np.diff(plane, axis=axis, prepend=np.uint8(0))  # uint8 wraps


def _sums(plane: Plane, method: int) -> Plane:
    """Inverse of `_differences`."""
    if method == PLAIN:
        return plane.copy()  # a buffer over bytes cannot be written to
    return np.cumsum(plane, axis=1 if method == LEFT else 0, dtype=np.uint8)


def _press(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=_FILTERS)


def _expand(body: bytes, size: int) -> bytes:
    """Inverse of `_press` for `size` bytes, of which no more are ever made."""
    stream = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        data = stream.decompress(body, size)
        while len(data) < size and not stream.eof and not stream.needs_input:
            data += stream.decompress(b"", size - len(data))
        if not stream.eof:  # its end mark is still to be read
            data += stream.decompress(b"", 1)
    except (lzma.LZMAError, EOFError):
        raise FormatError("the alpha chunk is not an LZMA stream") from None
    if len(data) != size or not stream.eof or stream.unused_data:
        raise FormatError(f"the alpha chunk does not hold {size} bytes of pixels")
    return data
