"""ICC profiles and EXIF blocks <-> bodies of chunks: zlib streams that are no bombs."""

import zlib

from hqcodec.errors import FormatError

MAX_METADATA = 16 << 20  # bytes of an ICC profile or EXIF block


def pack_metadata(data: bytes) -> bytes:
    """Body of an ICC or EXIF chunk; raise FormatError above 16 MiB."""
    if len(data) > MAX_METADATA:
        raise FormatError(f"{len(data)} bytes of ICC or EXIF; at most {MAX_METADATA} fit")
    return zlib.compress(data, 9)


def unpack_metadata(body: bytes) -> bytes:
    """Inverse of `pack_metadata`; raise FormatError if `body` is damaged or inflates too far."""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(body, MAX_METADATA + 1)
    except zlib.error:
        raise FormatError("the ICC or EXIF chunk is not a zlib stream") from None
    if len(data) > MAX_METADATA:
        raise FormatError(f"the ICC or EXIF chunk inflates to more than {MAX_METADATA} bytes")
    if not inflate.eof or inflate.unused_data:
        raise FormatError("the ICC or EXIF chunk does not end where its zlib stream ends")
    return data
