"""Compress and decompress: where pictures and sounds, models and files meet.

picture.py and sound.py tell how each kind of content becomes a file and is shown again; here they
are told apart, and models found.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hqcodec import audio, container, entropy, image, picture, sound
from hqcodec.content import Samples
from hqcodec.errors import CutFileWarning, FormatError, HqcodecError, UnknownModelError
from hqcodec.limits import check_effort
from hqcodec.models import zoo
from hqcodec.models.base import Model, zeros
from hqcodec.soundfiles import START, is_sound
from hqcodec.target import Target

UNPACKING = 0.67  # share of the time that the codes of a sound take to decode
Source = Image.Image | image.Picture | audio.Audio | audio.Reader | Path | str | bytes


def compress(
    source: Source,
    model: str | Path | Model | None = None,
    layers: int | None = None,
    device: str = "cpu",
    target: Target | None = None,
    effort: int = 1,
    progress: Callable[[float], object] | None = None,
) -> bytes:
    """The bytes of a .hqc file for a picture or a sound, which are told apart by their content.

    source: a Pillow image, an Audio, a path, or the bytes of a file. model: a name, a weights file,
    or what `hqcodec.load` returned; by default the one for such content. layers: how many to keep,
    coarse to fine; by default the model's own choice. target: in place of layers, the size or
    quality of the file. effort: 1 to 3, how long to search for a better file; pictures only, sounds
    have no search. progress: told what share of a sound is done, up to 1. Raises HqcodecError on
    bad input, or if the target is out of the model's reach.

    >>> import hqcodec
    >>> from PIL import Image
    >>> blob = hqcodec.compress(Image.new("RGB", (64, 48), "teal"), layers=2)
    >>> hqcodec.decompress(blob).size
    (64, 48)
    """
    if target is not None and layers is not None:
        raise HqcodecError("both layers and a target; give one of them")
    check_effort(effort)
    with opened(source) as found:
        kind = "picture" if isinstance(found, image.Picture) else "sound"
        if not isinstance(model, Model):
            model = load(zoo.path(model or zoo.DEFAULTS[kind]), device, zoo.FIDELITY)
        if model.kind != kind:
            raise HqcodecError(f"model {model.name} codes {model.kind}s, and this is a {kind}")
        count = model.default_layers if layers is None else layers
        if not 1 <= count <= len(model.layers):
            span = f"1 to {len(model.layers)}"
            raise HqcodecError(f"{count} layers asked for; model {model.name} has {span}")
        if isinstance(found, image.Picture):
            return picture.compress(found, model, count, target, effort)
        return sound.compress(found, model, count, target, progress or (lambda share: None))


@contextmanager
def opened(source: Source) -> Iterator[image.Picture | audio.Reader]:
    """What `compress` takes, read or ready to be read."""
    if isinstance(source, str | Path):
        try:
            stream = open(source, "rb")
        except OSError as error:
            raise HqcodecError(f"{source}: {error.strerror or error}") from None
        with stream:
            start = stream.peek(START)[:START]
            if is_sound(start, Path(source).suffix):
                whole = stream if stream.seekable() else io.BytesIO(stream.read())
                with audio.Reader(whole, str(source)) as reader:
                    yield reader
            else:
                yield image.load(stream, str(source))
    elif isinstance(source, audio.Reader):
        yield source
    elif isinstance(source, audio.Audio):
        yield audio.Reader(source)
    elif isinstance(source, bytes) and is_sound(source[:START]):
        with audio.Reader(io.BytesIO(source)) as reader:
            yield reader
    else:
        yield picture.to_picture(source)


def decompress(
    blob: bytes,
    model: str | Path | Model | None = None,
    layers: int | None = None,
    device: str = "cpu",
    decoder: str | Path = zoo.FIDELITY,
) -> Image.Image | audio.Audio:
    """Inverse of `compress`, up to the loss: what is in `blob`; codes are the same everywhere.

    model: by default the installed one that the file names. layers: decode only so many. decoder:
    which of the model's, by name or file; all of them show the same file, and a model that is
    loaded already brings its own. A file that was cut decodes to the layers that arrived, with a
    CutFileWarning. Raises FormatError if the bytes are damaged and UnknownModelError if the model
    or decoder is not there.
    """
    c = container.read(blob)
    m, codes = decoded(c, model, layers, device, decoder)
    if not isinstance(c.content, Samples):
        return picture.show(c, m, codes)
    return audio.Audio(sound.whole(c.content, sound.blocks(c.content, m, codes)), c.content.rate)


def blocks(
    blob: bytes,
    model: str | Path | Model | None = None,
    layers: int | None = None,
    device: str = "cpu",
    decoder: str | Path = zoo.FIDELITY,
    progress: Callable[[float], object] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """`decompress` for sounds of any length: [n,channels] float32 in -1..1, a few seconds each.

    progress: told what share is done, up to 1.
    """
    c = container.read(blob)
    if not isinstance(c.content, Samples):
        raise HqcodecError("a picture, not a sound; `decompress` shows it")
    tell = progress or (lambda share: None)
    m, codes = decoded(c, model, layers, device, decoder, lambda share: tell(UNPACKING * share))
    parts = sound.blocks(c.content, m, codes)
    return sound.told(parts, c.content, lambda share: tell(UNPACKING + (1 - UNPACKING) * share))


def decoded(
    c: container.Container,
    model: str | Path | Model | None,
    layers: int | None,
    device: str,
    decoder: str | Path,
    progress: Callable[[float], object] | None = None,
) -> tuple[Model, list[Tensor]]:
    """The model of a container, and its codes; all is checked, and warned about, that can be."""
    if len(c.payloads) < c.declared:
        warnings.warn(
            f"the file was cut: {len(c.payloads)} of {c.declared} layers arrived",
            CutFileWarning,
            stacklevel=3,
        )
    kept = len(c.payloads) if layers is None else layers
    if not 1 <= kept <= len(c.payloads):
        raise HqcodecError(f"{kept} layers asked for; the file holds 1 to {len(c.payloads)}")
    m = model_of(c, model, device, decoder)
    return m, unpack(c, m, kept, progress)


def unpack(
    c: container.Container,
    m: Model,
    kept: int,
    progress: Callable[[float], object] | None = None,
) -> list[Tensor]:
    """The codes of the first `kept` layers of a container: each [groups,h,w] int64.

    A sound's are [groups,channels,frames]. progress: told what share of the layers is done.
    """
    if isinstance(c.content, Samples):
        size = sound.size(c.content, m)
    else:
        size = c.content.height, c.content.width
    codes: list[Tensor] = []
    for layer in range(kept):
        current = zeros(m.code_shape(layer, size))
        codes.append(entropy.unpack_layer(m, c.payloads[layer], codes, current))
        if progress is not None:
            progress((layer + 1) / kept)
    return codes


def model_of(
    c: container.Container, model: str | Path | Model | None, device: str, decoder: str | Path
) -> Model:
    """The model that can decode `c`; UnknownModelError if it is not there or has other weights."""
    if isinstance(model, Model):
        if decoder != zoo.FIDELITY:
            raise HqcodecError("a loaded model has its decoder; choose one when it is loaded")
        m = model
    else:
        if model is None and c.model not in zoo.names():
            raise UnknownModelError(
                f"made by model {c.model!r}, which is not installed; give its weights as the model"
            )
        m = load(zoo.path(model or c.model), device, decoder)
    if m.hash[:4] != c.weights_hash:
        raise UnknownModelError(
            f"made by other weights of {c.model!r} ({c.weights_hash.hex()}); "
            f"those given are {m.name!r} ({m.hash[:4].hex()})"
        )
    kind = "sound" if isinstance(c.content, Samples) else "picture"
    if m.kind != kind:
        raise FormatError(f"a {kind} under {m.name}, which codes {m.kind}s")
    if len(c.payloads) > len(m.layers):
        raise FormatError(f"{len(c.payloads)} layers in the file; {m.name} has {len(m.layers)}")
    return m


def load(weights: Path, device: str, decoder: str | Path) -> Model:
    """`zoo.load`, keeping the last two, as long as their files stay as they are."""
    own = decoder == zoo.FIDELITY
    file = weights if own else zoo.decoder_path(weights, decoder).resolve()
    times = weights.stat().st_mtime_ns, file.stat().st_mtime_ns
    return _cached(weights.resolve(), device, decoder if own else file, times)


@lru_cache(maxsize=2)
def _cached(weights: Path, device: str, decoder: str | Path, times: tuple[int, int]) -> Model:
    return zoo.load(weights, device, decoder)
