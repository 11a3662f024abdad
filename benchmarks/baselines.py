"""What a sweep runs: codecs, each a name, a ladder of settings, and a pair of functions.

Adapters of the codecs that Pillow and its plugins write stand here in one table, that of hqcodec
itself, and the way in for any other. Each makes whole files, headers included, and decodes nothing
but the bytes it is given.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

from PIL import Image, features

import hqcodec
from hqcodec.errors import HqcodecError
from hqcodec.models.base import Model


@dataclass(frozen=True)
class Codec:
    """A codec with a ladder of settings, from small files to large ones.

    encode: (RGB picture, setting) -> a whole file. decode: inverse of encode. payload: bytes of a
    file that are not header, if that is known. about: whatever a reader needs to run it again,
    "setting" says what the number is. others: further ways to decode the same files, by the name
    of the curve that each gives. library: what does the work, with its version; None if it is not
    installed here.
    """

    name: str
    suffix: str
    settings: tuple[int, ...]
    encode: Callable[[Image.Image, int], bytes]
    decode: Callable[[bytes], Image.Image]
    payload: Callable[[bytes], int | None] = lambda data: None
    about: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Callable[[bytes], Image.Image]] = field(default_factory=dict)
    library: Callable[[], str | None] = lambda: ""

    @property
    def curves(self) -> dict[str, Callable[[bytes], Image.Image]]:
        """All ways to decode a file, by name; the codec's own comes first."""
        return {self.name: self.decode, **self.others}


def pillow_codec(
    name: str,
    kind: str,
    suffix: str,
    settings: tuple[int, ...],
    options: dict[str, Any],
    library: Callable[[], str | None],
    setting: str = "quality",
    argument: Callable[[int], dict[str, Any]] = lambda number: {"quality": number},
) -> Codec:
    """A format that Pillow writes as `kind`; `argument` makes options of a number of the ladder."""

    def encode(picture: Image.Image, number: int) -> bytes:
        file = io.BytesIO()
        picture.save(file, format=kind, **argument(number), **options)
        return file.getvalue()

    def decode(data: bytes) -> Image.Image:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB")

    about = {"setting": setting, **options}
    return Codec(name, suffix, settings, encode, decode, about=about, library=library)


def part_of_pillow(feature: str, title: str) -> Callable[[], str | None]:
    """The library behind one of Pillow's optional features."""
    return lambda: f"{title} {features.version(feature)}" if features.check(feature) else None


def libjpeg() -> str | None:
    """The library behind Pillow's JPEG; only libjpeg-turbo tells a version worth the name."""
    turbo = part_of_pillow("libjpeg_turbo", "libjpeg-turbo")()
    return turbo or part_of_pillow("jpg", "libjpeg")()


def libjxl() -> str | None:
    """The plugin that teaches Pillow JPEG XL, which importing it does."""
    try:
        import pillow_jxl  # noqa: F401
    except ImportError:
        return None
    return f"pillow-jxl-plugin {version('pillow-jxl-plugin')}"


# About .1 to 1.5 bits a pixel on photographs.
BASELINES = {
    codec.name: codec
    for codec in (
        # Pillow's defaults (no optimised tables, baseline order) are .2 to .4 dB weaker.
        pillow_codec(
            "jpeg",
            "JPEG",
            ".jpg",
            (2, 4, 6, 8, 10, 14, 20, 28, 38, 48, 58, 68, 78),
            {"optimize": True, "progressive": True, "subsampling": "4:2:0"},
            libjpeg,
        ),
        pillow_codec(
            "jpeg444",
            "JPEG",
            ".jpg",
            (2, 6, 10, 16, 24, 34, 46, 58, 70),
            {"optimize": True, "progressive": True, "subsampling": "4:4:4"},
            libjpeg,
        ),
        pillow_codec(
            "webp",
            "WEBP",
            ".webp",
            (0, 2, 5, 10, 20, 30, 45, 60, 75, 84),
            {"method": 6},
            part_of_pillow("webp", "libwebp"),
        ),
        pillow_codec(
            "avif",
            "AVIF",
            ".avif",
            (6, 10, 18, 26, 34, 42, 50, 58, 66, 74),
            {"speed": 6, "subsampling": "4:2:0"},
            part_of_pillow("avif", "libavif"),
        ),
        pillow_codec(
            "jxl",
            "JXL",
            ".jxl",
            (0, 5, 12, 20, 30, 50, 60, 70, 78, 84),
            {"effort": 7},
            libjxl,
        ),
        pillow_codec(
            "jpeg2000",
            "JPEG2000",
            ".jp2",
            (240, 160, 100, 60, 40, 30, 24, 20, 16),
            {"irreversible": True, "quality_mode": "rates"},
            part_of_pillow("jpg_2000", "OpenJPEG"),
            "compression ratio",
            lambda ratio: {"quality_layers": [ratio]},
        ),
    )
}


def installed() -> list[str]:
    """The baselines that can run here."""
    return [name for name, codec in BASELINES.items() if codec.library() is not None]


def baseline(name: str) -> Codec:
    """The baseline of this name, if what writes it is installed."""
    if name not in BASELINES:
        raise HqcodecError(f"codec {name!r}; there are {', '.join(BASELINES)}")
    if BASELINES[name].library() is None:
        raise HqcodecError(f"no codec {name} here; pip install -U pillow pillow-jxl-plugin")
    return BASELINES[name]


class Ladder(Protocol):
    """What is common to codecs of pictures and of sound."""

    @property
    def settings(self) -> tuple[int, ...]:
        """From small files to large ones."""


C = TypeVar("C", bound=Ladder)


def codec_from(reference: str, wanted: type[C]) -> C:
    """What the function "package.module:function" returns: a codec around anything at all.

    This is how a neural codec joins. Modules in the current folder are found too. Its `about`
    should name version and weights, for only then does a resumed run notice that they changed.
    """
    module, _, function = reference.partition(":")
    if "" not in sys.path:  # an installed command looks beside itself, not here
        sys.path.insert(0, "")
    try:
        made = getattr(import_module(module), function)()
    except Exception as error:  # of code that is not ours
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HqcodecError(
            f"--codec-from {reference}: {reason}; say package.module:function"
        ) from error
    if not isinstance(made, wanted) or not made.settings:
        what = "a codec without settings" if isinstance(made, wanted) else type(made).__name__
        right = f"{wanted.__module__}.{wanted.__name__} with settings"
        raise HqcodecError(f"--codec-from {reference}: returned {what}, not a {right}")
    return made


def ours(model: str) -> Codec:
    """hqcodec with a model, by name or path, and all its decoders; the setting is the layers."""
    from hqcodec import container
    from hqcodec.models import zoo

    m = hqcodec.load(model)
    decoders = zoo.decoders(model)

    def encode(picture: Image.Image, layers: int) -> bytes:
        return hqcodec.compress(picture, model=m, layers=layers)

    def decoding(m: Model) -> Callable[[bytes], Image.Image]:
        def decode(data: bytes) -> Image.Image:
            shown = hqcodec.decompress(data, model=m)
            assert isinstance(shown, Image.Image)
            return shown

        return decode

    def payload(data: bytes) -> int:
        return sum(len(part) for part in container.read(data).payloads)

    small = container.read(encode(Image.new("RGB", (64, 64)), 1))  # a file names its weights
    about = {
        "setting": "layers",
        "model": small.model,
        "weights": small.weights_hash.hex(),
        "decoders": {x: zoo.read_metadata(file)["digest"][:8] for x, file in decoders.items()},
    }
    settings = tuple(range(1, len(m.layers) + 1))
    others = [x for x in decoders if x != zoo.FIDELITY]
    curves = {f"hqcodec ({x})": decoding(hqcodec.load(model, decoder=x)) for x in others}
    return Codec("hqcodec", ".hqc", settings, encode, decoding(m), payload, about, curves)
