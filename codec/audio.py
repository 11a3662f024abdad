"""A sound file <-> samples, block by block: what libsndfile reads becomes float32 in -1..1."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from hqcodec.errors import FormatError, HqcodecError, one_line
from hqcodec.guarded import Guarded
from hqcodec.limits import check_sound
from hqcodec.resample import Resampler
from hqcodec.soundfiles import FORMATS

BLOCK = 1 << 16  # samples of a channel that are read or written at a time
LARGE = (1 << 32) - (1 << 16)  # bytes of samples from which on a WAV must be an RF64
_EMPTY = ("WAV", "AIFF", "AU", "CAF", "W64")  # can say that they hold no samples
# What was decoded once loses little by these; from 0, the best, to 1.
_LEVELS = {"VORBIS": 0.2, "OPUS": 0.3, "MPEG_LAYER_III": 0.2}
_OPUS_RATES = 8_000, 12_000, 16_000, 24_000, 48_000
_MP3_RATES = 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000
_VORBIS_MOST = 192_000  # samples a second; libsndfile 1.2 crashes above


@dataclass(frozen=True, eq=False, slots=True)
class Audio:
    """A sound in memory.

    samples: [T,channels] float32 in -1..1; what lies beyond is clipped when it is coded. rate:
    samples a second.
    """

    samples: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        """Raise FormatError for what no file can hold."""
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            found = f"{self.samples.dtype} {self.samples.shape}"
            raise FormatError(f"samples {found}; they are float32 [samples,channels]")
        check_sound(self.samples.shape[1], self.samples.shape[0], self.rate)


class Reader:
    """A sound that is read once, from the first sample to the last.

    channels; rate: samples a second; length: samples of a channel, as far as the file knows.
    """

    def __init__(self, source: Audio | BinaryIO, name: str = "the sound") -> None:
        """source: a stream that can seek; it stays open. name: what errors call it.

        Raises FormatError if it is no sound, damaged, or has more than 8 channels.
        """
        self.name = name
        self._open = ExitStack()  # closed while the stream still is open, or libsndfile complains
        self._blocks: Iterator[NDArray[np.float32]]
        if isinstance(source, Audio):
            x, self.rate = source.samples, source.rate
            self.length, self.channels = x.shape
            self._blocks = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))
        else:
            guarded = Guarded(source)
            with _one_error(name), ExitStack() as stack:
                with guarded.own_error():
                    file = stack.enter_context(soundfile.SoundFile(guarded))
                check_sound(file.channels, 0, file.samplerate)
                self._open = stack.pop_all()
            self.channels, self.rate, self.length = file.channels, file.samplerate, file.frames
            self._blocks = _blocks_of(file, guarded)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """[n,channels] float32 in -1..1, n <= BLOCK; FormatError if one is no number."""
        done = 0
        with _one_error(self.name):
            for block in self._blocks:
                finite = np.isfinite(block).all(1)
                if not finite.all():
                    at = done + int(finite.argmin())
                    raise FormatError(f"sample {at} is infinite or not a number")
                done += len(block)
                check_sound(self.channels, done, self.rate)
                yield block.clip(-1, 1)

    def close(self) -> None:
        """Let go of the stream, which stays open."""
        self._open.close()

    def __enter__(self) -> Self:
        """Itself, to be closed at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the stream."""
        self.close()


class Writer:
    """Inverse of `Reader`: a sound file, written block by block into a stream that can seek."""

    def __init__(
        self, stream: BinaryIO, suffix: str, channels: int, rate: int, length: int
    ) -> None:
        """suffix: one of FORMATS. rate, length: of what will be written.

        MP3 and Opus know few rates; a sound at another is written at 48 kHz. Raises HqcodecError
        if the format cannot hold the sound.
        """
        form, subtype = FORMATS[suffix]
        if not length and form not in _EMPTY:
            raise HqcodecError(f"no samples; {suffix[1:]} cannot say so, a wav file can")
        if subtype == "MPEG_LAYER_III" and channels > 2:
            raise HqcodecError(f"{channels} channels; an MP3 holds 1 or 2")
        found = rate_in(suffix, rate)
        self._resampler = Resampler(rate, found, channels)
        if form == "WAV" and 2 * channels * length >= LARGE:
            form = "RF64"
        self._whole = subtype == "PCM_16"
        level = _LEVELS.get(subtype)
        self._sink = Guarded(stream)
        try:
            self._file = soundfile.SoundFile(
                self._sink, "w", found, channels, subtype, format=form, compression_level=level
            )
        except soundfile.LibsndfileError as error:
            what = f"{channels} channels at {rate} samples a second"
            raise HqcodecError(f"cannot write {what} as {suffix[1:]}: {_text(error)}") from None

    def write(self, block: NDArray[np.float32]) -> None:
        """[n,channels] in -1..1; what lies beyond is clipped."""
        with self._sink.own_error():
            self._write(self._resampler.push(block))

    def close(self) -> None:
        """Finish the file; the stream stays open."""
        with self._sink.own_error():
            try:
                self._write(self._resampler.finish())
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        """Itself, to be closed at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Finish the file, even if what it holds is of no use any more."""
        self.close()

    def _write(self, block: NDArray[np.float32]) -> None:
        for start in range(0, len(block), BLOCK):
            part = block[start : start + BLOCK].clip(-1, 1)
            self._file.write(to_16_bits(part) if self._whole else part)


def rate_in(suffix: str, rate: int) -> int:
    """The rate at which a sound of `rate` is written to a file with this suffix."""
    subtype = FORMATS[suffix][1]
    if subtype == "VORBIS":
        return min(rate, _VORBIS_MOST)
    known = {"OPUS": _OPUS_RATES, "MPEG_LAYER_III": _MP3_RATES}.get(subtype)
    return rate if known is None or rate in known else known[-1]


def to_16_bits(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples in -1..1, rounded to the steps that libsndfile reads as n / 32768."""
    return np.rint(samples * 32768).clip(-32768, 32767).astype(np.int16)


def load(source: str | Path | bytes | BinaryIO, name: str | None = None) -> Audio:
    """Read a sound file whole.

    name: what errors call it, by default the file's own name. Raises FormatError if it is no sound
    or damaged, OSError if the file cannot be read.
    """
    if isinstance(source, str | Path):
        with open(source, "rb") as file:
            return load(file, name or str(source))
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    with Reader(stream, name or "the sound") as reader:
        empty = np.zeros((0, reader.channels), np.float32)
        return Audio(np.concatenate([empty, *reader.blocks()]), reader.rate)


def save(audio: Audio, target: str | Path | BinaryIO, suffix: str | None = None) -> None:
    """Inverse of `load`, in 16 bits or as the format has it.

    suffix: one of FORMATS, by default the target's. Raises HqcodecError if there is no such format
    or it cannot hold the sound; nothing is written then.
    """
    suffix = (
        Path(target).suffix.lower() if suffix is None and isinstance(target, str | Path) else suffix
    )
    if suffix not in FORMATS:
        known = ", ".join(known[1:] for known in FORMATS)
        raise HqcodecError(f"cannot write sounds as {str(suffix)!r}; known are {known}")
    stream = io.BytesIO()
    with Writer(stream, suffix, audio.samples.shape[1], audio.rate, len(audio.samples)) as writer:
        writer.write(audio.samples)
    if isinstance(target, str | Path):
        Path(target).write_bytes(stream.getvalue())
    else:
        target.write(stream.getvalue())


def _blocks_of(file: soundfile.SoundFile, stream: Guarded) -> Iterator[NDArray[np.float32]]:
    """[n,channels] until the file ends, whatever its header says of its length."""
    while True:
        with stream.own_error():
            block = file.read(BLOCK, dtype="float32", always_2d=True)
        if not len(block):
            return
        yield block


@contextmanager
def _one_error(name: str) -> Iterator[None]:
    """Turn what libsndfile says into FormatErrors of one line that start with `name`."""
    try:
        yield
    except HqcodecError as error:
        raise FormatError(f"{name}: {error}") from None
    except soundfile.LibsndfileError as error:
        known = ", ".join(dict.fromkeys(form for form, _ in FORMATS.values()))
        raise FormatError(
            f"{name}: not a sound, or damaged ({_text(error)}); readable are {known}"
        ) from None


def _text(error: soundfile.LibsndfileError) -> str:
    """What libsndfile says, without how Python shows the stream."""
    return one_line(error.error_string).removeprefix("Error : ").rstrip(".")
