"""A picture to the bytes of a .hqc file, and codes to a picture.

picture --image--> x --model--> codes --entropy.pack--> payloads --container--> bytes
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hqcodec import container, image
from hqcodec.chunks import from_chunks, pack_chunks
from hqcodec.content import Pixels
from hqcodec.errors import HqcodecError
from hqcodec.ladder import Ladder
from hqcodec.models.base import Model
from hqcodec.target import Target, Thrifts, ends, rung, search

LOSSLESS = 1000.0  # dB in place of infinity, which neither a search nor JSON can take


def compress(
    picture: image.Picture, m: Model, layers: int, target: Target | None, effort: int
) -> bytes:
    """The bytes of a .hqc file; see `hqcodec.compress`."""
    if target is not None and target.kbps is not None:
        raise HqcodecError("a target in kbit/s is for sounds; for a picture give bpp, size or psnr")
    x = to_tensor(picture).to(next(m.parameters()).device)
    ladder = Ladder(m, x, effort if target is None else 1, layers)
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
        return file(rung(layers))
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


def show(c: container.Container, m: Model, codes: list[Tensor]) -> Image.Image:
    """The picture of a container's codes, each [groups,h,w], of any prefix of its layers."""
    assert isinstance(c.content, Pixels)
    x = m.decode([layer[None] for layer in codes], (c.content.height, c.content.width))
    return image.to_pillow(from_chunks(from_tensor(x), c.content.mode, c.chunks))


def to_picture(source: Image.Image | image.Picture | Path | str | bytes) -> image.Picture:
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
