"""The most we take: pictures, so that no header makes us allocate more, and effort."""

from hqcodec.errors import FormatError, HqcodecError

MAX_SIDE = 65_535  # also the most that JPEG can hold
MAX_PIXELS = 1 << 28  # 805 MB as 8-bit RGB
EFFORTS = 3  # levels of search in `compress`; the first does none


def check_size(width: int, height: int) -> None:
    """Raise FormatError if a picture of width x height pixels is empty or too large."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise FormatError(f"{width}x{height} pixels; a side has 1 to {MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise FormatError(f"{width}x{height} pixels; a picture has at most {MAX_PIXELS}")


def check_effort(effort: int) -> None:
    """Raise HqcodecError if there is no such effort."""
    if not 1 <= effort <= EFFORTS:
        raise HqcodecError(f"effort {effort}; there are 1 to {EFFORTS}")
