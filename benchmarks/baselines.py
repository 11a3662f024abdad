"""What a sweep runs: codecs, each a name, a ladder of settings, and a pair of functions.

Adapters of the codecs that come with Pillow stand here, and that of hqcodec itself. Each makes
whole files, headers included, and decodes nothing but the bytes it is given.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, features

import hqcodec
from hqcodec.errors import HqcodecError
from hqcodec.models.base import Model


@dataclass(frozen=True)
class Codec:
    """A codec with a ladder of settings, from small files to large ones.

    encode: (RGB picture, setting) -> a whole file. decode: inverse of encode. payload: bytes of a
    file that are not header, if that is known. about: whatever a reader needs to run it again.
    others: further ways to decode the same files, by the name of the curve that each gives.
    """

    name: str
    suffix: str
    settings: tuple[int, ...]
    encode: Callable[[Image.Image, int], bytes]
    decode: Callable[[bytes], Image.Image]
    payload: Callable[[bytes], int | None] = lambda data: None
    about: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Callable[[bytes], Image.Image]] = field(default_factory=dict)

    @property
    def curves(self) -> dict[str, Callable[[bytes], Image.Image]]:
        """All ways to decode a file, by name; the codec's own comes first."""
        return {self.name: self.decode, **self.others}


def pillow_codec(
    name: str, suffix: str, settings: tuple[int, ...], options: dict[str, Any]
) -> Codec:
    """A format that Pillow writes; the setting is its `quality`."""

    def encode(picture: Image.Image, setting: int) -> bytes:
        file = io.BytesIO()
        picture.save(file, format=name.upper(), quality=setting, **options)
        return file.getvalue()

    def decode(data: bytes) -> Image.Image:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB")

    about = {"setting": "quality", **options}
    return Codec(name, suffix, settings, encode, decode, about=about)


# About .1 to 1.5 bits a pixel on photographs.
BASELINES = {
    # Pillow's defaults (no optimised tables, baseline order) are .2 to .4 dB weaker.
    "jpeg": pillow_codec(
        "jpeg",
        ".jpg",
        (2, 4, 6, 8, 10, 14, 20, 28, 38, 48, 58, 68, 78),
        {"optimize": True, "progressive": True, "subsampling": "4:2:0"},
    ),
    "webp": pillow_codec("webp", ".webp", (0, 2, 5, 10, 20, 30, 45, 60, 75, 84), {"method": 6}),
    "avif": pillow_codec(
        "avif",
        ".avif",
        (6, 10, 18, 26, 34, 42, 50, 58, 66, 74),
        {"speed": 6, "subsampling": "4:2:0"},
    ),
}


def baseline(name: str) -> Codec:
    """The baseline of this name, if this Pillow has it."""
    if name not in BASELINES:
        raise HqcodecError(f"codec {name!r}; there are {', '.join(BASELINES)}")
    if not features.check("jpg" if name == "jpeg" else name):
        raise HqcodecError(f"this Pillow cannot write {name}; pip install -U pillow")
    return BASELINES[name]


def ours(model: str) -> Codec:
    """hqcodec with a model, by name or path, and all its decoders; the setting is the layers."""
    from hqcodec import container
    from hqcodec.models import zoo

    m = hqcodec.load(model)
    others = [name for name in zoo.decoders(model) if name != zoo.FIDELITY]

    def encode(picture: Image.Image, layers: int) -> bytes:
        return hqcodec.compress(picture, model=m, layers=layers)

    def decoding(m: Model) -> Callable[[bytes], Image.Image]:
        return lambda data: hqcodec.decompress(data, model=m)

    def payload(data: bytes) -> int:
        return sum(len(part) for part in container.read(data).payloads)

    small = container.read(encode(Image.new("RGB", (64, 64)), 1))  # a file names its weights
    about = {"setting": "layers", "model": small.model, "weights": small.weights_hash.hex()}
    settings = tuple(range(1, len(m.layers) + 1))
    curves = {f"hqcodec ({x})": decoding(hqcodec.load(model, decoder=x)) for x in others}
    return Codec("hqcodec", ".hqc", settings, encode, decoding(m), payload, about, curves)
