"""What a sweep of sound runs: codecs, each a name, a ladder of settings, and a pair of functions.

As for pictures, each makes whole files, headers included, and decodes nothing but the bytes it is
given. Opus, MP3 and Vorbis are those of libsndfile, which turns a compression level of 0 to 1 into
a rate: Opus 256 to 6 kbit/s a channel, MP3 160 to 8 kbit/s (from 32 kHz on, 320 to 32), constant.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import soundfile
import soxr

import hqcodec
from hqcodec import container
from hqcodec.audio import Audio
from hqcodec.errors import HqcodecError


@dataclass(frozen=True)
class SoundCodec:
    """A codec with a ladder of settings, from small files to large ones.

    encode: (sound, setting) -> a whole file. decode: inverse of encode, at whatever rate and length
    the file has. payload: bytes of a file that are not header, if that is known. about: whatever a
    reader needs to run it again, "setting" says what the number is.
    """

    name: str
    suffix: str
    settings: tuple[int, ...]
    encode: Callable[[Audio, int], bytes]
    decode: Callable[[bytes], Audio]
    payload: Callable[[bytes], int | None] = lambda data: None
    about: dict[str, Any] = field(default_factory=dict)


def decode(data: bytes) -> Audio:
    """Any file that libsndfile reads."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return Audio(samples, rate)


def resampled(x: Audio, rate: int) -> Audio:
    """The same sound at another rate, by soxr at its high quality."""
    return x if x.rate == rate else Audio(soxr.resample(x.samples, x.rate, rate), rate)


def encoded(x: Audio, rates: tuple[int, ...], kind: str, subtype: str, level: float) -> bytes:
    """A file of libsndfile's, at the least of `rates` that keeps all of the sound, or the last."""
    x = resampled(x, next((rate for rate in rates if rate >= x.rate), rates[-1]))
    file = io.BytesIO()
    mode = "CONSTANT" if kind == "MP3" else None  # the others have no such choice
    soundfile.write(
        file,
        x.samples,
        x.rate,
        format=kind,
        subtype=subtype,
        compression_level=level,
        bitrate_mode=mode,
    )
    return file.getvalue()


OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
VORBIS_HIGHEST = 192_000
MP3_LOW = 24_000  # the highest rate of MP3 that has less than 32 kbit/s


def opus(x: Audio, kbps: int) -> bytes:
    """Ogg Opus, of a variable rate around `kbps` a channel, from 6."""
    return encoded(x, OPUS_RATES, "OGG", "OPUS", (256 - kbps) / 250)


def mp3(x: Audio, kbps: int) -> bytes:
    """MP3 of a constant rate, for all channels together, from 8."""
    rates = MP3_RATES if kbps >= 32 else MP3_RATES[: MP3_RATES.index(MP3_LOW) + 1]
    rate = next((rate for rate in rates if rate >= x.rate), rates[-1])
    low, high = (32, 320) if rate > MP3_LOW else (8, 160) if rate >= 16_000 else (8, 64)
    # A level of 1 is refused; what is next to it still comes out as the lowest rate.
    level = max(0.0, min(0.99, (high - kbps) / (high - low)))
    return encoded(x, rates, "MP3", "MPEG_LAYER_III", level)


def vorbis(x: Audio, quality: int) -> bytes:
    """Ogg Vorbis of a quality of 0 to 100."""
    rates = (min(x.rate, VORBIS_HIGHEST),)
    return encoded(x, rates, "OGG", "VORBIS", 1 - quality / 100)


def ogg_payload(data: bytes) -> int:
    """Bytes of an Ogg file that are not page headers; the format's own few headers are counted."""
    at = total = 0
    while at < len(data):  # RFC 3533: 26 bytes, the number of segments, their lengths, the segments
        segments = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + len(segments) + sum(segments)
        total += sum(segments)
    return total


LIBRARY = f"libsndfile {soundfile.__libsndfile_version__}"
# From the least that each can to where the ears of most are content.
BASELINES = {
    codec.name: codec
    for codec in (
        SoundCodec(
            "opus",
            ".opus",
            (6, 8, 10, 12, 14, 16, 20, 24, 32),
            opus,
            decode,
            ogg_payload,
            about={"setting": "kbit/s a channel", "mode": "variable rate", "library": LIBRARY},
        ),
        SoundCodec(
            "mp3",
            ".mp3",
            (8, 16, 24, 32, 40, 48),
            mp3,
            decode,
            about={"setting": "kbit/s", "mode": "constant rate", "library": LIBRARY},
        ),
        SoundCodec(
            "vorbis",
            ".ogg",
            (0, 10, 20, 30),
            vorbis,
            decode,
            ogg_payload,
            about={"setting": "quality", "mode": "variable rate", "library": LIBRARY},
        ),
    )
}


def baseline(name: str) -> SoundCodec:
    """The baseline of this name."""
    if name not in BASELINES:
        raise HqcodecError(f"codec {name!r}; there are {', '.join(BASELINES)}")
    return BASELINES[name]


class Truncated:
    """Files of one sound with any number of layers, of which the networks make only the largest.

    What `truncate` leaves of a file is what encoding fewer layers gives, byte by byte.
    """

    def __init__(self, whole: Callable[[Audio], bytes]) -> None:
        """whole: a file of all layers."""
        self.whole = whole
        self.last: tuple[Audio, container.Container] | None = None

    def __call__(self, x: Audio, layers: int) -> bytes:
        """The file of a sound with so many layers."""
        if self.last is None or self.last[0] is not x:
            self.last = x, container.read(self.whole(x))
        return container.write(container.truncate(self.last[1], layers))


def ours(model: str) -> SoundCodec:
    """hqcodec with a model of sound, by name or path; the setting is the layers."""
    m = hqcodec.load(model)
    if m.kind != "sound":
        raise HqcodecError(f"model {m.name} codes pictures, not sound; name another by --model")
    settings = tuple(range(1, len(m.layers) + 1))

    def decode(data: bytes) -> Audio:
        decoded = hqcodec.decompress(data, model=m)
        assert isinstance(decoded, Audio)
        return decoded

    def payload(data: bytes) -> int:
        return sum(len(part) for part in container.read(data).payloads)

    return SoundCodec(
        "hqcodec",
        ".hqc",
        settings,
        Truncated(lambda x: hqcodec.compress(x, model=m)),
        decode,
        payload,
        {"setting": "layers", "model": m.name, "weights": m.hash[:4].hex()},
    )
