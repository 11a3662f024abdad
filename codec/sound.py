"""A sound to the bytes of a .hqc file, and codes to a sound, both in pieces.

samples --resample--> x --stream--> codes --entropy.pack--> payloads --container--> bytes

Samples are never in memory as a whole. Codes are, since the file holds them layer by layer: 19 kB a
second and channel with 16 layers of two groups.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqcodec import audio, container, entropy, stream
from hqcodec.content import Samples
from hqcodec.errors import HqcodecError
from hqcodec.models.base import Model
from hqcodec.resample import Resampler, resampled
from hqcodec.target import Target

ENCODING = 0.33  # share of the time that the networks take; the rest is entropy coding


def compress(
    reader: audio.Reader,
    m: Model,
    layers: int,
    target: Target | None,
    progress: Callable[[float], object],
) -> bytes:
    """The bytes of a .hqc file; see `hqcodec.compress`."""
    if target is not None and (target.bpp is not None or target.psnr is not None):
        raise HqcodecError("a target in bpp or dB is for pictures; for a sound give kbps or size")
    tries = layers if target is None else len(m.layers)
    codes, content = encode(reader, m, tries, lambda share: progress(ENCODING * share))
    blob = b""
    payloads: tuple[bytes, ...] = ()
    for n, layer in enumerate(codes):
        payloads += (entropy.pack(layer, m.tables(codes[:n], layer)),)
        longer = container.write(
            container.Container(m.name, m.hash[:4], content, chunks={}, payloads=payloads)
        )
        if target is not None and len(longer) > (most := target.bytes_of(content.seconds)):
            if not blob:
                least = f"this sound takes {len(longer)} bytes or more with model {m.name}"
                raise HqcodecError(f"target of {most:.0f} bytes: {least}")
            break
        blob = longer
        progress(ENCODING + (1 - ENCODING) * (n + 1) / tries)
    return blob


def encode(
    reader: audio.Reader, m: Model, layers: int, progress: Callable[[float], object]
) -> tuple[list[Tensor], Samples]:
    """The codes [groups,channels,frames] of so many layers, and what was read."""
    encoder = stream.Encoder(m, reader.channels, layers)
    resampler = Resampler(reader.rate, m.rate, reader.channels)
    parts: list[list[Tensor]] = [[] for _ in range(layers)]
    count = 0

    def keep(found: list[Tensor]) -> None:
        for pieces, piece in zip(parts, found, strict=True):
            pieces.append(piece)

    for block in reader.blocks():
        count += len(block)
        keep(encoder.push(to_coded(resampler.push(block))))
        progress(min(1.0, count / max(1, reader.length)))
    keep(encoder.push(to_coded(resampler.finish())))
    keep(encoder.finish())
    codes = []
    for pieces in parts:
        codes.append(torch.cat(pieces, -1))
        pieces.clear()  # or all codes would be in memory twice
    return codes, Samples(reader.channels, count, reader.rate)


def blocks(content: Samples, m: Model, codes: list[Tensor]) -> Iterator[NDArray[np.float32]]:
    """Inverse of `encode`, up to the loss: [n,channels] in -1..1, for any prefix of the layers."""
    resampler = Resampler(m.rate, content.rate, content.channels)
    restored = (from_coded(x) for x in first(decode(m, codes), size(content, m)[1]))
    made = chain(map(resampler.push, restored), _late(resampler))
    return (x.clip(-1, 1) for x in first(made, content.samples))


def decode(m: Model, codes: list[Tensor]) -> Iterator[NDArray[np.float32]]:
    """The channels as they are coded, in whole frames: [n,channels]."""
    _, channels, frames = codes[0].shape
    decoder = stream.Decoder(m, channels)
    for start in range(0, frames, stream.BLOCK):
        yield decoder.push([layer[..., start : start + stream.BLOCK] for layer in codes])
    yield decoder.finish()


def size(content: Samples, m: Model) -> tuple[int, int]:
    """Channels, and samples at the model's rate."""
    return content.channels, resampled(content.samples, content.rate, m.rate)


def to_coded(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Channels as they are coded, clipped to -1..1: [n,channels], of stereo mid and side."""
    x = x.clip(-1, 1)
    if x.shape[1] != 2:
        return x
    left, right = x.T
    return np.stack([(left + right) / 2, (left - right) / 2], 1)


def from_coded(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of `to_coded`."""
    if x.shape[1] != 2:
        return x
    mid, side = x.T
    return np.stack([mid + side, mid - side], 1)


def first(parts: Iterable[NDArray[np.float32]], count: int) -> Iterator[NDArray[np.float32]]:
    """The first `count` samples of what comes in parts [n,channels]; empty parts are left out."""
    for part in parts:
        if len(kept := part[:count]):
            yield kept
        count -= len(kept)


def told(
    parts: Iterable[NDArray[np.float32]], content: Samples, progress: Callable[[float], object]
) -> Iterator[NDArray[np.float32]]:
    """The same parts; `progress` hears what share has gone by."""
    done = 0
    for part in parts:
        yield part
        done += len(part)
        progress(done / content.samples)


def whole(content: Samples, parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """All parts in one array [samples,channels]."""
    return np.concatenate([np.zeros((0, content.channels), np.float32), *parts])


def _late(resampler: Resampler) -> Iterator[NDArray[np.float32]]:
    """What the resampler has left, asked for only when all was pushed."""
    yield resampler.finish()
