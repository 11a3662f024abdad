"""The .hqb file, version 1: a set of pictures of one size, coded by bitsback.py.
Numbers are little-endian.

   3    magic      b"HQB"
   1    version    1
   8    hash       first bytes of the SHA-256 of all weights
   12   N, H, W    pictures, and their height and width in pixels; each at least 1,
                       H * W <= 2^14, N * H * W <= 2^26
   4    start      words of random bits that the first picture popped from
   4    words      length of the payload
   4    pictures   CRC-32 of the pictures, N * 3 * H * W bytes
   4    crc        CRC-32 of all bytes above and of the payload
   ...  payload    words of 4 bytes, the last one not 0
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from hqcodec.errors import FormatError

MAGIC = b"HQB"
VERSION = 1
MAX_PIXELS = 1 << 26
MAX_PICTURE = 1 << 14  # pixels; the tables of so many are 100 MB
SAFE = 2  # words: with fewer, what the coder popped it could not push back

_HEADER = struct.Struct("<3sB8s6I")
_CRC = struct.Struct("<I")
HEADER_SIZE = _HEADER.size + _CRC.size


@dataclass(frozen=True)
class Bundle:
    """What a .hqb file says; payload: words, uint32."""

    weights: bytes
    count: int
    height: int
    width: int
    start: int
    crc: int  # of the pictures
    payload: np.ndarray


def check(count: int, height: int, width: int) -> None:
    """Raise FormatError for so many pictures of such a size that no file holds."""
    found = f"{count} pictures of {width}x{height} pixels"
    if min(count, height, width) < 1 or height * width > MAX_PICTURE:
        raise FormatError(f"{found}; a file has 1 or more of 1 to {MAX_PICTURE} pixels")
    if count * height * width > MAX_PIXELS:
        raise FormatError(f"{found}; all in a file have at most {MAX_PIXELS}")


def write(b: Bundle) -> bytes:
    """Serialize `b`."""
    sizes = b.count, b.height, b.width, b.start, len(b.payload)
    header = _HEADER.pack(MAGIC, VERSION, b.weights, *sizes, b.crc)
    body = b.payload.astype("<u4").tobytes()
    return header + _CRC.pack(zlib.crc32(body, zlib.crc32(header))) + body


def read(blob: bytes) -> Bundle:
    """Inverse of `write`; raise FormatError, never anything else, on bad input."""
    if blob[: len(MAGIC)] != MAGIC:
        raise FormatError("not a .hqb file: it does not begin with HQB")
    if len(blob) < HEADER_SIZE:
        raise FormatError(f"cut off within the header, after {len(blob)} bytes")
    header, body = blob[: _HEADER.size], blob[HEADER_SIZE:]
    _, version, weights, count, height, width, start, words, crc = _HEADER.unpack(header)
    if version != VERSION:
        raise FormatError(f"format version {version}; this hqcodec reads {VERSION}")
    if _CRC.unpack_from(blob, _HEADER.size) != (zlib.crc32(body, zlib.crc32(header)),):
        raise FormatError("damaged: the bytes do not match their checksum")
    check(count, height, width)
    if len(body) != 4 * words or body.endswith(bytes(4)) or not SAFE <= start <= words:
        found = f"{len(body)} bytes of payload for {words} words, {start} of them at the start"
        raise FormatError(f"damaged: {found}")
    return Bundle(
        weights, count, height, width, start, crc, np.frombuffer(body, "<u4").astype(np.uint32)
    )
