"""Compress and decompress: the whole story, the one place where the parts meet.

picture --image--> x --model--> codes --entropy.pack--> payloads --container--> bytes
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hqcodec import container, entropy, image
from hqcodec.chunks import from_chunks, pack_chunks
from hqcodec.content import Pixels
from hqcodec.errors import CutFileWarning, FormatError, HqcodecError, UnknownModelError
from hqcodec.ladder import Ladder
from hqcodec.limits import check_effort
from hqcodec.models import zoo
from hqcodec.models.base import Model
from hqcodec.target import Target, Thrifts, ends, rung, search

LOSSLESS = 1000.0  # dB in place of infinity, which neither a search nor JSON can take
Source = Image.Image | image.Picture | Path | str | bytes


def compress(
    source: Source,
    model: str | Path | Model = zoo.DEFAULT,
    layers: int | None = None,
    device: str = "cpu",
    target: Target | None = None,
    effort: int = 1,
) -> bytes:
    """The bytes of a .hqc file for a picture.

    source: a Pillow image, a path, or the bytes of a picture file. model: a name, a weights file,
    or what `hqcodec.load` returned. layers: how many to keep, coarse to fine; by default the
    model's own choice. target: in place of layers, the size or quality of the file. effort: 1 to
    3, how long to search for a better file. Raises HqcodecError on bad input, or if the target is
    out of the model's reach.

    >>> import hqcodec
    >>> from PIL import Image
    >>> blob = hqcodec.compress(Image.new("RGB", (64, 48), "teal"), layers=2)
    >>> hqcodec.decompress(blob).size
    (64, 48)
    """
    if target is not None and layers is not None:
        raise HqcodecError("both layers and a target; give one of them")
    m = model if isinstance(model, Model) else load(zoo.path(model), device, zoo.FIDELITY)
    count = m.default_layers if layers is None else layers
    if not 1 <= count <= len(m.layers):
        raise HqcodecError(f"{count} layers asked for; model {m.name} has 1 to {len(m.layers)}")
    check_effort(effort)
    picture = to_picture(source)
    x = to_tensor(picture).to(device_of(m))
    ladder = Ladder(m, x, effort if target is None else 1, count)
    chunks = pack_chunks(picture)

    def file(thrifts: Thrifts) -> bytes:
        return container.write(
            container.Container(
                model=m.name,
                weights_hash=m.hash[:4],
                content=Pixels(picture.width, picture.height, picture.mode),
                payloads=ladder.payloads(thrifts),
                chunks=chunks,
            )
        )

    if target is None:
        return file(rung(count))
    thrifts = reach(target, picture, ladder, file)
    if effort > 1:  # only now is it known for how many layers
        ladder = Ladder(m, x, effort, len(thrifts))
        thrifts = reach(target, picture, ladder, file)
    return file(thrifts)


def reach(
    target: Target, picture: image.Picture, ladder: Ladder, file: Callable[[Thrifts], bytes]
) -> Thrifts:
    """The thrift of each layer with which the file of a picture meets `target`."""
    m, size = ladder.model, (picture.height, picture.width)
    seen: list[float] = []

    def measure(thrifts: Thrifts) -> float:
        if target.psnr is None:
            seen.append(len(file(thrifts)))
        else:
            rgb = from_tensor(m.decode(ladder.codes(thrifts), size))
            seen.append(psnr(picture, image.to_pillow(replace(picture, rgb=rgb))))
        return seen[-1]

    pixels = picture.width * picture.height
    found = search(measure, target.goal(pixels), len(m.layers), m.tunable)
    if found is None:
        for end in ends(len(m.layers), m.tunable):
            measure(end)
        raise target.missed(min(seen), max(seen), pixels, m.name)
    return found


def decompress(
    blob: bytes,
    model: str | Path | Model | None = None,
    layers: int | None = None,
    device: str = "cpu",
    decoder: str | Path = zoo.FIDELITY,
) -> Image.Image:
    """Inverse of `compress`, up to the loss: the picture in `blob`, the same on every machine.

    model: by default the installed one that the file names. layers: decode only so many. decoder:
    which of the model's, by name or file; all of them show the same file, and a model that is
    loaded already brings its own. A file that was cut decodes to the layers that arrived, with a
    CutFileWarning. Raises FormatError if the bytes are damaged and UnknownModelError if the model
    or decoder is not there.
    """
    c = container.read(blob)
    if len(c.payloads) < c.declared:
        warnings.warn(
            f"the file was cut: {len(c.payloads)} of {c.declared} layers arrived",
            CutFileWarning,
            stacklevel=2,
        )
    kept = len(c.payloads) if layers is None else layers
    if not 1 <= kept <= len(c.payloads):
        raise HqcodecError(f"{kept} layers asked for; the file holds 1 to {len(c.payloads)}")
    m = model_of(c, model, device, decoder)
    return show(c, m, unpack(c, m, kept))


def show(c: container.Container, m: Model, codes: list[Tensor]) -> Image.Image:
    """The picture of a container's codes, each [groups,h,w], of any prefix of its layers."""
    assert isinstance(c.content, Pixels)
    x = m.decode([layer[None] for layer in codes], (c.content.height, c.content.width))
    return image.to_pillow(from_chunks(from_tensor(x), c.content.mode, c.chunks))


def unpack(c: container.Container, m: Model, kept: int) -> list[Tensor]:
    """The codes of the first `kept` layers of a container: each [groups,h,w] int64."""
    codes: list[Tensor] = []
    for layer in range(kept):
        current = torch.zeros(
            m.code_shape(layer, (c.content.height, c.content.width)), dtype=torch.int64
        )
        codes.append(entropy.unpack(c.payloads[layer], current, m.tables(codes, current)))
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


def device_of(m: Model) -> torch.device:
    """Where a model's weights lie."""
    return next(m.parameters()).device


def to_picture(source: Source) -> image.Picture:
    """Whatever `compress` takes, read."""
    if isinstance(source, image.Picture):
        return source
    if isinstance(source, Image.Image):
        return image.from_pillow(source)
    return image.load(Path(source) if isinstance(source, str) else source)


def to_tensor(picture: image.Picture) -> Tensor:
    """[1,3,H,W] float32 in 0..1."""
    return (
        torch.from_numpy(np.ascontiguousarray(picture.rgb.transpose(2, 0, 1)))[None].float() / 255
    )


def from_tensor(x: Tensor) -> NDArray[np.uint8]:
    """Inverse of `to_tensor`, rounded: [H,W,3] uint8."""
    return x[0].mul(255).round_().to(torch.uint8).movedim(0, -1).cpu().numpy()


def psnr(picture: image.Picture, decoded: Image.Image) -> float:
    """PSNR in dB of what a file of `picture` decodes to, in 8-bit RGB, alpha left out."""
    found = np.asarray(decoded.convert("RGB"), np.float64)
    error = float(np.square(found - picture.rgb).mean())
    return 10 * math.log10(255**2 / error) if error else LOSSLESS
