"""Sound through a model piece by piece: samples in, codes out, and back.

    samples  Encoder.push, push, .., finish  ->  codes  Decoder.push, push, .., finish  ->  samples

The networks run on blocks of BLOCK frames, each with the frames around it that its own depend on
(`Model.margin`). Where a block begins and ends does not depend on what was pushed when: any pushes
give the same codes and samples, bit for bit, and memory does not grow.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.base import Model

BLOCK = 300  # frames: 4 seconds at 75 a second


class Encoder:
    """Samples [n,channels] at the model's rate -> codes [groups,channels,frames] a layer."""

    def __init__(self, model: Model, channels: int, layers: int | None = None) -> None:
        """layers: how many, coarse to fine; by default all."""
        self.model, self.layers = model, layers
        self._blocks = _Blocks(model.stride, model.margin)
        # a layer of no frames, to begin with
        self._empty = [
            torch.zeros(model.code_shape(layer, (channels, 0)), dtype=torch.int64)
            for layer in range(len(model.layers))[:layers]
        ]
        self.channels = channels

    def push(self, samples: NDArray[np.float32]) -> list[Tensor]:
        """Codes that are certain now, maybe of no frame, after more samples in -1..1."""
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise HqcodecError(f"samples {samples.shape}; want [n,{self.channels}]")
        return self._codes(self._blocks.push([torch.from_numpy(samples.T.copy())]))

    def finish(self) -> list[Tensor]:
        """Codes of what is left; silence fills the last frame."""
        return self._codes(self._blocks.finish())

    def _codes(self, windows: Iterator["_Window"]) -> list[Tensor]:
        device, found = _device(self.model), [[layer] for layer in self._empty]
        for window in windows:
            with torch.no_grad():
                codes = self.model.encode(window.parts[0][None].to(device), self.layers)
            for layer, chosen in zip(found, codes, strict=True):
                layer.append(chosen[0, ..., window.kept].cpu())
        return [torch.cat(layer, -1) for layer in found]


class Decoder:
    """Inverse of `Encoder`: codes a layer -> samples [n,channels], whole frames."""

    def __init__(self, model: Model, channels: int) -> None:
        """Any number of layers, coarse to fine, but the same in every push."""
        self.model, self.channels = model, channels
        self._blocks = _Blocks(1, model.margin)

    def push(self, codes: Sequence[Tensor]) -> NDArray[np.float32]:
        """Samples that are certain now, maybe none, after more frames [groups,channels,frames]."""
        if any(layer.dim() != 3 or layer.shape[1] != self.channels for layer in codes):
            shapes = [tuple(layer.shape) for layer in codes]
            raise HqcodecError(f"codes {shapes}; want [groups,{self.channels},frames]")
        return self._samples(self._blocks.push(codes))

    def finish(self) -> NDArray[np.float32]:
        """Samples of the frames that are left."""
        return self._samples(self._blocks.finish())

    def _samples(self, windows: Iterator["_Window"]) -> NDArray[np.float32]:
        device, hop = _device(self.model), self.model.stride
        found = [np.zeros((0, self.channels), np.float32)]
        for window in windows:
            size = self.channels, window.parts[0].shape[-1] * hop
            with torch.no_grad():
                x = self.model.decode([part[None].to(device) for part in window.parts], size)
            kept = slice(window.kept.start * hop, window.kept.stop * hop)
            found.append(x[0, :, kept].float().cpu().numpy().T)
        return np.concatenate(found)


class _Window:
    """Frames around a block, and which of them are the block's."""

    def __init__(self, parts: list[Tensor], kept: slice) -> None:
        """parts: [..,frames * unit] each."""
        self.parts, self.kept = parts, kept


class _Blocks:
    """Cuts what grows along its last dimension into blocks with a margin on each side."""

    def __init__(self, unit: int, margin: int) -> None:
        """unit: numbers a frame. margin: frames."""
        self.unit, self.margin = unit, margin
        self._parts: list[list[Tensor]] = []  # pushes, of one or more tensors each
        self._start = 0  # frame that they begin with
        self._next = 0  # frame that the next block begins with
        self._size = 0  # numbers that have come in all

    def push(self, parts: Sequence[Tensor]) -> Iterator[_Window]:
        """The blocks whose margins are there, after more of each part."""
        if self._parts and len(parts) != len(self._parts[0]):
            raise HqcodecError(f"{len(parts)} layers after {len(self._parts[0])}; keep to a number")
        self._parts.append(list(parts))
        self._size += parts[0].shape[-1]
        while self._size // self.unit >= self._next + BLOCK + self.margin:
            yield self._cut(BLOCK)

    def finish(self) -> Iterator[_Window]:
        """The blocks that end nearer to the end."""
        frames = -(-self._size // self.unit)
        while self._next < frames:
            yield self._cut(min(BLOCK, frames - self._next))

    def _cut(self, count: int) -> _Window:
        """The next block, of so many frames."""
        if len(self._parts) > 1:
            self._parts = [[torch.cat(pushes, -1) for pushes in zip(*self._parts, strict=True)]]
        [whole] = self._parts
        first = self._next - self._start  # margin before the block
        stop = (first + count + self.margin) * self.unit
        parts = [part[..., :stop].contiguous() for part in whole]
        self._next += count
        start = max(0, self._next - self.margin)
        drop = (start - self._start) * self.unit
        self._parts, self._start = [[part[..., drop:] for part in whole]], start
        return _Window(parts, slice(first, first + count))


def _device(model: Model) -> torch.device:
    """Where a model's weights lie."""
    return next(model.parameters()).device
