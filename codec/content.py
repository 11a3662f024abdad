"""What a .hqc file codes, as its header describes it: the pixels of a picture, or a sound."""

from dataclasses import dataclass

from hqcodec.errors import FormatError
from hqcodec.limits import check_size, check_sound

MODES = ("L", "LA", "RGB", "RGBA")


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture of width x height pixels in one of MODES."""

    width: int
    height: int
    mode: str

    def __post_init__(self) -> None:
        """Raise FormatError for what no file can hold."""
        check_size(self.width, self.height)
        if self.mode not in MODES:
            raise FormatError(f"mode {self.mode!r}; known are {', '.join(MODES)}")


@dataclass(frozen=True, slots=True)
class Samples:
    """A sound: samples of each channel, at `rate` a second; both are the source's."""

    channels: int
    samples: int
    rate: int

    def __post_init__(self) -> None:
        """Raise FormatError for what no file can hold."""
        check_sound(self.channels, self.samples, self.rate)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.rate
