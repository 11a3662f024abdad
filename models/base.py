"""The contract that every model keeps, whatever its paper.

    encode   x [B,3,H,W] in 0..1  ->  codes: one tensor [B,groups,h,w] int64 a layer, coarse to fine
    decode   any prefix of codes  ->  x_hat [B,3,H,W] in 0..1
    tables   what is decoded already -> integer frequencies of the codes to come

Rows of `tables` may depend only on coarser layers and on codes that earlier batches of the same
layer named; so one generator drives both the encoder and the decoder of the entropy coder.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOTAL = 1 << 24  # frequencies of one symbol sum to this (constriction's precision)
SOFT = 0.02  # LPIPS that hardly anybody sees


Where = slice | Tensor  # places: from..to, or their numbers [n]


def count(where: Where) -> int:
    """How many places."""
    return where.stop - where.start if isinstance(where, slice) else len(where)


def zeros(shape: tuple[int, ...], kind: type[np.generic] = np.int64) -> Tensor:
    """As torch's, but without waking its threads, which would keep a core busy for a while."""
    return torch.from_numpy(np.zeros(shape, kind))


@dataclass(frozen=True)
class Layer:
    """Where the codes of one layer stand: `groups` codes of 0..codebook-1 every `stride` pixels."""

    stride: int
    groups: int
    codebook: int


@dataclass(frozen=True)
class Batch:
    """Codes that can be entropy-coded together.

    where: [n] int64, places in the layer's flattened codes [groups,h,w], or from which to which.
    frequencies: [n,K] or, if all n share one table, [1,K] float64 holding whole numbers >= 0 that
        sum to TOTAL - K; symbol s then has probability (f_s + 1) / TOTAL.
    first: symbol s is the code first + s. The last symbol stands for all greater codes too; a later
        batch says which it is. Until then the decoder has the least of them.
    """

    where: Where
    frequencies: Tensor
    first: int = 0

    def symbols(self, codes: Tensor) -> Tensor:
        """The symbols [n] of this batch, given all codes of the layer."""
        named = codes.flatten()[self.where] - self.first
        return named.clamp_(max=self.frequencies.shape[-1] - 1)

    def bits(self, codes: Tensor) -> float:
        """What this batch takes at least, given all codes of the layer."""
        symbols = self.symbols(codes)
        chosen = self.frequencies.expand(len(symbols), -1).gather(1, symbols[:, None])
        return -float(((chosen.double() + 1) / TOTAL).log2().sum())


class Model(nn.Module, ABC):
    """A hierarchical discrete autoencoder that can serve as a codec."""

    layers: tuple[Layer, ...]  # coarse to fine
    family: str  # key of zoo.FAMILIES
    kind = "picture"  # or "sound": what it codes
    rate = 0  # samples a second that a model of sound takes
    margin = 0  # sound: frames on each side that a frame's codes and samples depend on
    name = "untrained"  # what a file calls it; set when weights are loaded
    hash = bytes(32)  # SHA-256 of what decoding codes reads; likewise
    config: Any  # the frozen dataclass it was built from
    tunable = False  # whether `choose` heeds its thrift
    stages = 1  # of training, if it has several: `loss` trains one part of the model after another
    stage_steps = 0  # steps of each
    # weights that decide neither what codes mean nor how they are coded; `hash` leaves them out, so
    # another decoder may show the same file
    transform_prefixes: tuple[str, ...] = ("encoder.", "decoder.")
    # distance [B] of x_hat and x [B,3,H,W]; when the trainer sets it, `loss` returns its mean as
    # "lpips" and that of its logarithm as "log_lpips", and the trainer adds them to what is
    # minimised
    perceptual: Callable[[Tensor, Tensor], Tensor] | None = None

    @abstractmethod
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Codes of pictures [B,3,H,W] in 0..1, any H, W >= 1: a [B,groups,h,w] int64 a layer.

        layers: compute only so many, coarse to fine.
        """

    def analyze(self, x: Tensor, effort: int = 1, layers: int | None = None) -> Any:
        """What `choose` has to know of pictures x [B,3,H,W]; the networks run here, once.

        effort: from 1; more searches for better codes, in models that have a search,
        for files of so many layers (by default all). The decoder need not know.
        """
        return self.encode(x)

    def choose(self, analysis: Any, codes: Sequence[Tensor], thrift: float = 1.0) -> Tensor:
        """Codes [B,groups,h,w] of layer len(codes), given those of the coarser layers.

        thrift: how dear a bit is, relative to what the model was trained for; only models that
        are `tunable` heed it.
        """
        return analysis[len(codes)]  # type: ignore[no-any-return]

    def choose_and_code(
        self, analysis: Any, codes: Sequence[Tensor], current: Tensor, thrift: float = 1.0
    ) -> Iterator[Batch]:
        """`choose` and `tables` of one picture at once; models may save work that both would do.

        codes: the coarser layers, [groups,h,w] on the CPU; current: likewise of layer len(codes),
        filled in no later than the batch that names a code is drawn.
        """
        like = next(self.parameters())
        chosen = self.choose(analysis, [layer[None].to(like.device) for layer in codes], thrift)
        current.copy_(chosen[0])
        yield from self.tables(codes, current)

    @abstractmethod
    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss: [B,3,H,W] in 0..1 from any prefix of the layers.

        size: (H, W) to crop to; by default the padded size.
        """

    @abstractmethod
    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Scalars of one training step for x [B,3,H,W]; `loss` is minimised, the rest is shown."""

    @abstractmethod
    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """The order in which layer len(codes) is coded, and the frequencies.

        codes: the coarser layers, each [groups,h,w] int64 on the CPU. current: [groups,h,w] of the
        layer to code; when a batch is drawn, all that earlier batches named is filled in.
        """

    def pack(self, codes: Sequence[Tensor], current: Tensor) -> bytes | None:
        """The payload of `current`, made faster than by `tables`; None if there is no way.

        The arguments are those of `tables`.
        """
        return None

    def unpack(self, payload: bytes, codes: Sequence[Tensor], current: Tensor) -> bool:
        """Fill in `current` from its payload faster than by `tables`; False if there is no way.

        The arguments are those of `tables`. Raises FormatError as `entropy.unpack` does.
        """
        return False

    def choose_and_pack(
        self, analysis: Any, codes: Sequence[Tensor], current: Tensor, thrift: float = 1.0
    ) -> bytes | None:
        """The payload of what `choose_and_code` chooses, made faster; None if there is no way."""
        return None

    def interpolate(self, x: Tensor, y: Tensor, count: int) -> list[Tensor] | None:
        """Codes on the way from one picture to another, [count,groups,h,w] int64 a layer.

        x, y: [1,3,H,W] in 0..1; their latents are mixed in equal steps, both ends among them, and
        then quantized. None if the family has no latent to mix.
        """
        return None

    def log_prior(self, codes: Sequence[Tensor], size: tuple[int, int]) -> Tensor | None:
        """log p of layer len(codes) by the model's own generative path, in floating point.

        codes: the coarser layers, [B,1,h,w] each; size: (H, W) of the picture, B is 1 if there are
        no codes. Nats [B,K,h,w], or None if all that the family has is its tables.
        """
        return None

    @property
    def default_layers(self) -> int:
        """How many layers a file gets unless somebody says."""
        return len(self.layers)

    @property
    def stride(self) -> int:
        """Pictures are padded to a multiple of this many pixels."""
        return max(layer.stride for layer in self.layers)

    def code_shape(self, layer: int, size: tuple[int, int]) -> tuple[int, int, int]:
        """(groups, h, w) of a layer's codes for a picture of `size` (H, W) pixels."""
        height, width = (-(-side // self.stride) * self.stride for side in size)
        spec = self.layers[layer]
        return spec.groups, height // spec.stride, width // spec.stride

    def pad(self, x: Tensor) -> Tensor:
        """Repeat the last row and column until both sides are multiples of `stride`."""
        height, width = x.shape[-2:]
        return F.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")

    def initialize(self, x: Tensor, loaded: Collection[str] = ()) -> None:
        """Set weights from training pictures x [N,3,H,W] before the first step.

        loaded: parameters that other weights have set already, and that stay.
        """

    def calibrate(self, x: Tensor) -> None:
        """Count static tables on training pictures x [N,3,H,W] after the last step."""

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """What the optimizer gets; a model may give its codebooks a rate of their own."""
        return [{"params": list(self.parameters()), "lr": lr}]


def lpips_terms(distance: Tensor) -> dict[str, Tensor]:
    """What `loss` returns of a perceptual distance [B]; SOFT keeps flat crops from ruling."""
    return {"lpips": distance.mean(), "log_lpips": (distance + SOFT).log().mean()}


def mix(ends: Tensor, count: int) -> Tensor:
    """Latents in equal steps from the first to the second of two: [2,..] -> [count,..]."""
    steps = torch.linspace(0, 1, count, device=ends.device).view(-1, *[1] * (ends.dim() - 1))
    return torch.lerp(ends[:1], ends[1:], steps)


def frequencies(weights: Tensor) -> Tensor:
    """Frequencies for `Batch` in proportion to whole weights >= 0: [...,K] -> [...,K] float64.

    Exact on every machine: float64 products of whole numbers below 2^53, one correctly rounded
    division each; what rounding down leaves, less than K, goes to code 0. Weights that are float64
    already are overwritten.
    """
    f = weights.to(torch.float64)
    free, total = TOTAL - f.shape[-1], f.sum(-1, keepdim=True)
    f = f.mul_(free).div_(total).floor_()
    f[..., 0] += free - f.sum(-1)
    return f
