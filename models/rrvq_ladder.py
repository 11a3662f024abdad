"""The networks of an RRVQ-VAE (App. C) and the configuration that shapes them.

All convolutions are weight-normalised, all nonlinearities ELU, as in Kingma et al. (2016). `enc`,
`dec`, `ladder` and `strap` are the paper's names; where it leaves room, what was taken:

- `dec` enlarges the picture's side before the strap of the finer layer reads it, so that straps
  keep the side; in the paper straps enlarge too. Both see the same layers.
- enc and dec between two layers are `blocks` residual blocks. At a change of grid one more block
  stands before (enc) or after them, with a strided or transposed convolution inside and a pooled
  or repeated identity.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.grids import check_grids
from hqcodec.models.responsibility import wide
from hqcodec.models.weight_norm import Block, Conv, Up

LOG_SCALE = -2.5  # of the likelihood before it is set from pictures: 21 of 256 levels
PICTURE = 0.3  # deviation of what becomes a picture of -1..1


@dataclass(frozen=True)
class RRVQConfig:
    """The hierarchy and how it is trained; the defaults are L = 5 on CIFAR-10 (App. F)."""

    resolutions: tuple[int, ...] = (32, 16, 8, 4, 2)  # strides, falling powers of two >= 2
    chain: tuple[int, ...] = (1, 1, 1, 1, 1)  # layers at each resolution
    codebook: tuple[int, ...] = (256, 256, 256, 256, 256)  # K of each layer
    dim: int = 128  # d_e, of a code vector
    width: int = 256  # channels of the backbones
    blocks: int = 4  # residual blocks between two layers; 1 in the paper's L = 32
    ladder_blocks: int = 4  # in each ladder and strap, before a convolution; 0 in L = 32
    parameterisation: str = "embed"  # of p(z_l|z_>l), "embed" (eq 7) or "direct"; Table G.1
    sigma: str = "learnt"  # or "fixed" to 1; Table G.1
    top: str = "uniform"  # p(z_L), or "learned"
    free_bits: float = 0.0  # nats of KL a code that cost nothing; of each layer's mean
    temperature: float = 1.0  # tau of the Gumbel-softmax at the start
    last_temperature: float = 0.5  # the least it falls to
    temperature_decay: float = 1e-3  # tau = temperature * exp(-decay * step)
    decoder_scale: str = "global"  # of the likelihood, one a channel; "predicted": one a pixel
    codebook_rate: float = 1.0  # learning rate of means and variances over that of the rest
    entry: float = 1.0  # deviation of what a layer adds to the backbone when training starts
    context: int = 0  # hidden channels of the learned integer prior; 0: static tables

    def __post_init__(self) -> None:
        """Refuse a hierarchy that does not fit together."""
        check_grids(self.resolutions, self.chain)
        if len(self.codebook) != sum(self.chain) or min(self.codebook) < 2:
            raise HqcodecError(
                f"codebook {self.codebook}; want {sum(self.chain)} sizes of 2 codes or more"
            )
        for key, known in (
            ("parameterisation", ("embed", "direct")),
            ("sigma", ("learnt", "fixed")),
            ("top", ("uniform", "learned")),
            ("decoder_scale", ("global", "predicted")),
        ):
            if (value := getattr(self, key)) not in known:
                raise HqcodecError(f'{key} {value!r}; want "{known[0]}" or "{known[1]}"')
        if min(self.dim, self.width, self.blocks) < 1:
            raise HqcodecError("dim, width and blocks; want >= 1")
        if min(self.ladder_blocks, self.free_bits, self.temperature_decay, self.context) < 0:
            raise HqcodecError("ladder_blocks, free_bits, temperature_decay, context; want >= 0")
        for key in ("codebook_rate", "entry"):
            if getattr(self, key) <= 0:
                raise HqcodecError(f"{key} {getattr(self, key)}; want a number above 0")
        if not 0 < self.last_temperature <= self.temperature:
            found = f"{self.temperature} to {self.last_temperature}"
            raise HqcodecError(f"temperature {found}; want it to fall, and to stay above 0")

    @property
    def strides(self) -> tuple[int, ...]:
        """The stride of each layer, coarse to fine."""
        pairs = zip(self.resolutions, self.chain, strict=True)
        return tuple(stride for stride, count in pairs for _ in range(count))


def halvings(coarse: int, fine: int) -> int:
    """How often the side halves from stride `fine` to stride `coarse`."""
    return coarse.bit_length() - fine.bit_length()


def branch(inputs: int, outputs: int, blocks: int, deviation: float = 1.0) -> nn.Sequential:
    """A ladder or strap: a convolution, behind residual blocks at the wider side if there are any.

    [B,inputs,h,w] -> [B,outputs,h,w]; deviation: of what the convolution gives at the start.
    """
    before = [Block(inputs) for _ in range(blocks if inputs >= outputs else 0)]
    conv = Conv(inputs, outputs)
    conv.deviation = deviation
    after = [Block(outputs) for _ in range(blocks - len(before))]
    return nn.Sequential(*before, conv, *after)


def logits(width: int, size: int, blocks: int) -> nn.Sequential:
    """A strap that gives logits: residual blocks as wide as `branch` has them of embeddings.

    [B,width,h,w] -> [B,size,h,w]
    """
    return nn.Sequential(*(Block(width) for _ in range(blocks)), Conv(width, size))


class Encoder(nn.Module):
    """What only encoding needs: the backbone of enc networks, and q's ladders and straps."""

    def __init__(self, config: RRVQConfig) -> None:
        """Shaped by the configuration."""
        super().__init__()
        strides, width = config.strides, config.width
        self.stem = Conv(3, width, 3, 2)
        stacks = [
            nn.Sequential(
                *(Block(width, -1) for _ in range(halvings(coarser, finer))),
                *(Block(width) for _ in range(config.blocks)),
            )
            for finer, coarser in pairwise((2, *reversed(strides)))
        ]
        self.enc = nn.ModuleList(stacks)  # fine to coarse, as they run
        shape = config.width, config.dim, config.ladder_blocks
        self.ladder = nn.ModuleList(branch(*shape) for _ in strides)  # coarse to fine
        self.strap = nn.ModuleList(branch(*shape) for _ in strides)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The backbone: [B,3,H,W] in 0..1 -> [B,width,h,w] a layer, coarse to fine."""
        features = [self.stem(2 * x - 1)]
        for stack in self.enc:
            features.append(stack(features[-1]))
        return features[:0:-1]

    def embedding(self, layer: int, state: Tensor, feature: Tensor) -> Tensor:
        """e_phi of eq 6, the sum of ladder and strap: two of [B,width,h,w] -> [B,dim,h,w]."""
        e: Tensor = self.ladder[layer](feature) + self.strap[layer](state)
        return e


class Generator(nn.Module):
    """The generative backbone: p's ladders and straps and the dec networks between layers."""

    def __init__(self, config: RRVQConfig) -> None:
        """Shaped by the configuration."""
        super().__init__()
        width, blocks = config.width, config.ladder_blocks
        self.start = nn.Parameter(0.1 * torch.randn(width))  # d_{L+1} of App. C
        direct = config.parameterisation == "direct"
        uniform = 1 if config.top == "uniform" else 0
        self.first = uniform  # the first layer that has a strap
        self.strap = nn.ModuleList(
            logits(width, size, blocks) if direct else branch(width, config.dim, blocks)
            for size in config.codebook[uniform:]
        )
        self.ladder = nn.ModuleList(
            branch(config.dim, width, blocks, config.entry) for _ in config.codebook
        )
        self.dec = nn.ModuleList(_dec(config))

    def embedding(self, layer: int, state: Tensor) -> Tensor:
        """e_theta of eq 7, or logits: [B,width,h,w] -> [B,dim,h,w] or, if direct, [B,K,h,w]."""
        e: Tensor = self.strap[layer - self.first](state)
        return e

    def advance(self, layer: int, state: Tensor, z: Tensor) -> Tensor:
        """What the next layer sees: d [B,width,h,w], z [B,dim,h,w] -> [B,width,h',w']."""
        state = state + self.ladder[layer](z)
        return self.dec[layer](state) if layer < len(self.dec) else state


def _dec(config: RRVQConfig) -> Iterator[nn.Sequential]:
    """One between every two layers."""
    for coarse, fine in pairwise(config.strides):
        yield nn.Sequential(
            *(Block(config.width, 1) for _ in range(halvings(coarse, fine))),
            *(Block(config.width) for _ in range(config.blocks)),
        )


class Decoder(nn.Module):
    """What only showing needs: dec_1, and the scale of the likelihood."""

    def __init__(self, config: RRVQConfig) -> None:
        """Shaped by the configuration."""
        super().__init__()
        width = config.width
        self.net = nn.Sequential(
            *(Block(width) for _ in range(config.blocks)),
            *(Block(width, 1) for _ in range(halvings(config.strides[-1], 2))),
            nn.ELU(),
            Up(width, 6 if config.decoder_scale == "predicted" else 3),
        )
        last = self.net[-1]
        assert isinstance(last, Up)
        last.deviation = PICTURE
        self.log_scale = nn.Parameter(torch.full((3,), LOG_SCALE))  # one a channel of the picture

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """[B,width,h,w] -> mean, about 0..1, and log scale of each pixel, both [B,3,H,W]."""
        y = wide(self.net(state))
        mean = (y[:, :3] + 1) / 2
        log_scale = wide(self.log_scale)[:, None, None].expand_as(mean)
        return mean, log_scale + y[:, 3:] if y.shape[1] > 3 else log_scale
