"""Compress and decompress: the whole story, the one place where the parts meet.

picture --image--> x --model.encode--> codes --entropy.pack--> payloads --container--> bytes
"""

import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hqcodec import container, entropy, image
from hqcodec.chunks import from_chunks, pack_chunks
from hqcodec.errors import CutFileWarning, FormatError, HqcodecError, UnknownModelError
from hqcodec.limits import check_effort
from hqcodec.models import zoo
from hqcodec.models.base import Model

Source = Image.Image | image.Picture | Path | str | bytes


def compress(
    source: Source,
    model: str | Path | Model = zoo.DEFAULT,
    layers: int | None = None,
    device: str = "cpu",
    effort: int = 1,
) -> bytes:
    """The bytes of a .hqc file for a picture.

    source: a Pillow image, a path, or the bytes of a picture file. model: a name, a weights file,
    or what `hqcodec.load` returned. layers: how many to keep, coarse to fine; by default the
    model's own choice. effort: 1 to 3, how long to search for a better file. Raises HqcodecError
    on bad input.

    >>> import hqcodec
    >>> from PIL import Image
    >>> blob = hqcodec.compress(Image.new("RGB", (64, 48), "teal"), layers=2)
    >>> hqcodec.decompress(blob).size
    (64, 48)
    """
    m = model if isinstance(model, Model) else cached(zoo.path(model), device)
    count = m.default_layers if layers is None else layers
    if not 1 <= count <= len(m.layers):
        raise HqcodecError(f"{count} layers asked for; model {m.name} has 1 to {len(m.layers)}")
    check_effort(effort)
    picture = to_picture(source)
    x = to_tensor(picture).to(device_of(m))
    analysis, found = m.analyze(x, effort, count), list[Tensor]()
    for _ in range(count):
        found.append(m.choose(analysis, found))
    codes = [layer[0].cpu() for layer in found]
    payloads = tuple(
        entropy.pack(codes[layer], m.tables(codes[:layer], codes[layer])) for layer in range(count)
    )
    return container.write(
        container.Container(
            model=m.name,
            weights_hash=m.hash[:4],
            width=picture.width,
            height=picture.height,
            mode=picture.mode,
            payloads=payloads,
            chunks=pack_chunks(picture),
        )
    )


def decompress(
    blob: bytes,
    model: str | Path | Model | None = None,
    layers: int | None = None,
    device: str = "cpu",
) -> Image.Image:
    """Inverse of `compress`, up to the loss: the picture in `blob`, the same on every machine.

    model: by default the installed one that the file names. layers: decode only so many. A file
    that was cut decodes to the layers that arrived, with a CutFileWarning. Raises FormatError if
    the bytes are damaged and UnknownModelError if the model is not there.
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
    m = model_of(c, model, device)
    codes = unpack(c, m, kept)
    x = m.decode([layer[None] for layer in codes], (c.height, c.width))[0]
    rgb = x.mul(255).round_().to(torch.uint8).movedim(0, -1).cpu().numpy()
    return image.to_pillow(from_chunks(rgb, c.mode, c.chunks))


def unpack(c: container.Container, m: Model, kept: int) -> list[Tensor]:
    """The codes of the first `kept` layers of a container: each [groups,h,w] int64."""
    codes: list[Tensor] = []
    for layer in range(kept):
        current = torch.zeros(m.code_shape(layer, (c.height, c.width)), dtype=torch.int64)
        codes.append(entropy.unpack(c.payloads[layer], current, m.tables(codes, current)))
    return codes


def model_of(c: container.Container, model: str | Path | Model | None, device: str) -> Model:
    """The model that can decode `c`; UnknownModelError if it is not there or has other weights."""
    if isinstance(model, Model):
        m = model
    else:
        if model is None and c.model not in zoo.names():
            raise UnknownModelError(
                f"made by model {c.model!r}, which is not installed; give its weights as the model"
            )
        m = cached(zoo.path(model or c.model), device)
    if m.hash[:4] != c.weights_hash:
        raise UnknownModelError(
            f"made by other weights of {c.model!r} ({c.weights_hash.hex()}); "
            f"those given are {m.name!r} ({m.hash[:4].hex()})"
        )
    if len(c.payloads) > len(m.layers):
        raise FormatError(f"{len(c.payloads)} layers in the file; {m.name} has {len(m.layers)}")
    return m


@lru_cache(maxsize=2)
def cached(weights: Path, device: str) -> Model:
    """`zoo.load`, keeping the last two."""
    return zoo.load(weights, device)


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
