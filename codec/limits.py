"""The most we take: pictures and sounds, so that no header makes us allocate more, and effort."""

from hqcodec.errors import FormatError, HqcodecError

MAX_SIDE = 65_535  # also the most that JPEG can hold
MAX_PIXELS = 1 << 28  # 805 MB as 8-bit RGB
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1_000, 768_000  # samples a second
MAX_SAMPLES = (1 << 32) - 1  # of all channels together: 17 GB as float32
MAX_SECONDS = 1 << 17  # of all channels together: 36 hours, whose codes take 2.5 GB
EFFORTS = 3  # levels of search in `compress`; the first does none


def check_size(width: int, height: int) -> None:
    """Raise FormatError if a picture of width x height pixels is empty or too large."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise FormatError(f"{width}x{height} pixels; a side has 1 to {MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise FormatError(f"{width}x{height} pixels; a picture has at most {MAX_PIXELS}")


def check_sound(channels: int, samples: int, rate: int) -> None:
    """Raise FormatError if a sound has too many channels, is too long, or at no usual rate.

    samples: of each channel; there may be none. rate: samples a second.
    """
    if not 1 <= channels <= MAX_CHANNELS:
        raise FormatError(f"{channels} channels; a sound has 1 to {MAX_CHANNELS}")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise FormatError(f"{rate} samples a second; a sound has {MIN_RATE} to {MAX_RATE}")
    if samples * channels > min(MAX_SAMPLES, MAX_SECONDS * rate):
        hours = samples * channels / rate / 3600
        raise FormatError(
            f"{channels} channels of {samples} samples, {hours:.1f} hours in all; a sound has at "
            f"most {MAX_SAMPLES} samples and {MAX_SECONDS / 3600:.0f} hours, all channels together"
        )


def check_effort(effort: int) -> None:
    """Raise HqcodecError if there is no such effort."""
    if not 1 <= effort <= EFFORTS:
        raise HqcodecError(f"effort {effort}; there are 1 to {EFFORTS}")
