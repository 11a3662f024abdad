"""The largest picture: no header, ours or a picture's, may make us allocate more."""

from hqcodec.errors import FormatError

MAX_SIDE = 65_535  # also the most that JPEG can hold
MAX_PIXELS = 1 << 28  # 805 MB as 8-bit RGB


def check_size(width: int, height: int) -> None:
    """Raise FormatError if a picture of width x height pixels is empty or too large."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise FormatError(f"{width}x{height} pixels; a side has 1 to {MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise FormatError(f"{width}x{height} pixels; a picture has at most {MAX_PIXELS}")
