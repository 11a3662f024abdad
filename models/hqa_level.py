"""One level of HQA: its encoder, its decoder, its quantizer, and the statistics of its input.

z_lower [B,C,2h,2w] --Normalise--> --encoder--> z_e [B,dim,h,w]     strided 3x3 convolutions
z_e --GumbelQuantizer--> z_q [B,dim,h,w] and codes [B,1,h,w]        eq 6
z_q --decoder--> --Normalise.undo--> z_lower                        nearest-neighbour upsampling
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.quantize import distances, draw, lookup, nearest

DEAD = 0.03  # a code used less than this part of the most used one is reset, App. C.4
JITTER = 0.1  # standard deviation of epsilon in App. C.4: its N(0, 0.01) states the variance
# Standard deviation of each dimension of z_e when a level starts. Half the squared distance of two
# latents is then about 64 * 0.3^2 = 6 nats at 64 dimensions: posteriors neither flat nor one-hot.
SPREAD = 0.3
TINY = 1e-5  # variance below which an input channel counts as constant


@dataclass(frozen=True)
class HQAConfig:
    """The stack, level 1 (nearest to the pixels) first; the defaults are table 10 (MNIST)."""

    codebook: tuple[int, ...] = (256, 256, 256, 256, 256)  # K of each level
    encoder_width: tuple[int, ...] = (16, 16, 32, 48, 80)  # hidden units
    decoder_width: tuple[int, ...] = (16, 32, 48, 80, 128)
    dropout: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)  # behind hidden layers, when training
    dim: int = 64  # of a code vector, App. C.1
    encoder_layers: int = 3  # convolutions, the last but one of them strided
    decoder_layers: int = 3  # convolutions, upsampled before the last but one
    dilated: bool = False  # those before the upsampling, but for the first, reach 2, 4, 8 .. far
    entropy: float = 1e-3  # beta_e
    commitment: float = 1e-3  # beta_c
    temperature: float = 0.66  # tau at the start of a level; 0.4 on photographs
    last_temperature: float = 0.01  # tau at its end
    level_steps: int = 18_000  # steps of each level, and of the prior if there is one
    reset_every: int = 20  # steps after which a dead code may be reset; 0: never
    context: int = 0  # hidden channels of the learned prior; 0: static tables

    def __post_init__(self) -> None:
        """Refuse a stack that does not fit together."""
        levels = len(self.codebook)
        if not 1 <= levels <= 12 or min(self.codebook) < 2:
            raise HqcodecError(f"codebook {self.codebook}; want 1 to 12 sizes of 2 codes or more")
        for key in ("encoder_width", "decoder_width", "dropout"):
            if len(values := getattr(self, key)) != levels:
                raise HqcodecError(f"{key} {values}; want {levels} numbers, one a level")
        if min(*self.encoder_width, *self.decoder_width, self.dim, self.level_steps) < 1:
            raise HqcodecError("encoder_width, decoder_width, dim and level_steps; want >= 1")
        if min(self.dropout) < 0 or max(self.dropout) >= 1:
            raise HqcodecError(f"dropout {self.dropout}; want shares of 0 to below 1")
        if self.encoder_layers < 2 or self.decoder_layers < 3:
            found = f"{self.encoder_layers} encoder and {self.decoder_layers} decoder layers"
            raise HqcodecError(f"{found}; want at least 2 and 3")
        if not 0 < self.last_temperature <= self.temperature:
            found = f"{self.temperature} to {self.last_temperature}"
            raise HqcodecError(f"temperature {found}; want it to fall, and to stay above 0")
        if min(self.reset_every, self.context) < 0:
            raise HqcodecError("reset_every and context; want >= 0")


class Sample(NamedTuple):
    """What training gets of a quantizer; the terms of Algorithm 2 are sums over the positions."""

    z: Tensor  # zq-soft of line 16, [B,dim,h,w]
    codes: Tensor  # [B,1,h,w], the largest of each sample
    entropy: Tensor  # H[q(z|x)] in nats, a scalar: minus Lentropy of line 19
    commitment: Tensor  # Lcommit of line 20, a scalar


def log_posterior(distance: Tensor) -> Tensor:
    """log q(k|z_e), nats, from the squared distances of z_e to each code: [..,K] -> [..,K].

    Line 14 of Algorithm 2 halves the distance, eq 6 in the text does not; this is the algorithm's:
    the responsibilities of Gaussians of unit variance.
    """
    return (distance / -2).log_softmax(-1)


class GumbelQuantizer(nn.Module):
    """Vectors become codes: sampled and soft in training, the nearest one in the codec."""

    codebook: Tensor
    uses: Tensor

    def __init__(self, size: int, dim: int) -> None:
        """`size` code vectors of `dim` dimensions."""
        super().__init__()
        self.codebook = nn.Parameter(SPREAD * torch.randn(1, size, dim))
        self.register_buffer("uses", torch.zeros(size, dtype=torch.int64))  # since the last reset

    def encode(self, z: Tensor) -> Tensor:
        """Most likely codes: [B,dim,h,w] -> [B,1,h,w]."""
        return nearest(z, self.codebook)

    def decode(self, codes: Tensor) -> Tensor:
        """Inverse of `encode`, up to the loss: [B,1,h,w] -> [B,dim,h,w]."""
        return lookup(codes, self.codebook)

    def forward(self, z: Tensor, temperature: float) -> Sample:
        """A Gumbel-softmax sample at a temperature, in eval mode the nearest code: lines 14 - 20.

        z: [B,dim,h,w]. In train mode the sampled codes are counted, see `reset`.
        """
        distance = distances(z, self.codebook)  # [B,1,h,w,K], without |z|^2
        log_q = log_posterior(distance)
        q = log_q.exp()
        if self.training:
            # Gumbel noise from uniform numbers; F.gumbel_softmax draws exponential ones, which take
            # a CPU as long as all the rest of a step
            noise = -torch.rand_like(log_q).log().neg_().log_()
            weights = ((log_q + noise) / temperature).softmax(-1)
            codes = weights.argmax(-1)
            self.uses += codes.flatten().bincount(minlength=len(self.uses))
            soft = torch.einsum("bghwk,gkd->bgdhw", weights, self.codebook).flatten(1, 2)
        else:
            codes = self.encode(z)
            soft = self.decode(codes)
        return Sample(soft, codes, -(q * log_q).sum(), (q * distance).sum() + z.square().sum())

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Code vectors drawn from z [B,dim,h,w]."""
        self.codebook.copy_(draw(z, 1, len(self.uses)))

    @torch.no_grad()
    def reset(self) -> None:
        """Move the least used code beside the most used one if it is dead (App. C.4)."""
        most, least = int(self.uses.argmax()), int(self.uses.argmin())
        if self.uses[least] < DEAD * self.uses[most]:
            vectors = self.codebook[0]
            vectors[least] = vectors[most] + JITTER * torch.randn_like(vectors[most])
        self.uses.zero_()


class Normalise(nn.Module):
    """Zero mean and unit variance a channel by statistics over all batches so far (App. C.1).

    They are plain averages: what is below is frozen, so there is nothing that they should forget.
    """

    batches: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, channels: int) -> None:
        """The identity until something is counted."""
        super().__init__()
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))  # mean square

    def count(self, z: Tensor) -> None:
        """Take a batch [B,C,h,w] into the averages."""
        self.batches += 1
        self.mean += (z.mean((0, 2, 3)) - self.mean) / self.batches
        self.square += (z.square().mean((0, 2, 3)) - self.square) / self.batches

    def deviation(self) -> Tensor:
        """Standard deviation [C,1,1]; 1 of a channel that is constant."""
        variance = self.square - self.mean.square()
        return torch.where(variance > TINY, variance, 1.0).sqrt()[:, None, None]

    def forward(self, z: Tensor) -> Tensor:
        """[B,C,h,w] -> [B,C,h,w]."""
        return (z - self.mean[:, None, None]) / self.deviation()

    def undo(self, z: Tensor) -> Tensor:
        """Inverse of `forward`."""
        return z * self.deviation() + self.mean[:, None, None]


def encoder(channels: int, config: HQAConfig, level: int) -> nn.Sequential:
    """[B,channels,2h,2w] -> z_e [B,dim,h,w]."""
    width, dropout = config.encoder_width[level], config.dropout[level]
    layers: list[nn.Module] = []
    for n in range(config.encoder_layers - 1):
        stride = 2 if n == config.encoder_layers - 2 else 1
        layers.append(nn.Conv2d(width if n else channels, width, 3, stride=stride, padding=1))
        layers += [nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Conv2d(width, config.dim, 3, padding=1))


def decoder(channels: int, config: HQAConfig, level: int) -> nn.Sequential:
    """Inverse of `encoder` in shape; level 0 ends with a sigmoid, as pixels are in 0..1."""
    width, dropout = config.decoder_width[level], config.dropout[level]
    layers: list[nn.Module] = []
    for n in range(config.decoder_layers - 2):
        reach = 2**n if config.dilated else 1
        before = width if n else config.dim
        layers.append(nn.Conv2d(before, width, 3, padding=reach, dilation=reach))
        layers += [nn.GELU(), nn.Dropout(dropout)]
    layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
    layers += [nn.GELU(), nn.Dropout(dropout), nn.Conv2d(width, channels, 3, padding=1)]
    return nn.Sequential(*layers, *([] if level else [nn.Sigmoid()]))


@torch.no_grad()
def scale(net: nn.Module, z: Tensor) -> None:
    """Rescale an encoder so that what it gave, z [B,dim,h,w], has zero mean and SPREAD."""
    assert isinstance(net, nn.Sequential)
    last = net[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    mean = z.mean((0, 2, 3))
    factor = SPREAD / (z - mean[:, None, None]).std()
    last.bias.sub_(mean).mul_(factor)
    last.weight.mul_(factor)
