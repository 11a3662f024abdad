"""Vectors become codes: nearest neighbour, stochastic quantization, and vector quantization by EMA.

A latent of C channels is cut into `groups` vectors of C / groups dimensions at each position; every
group has K code vectors of its own. Codebooks are [groups, K, D], codes [B, groups, h, w] int64.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEAD = 0.03  # a code that takes less than this part of an equal share is reset
# s^2 starts at the mean squared distance between latents and code vectors over this. 300 steps of
# SQ-VAE-2 on CIFAR-10: 4 is softer than training gets rid of, 32 leaves more codes unused.
SOFT = 16.0
TINY = 1e-5  # below this use an average is rounding noise, so the code vector stays where it is


class Quantized(NamedTuple):
    """What a quantizer returns: z [B,C,h,w], codes [B,groups,h,w], entropy in nats, like codes."""

    z: Tensor
    codes: Tensor
    entropy: Tensor


def vectors(z: Tensor, groups: int) -> Tensor:
    """The vectors that get a code each: [B, groups*D, h, w] -> [B, groups, h, w, D]."""
    return z.view(len(z), groups, -1, *z.shape[2:]).movedim(2, -1)


def distances(z: Tensor, codebook: Tensor) -> Tensor:
    """|z - b|^2 - |z|^2: [B, groups*D, h, w], [groups, K, D] -> [B, groups, h, w, K].

    |z|^2 is the same for every code vector, so neither argmin nor softmax needs it.
    """
    cross = torch.einsum("bghwd,gkd->bghwk", vectors(z, len(codebook)), codebook)
    return codebook.square().sum(-1)[:, None, None] - 2 * cross


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """Code of the closest vector: [B, groups*D, h, w], [groups, K, D] -> [B, groups, h, w]."""
    return distances(z, codebook).argmin(-1)


def lookup(codes: Tensor, codebook: Tensor) -> Tensor:
    """The vectors that `codes` name: [B, groups, h, w], [groups, K, D] -> [B, groups*D, h, w]."""
    group = torch.arange(len(codebook), device=codes.device)[:, None, None]
    return codebook[group, codes].movedim(-1, 2).flatten(1, 2)


@torch.no_grad()
def perplexity(codes: Tensor, size: int) -> Tensor:
    """exp(entropy) of a batch's codes [B, groups, h, w], 1 to `size`: the mean over the groups."""
    groups = codes.shape[1]
    apart = codes.movedim(1, -1) + size * torch.arange(groups, device=codes.device)
    counts = apart.flatten().bincount(minlength=groups * size).view(groups, size)
    p = counts / counts.sum(1, keepdim=True)  # [groups, K]
    entropy: Tensor = torch.special.entr(p).sum(1)
    return entropy.exp().mean()


def draw(z: Tensor, groups: int, size: int) -> Tensor:
    """`size` vectors of z [B, groups*D, h, w], drawn at random: [groups, size, D]."""
    pool = vectors(z.detach(), groups).transpose(0, 1).flatten(1, 3)  # [groups, B*h*w, D]
    places = torch.rand(pool.shape[:2], device=z.device).argsort(1)
    # Fewer vectors than codes: take them again, a little shifted so that no two codes are one.
    places = places.repeat(1, -(-size // pool.shape[1]))[:, :size]
    drawn = pool.gather(1, places[..., None].expand(-1, -1, pool.shape[2]))
    return drawn + 0.01 * pool.std() * torch.randn_like(drawn)


class StochasticQuantizer(nn.Module):
    """Stochastic quantization of SQ-VAE and HQ-VAE: P(b_k | z) ~ exp(-|z - b_k|^2 / 2 s^2), eq 2.

    One codebook may serve several layers; each has its own s^2, learned as log s^2.
    """

    log_variance: Tensor

    def __init__(
        self, groups: int, size: int, dim: int, layers: int = 1, soft: float = SOFT
    ) -> None:
        """`size` code vectors of `dim` dimensions a group, for `layers` layers; soft: see SOFT."""
        super().__init__()
        self.soft = soft
        self.codebook = nn.Parameter(torch.randn(groups, size, dim))
        # Squared distances between N(0, I) vectors are about 2 D; see SOFT.
        self.log_variance = nn.Parameter(torch.full((layers,), math.log(2 * dim / soft)))

    def encode(self, z: Tensor) -> Tensor:
        """Most likely codes: [B, groups*D, h, w] -> [B, groups, h, w]."""
        return nearest(z, self.codebook)

    def decode(self, codes: Tensor) -> Tensor:
        """Inverse of `encode`, up to the loss: [B, groups, h, w] -> [B, groups*D, h, w]."""
        return lookup(codes, self.codebook)

    def variance(self, layer: int = 0) -> Tensor:
        """s_l^2, a scalar."""
        return self.log_variance[layer].exp()

    def log_posterior(self, z: Tensor, layer: int = 0) -> Tensor:
        """log P(b_k | z) of eq 2, in nats: [B, groups*D, h, w] -> [B, groups, h, w, K]."""
        logits = -distances(z, self.codebook) / (2 * self.variance(layer))
        return logits.log_softmax(-1)

    def forward(self, z: Tensor, temperature: float = 1.0, layer: int = 0) -> Quantized:
        """A Gumbel-softmax sample of the posterior (App. E); the most likely codes in eval mode."""
        log_p = self.log_posterior(z, layer)  # [B, groups, h, w, K]
        entropy = -(log_p.exp() * log_p).sum(-1)
        codes = log_p.argmax(-1)
        if not self.training:
            return Quantized(self.decode(codes), codes, entropy)
        weights = F.gumbel_softmax(log_p, tau=temperature)
        sample = torch.einsum("bghwk,gkd->bgdhw", weights, self.codebook).flatten(1, 2)
        return Quantized(sample, codes, entropy)

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Code vectors from z [B, groups*D, h, w]; s^2 from their mean squared distance."""
        groups, size, _ = self.codebook.shape
        self.codebook.copy_(draw(z, groups, size))
        norm = vectors(z, groups).square().sum(-1).mean()
        self.log_variance.fill_(float((distances(z, self.codebook).mean() + norm).log()))
        self.log_variance.sub_(math.log(self.soft))


class EmaQuantizer(nn.Module):
    """Vector quantization; each code vector is the moving average of what it was nearest to.

    (van den Oord et al. 2017, App. A.1.) The gradient passes straight through. With `reset`, a code
    that hardly anything is nearest to moves to a random vector of the batch.
    """

    codebook: Tensor
    uses: Tensor
    sums: Tensor

    def __init__(
        self, groups: int, size: int, dim: int, decay: float = 0.99, reset: bool = False
    ) -> None:
        """`size` code vectors of `dim` dimensions a group; averages keep `decay` a step."""
        super().__init__()
        self.decay, self.reset = decay, reset
        self.register_buffer("codebook", torch.randn(groups, size, dim))
        self.register_buffer("uses", torch.ones(groups, size))  # N_k
        self.register_buffer("sums", self.codebook.clone())  # m_k [groups, K, D]

    def encode(self, z: Tensor) -> Tensor:
        """Nearest codes: [B, groups*D, h, w] -> [B, groups, h, w]."""
        return nearest(z, self.codebook)

    def decode(self, codes: Tensor) -> Tensor:
        """Inverse of `encode`, up to the loss: [B, groups, h, w] -> [B, groups*D, h, w]."""
        return lookup(codes, self.codebook)

    def forward(self, z: Tensor) -> Quantized:
        """Nearest code vectors, with the gradient of z; in train mode the codebook moves after."""
        codes = self.encode(z.detach())
        quantized = z + (self.decode(codes) - z).detach()
        if self.training:
            self.update(z.detach(), codes)
        return Quantized(quantized, codes, torch.zeros_like(codes, dtype=z.dtype))

    @torch.no_grad()
    def update(self, z: Tensor, codes: Tensor) -> None:
        """N_k and m_k decay towards this batch's counts and sums; b_k = m_k / N_k."""
        groups, size, dim = self.codebook.shape
        offset = size * torch.arange(groups, device=codes.device)[:, None, None]
        index = (codes + offset).flatten()
        uses = index.bincount(minlength=groups * size).to(z.dtype).view(groups, size)
        sums = z.new_zeros(groups * size, dim)
        sums.index_add_(0, index, vectors(z, groups).reshape(-1, dim))
        self.uses.lerp_(uses, 1 - self.decay)
        self.sums.lerp_(sums.view(groups, size, dim), 1 - self.decay)
        alive = (self.uses > TINY)[..., None]
        mean = self.sums / self.uses.clamp(min=TINY)[..., None]
        self.codebook.copy_(torch.where(alive, mean, self.codebook))
        if self.reset:
            self.revive(z)

    def revive(self, z: Tensor) -> None:
        """Move dead codes to vectors drawn from z [B, groups*D, h, w], with an equal share each."""
        groups, size, _ = self.codebook.shape
        share = self.uses.mean(1, keepdim=True).expand_as(self.uses)
        dead = self.uses < DEAD * share
        self.uses.copy_(torch.where(dead, share, self.uses))
        self.codebook.copy_(torch.where(dead[..., None], draw(z, groups, size), self.codebook))
        self.sums.copy_(self.codebook * self.uses[..., None])

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Code vectors from z [B, groups*D, h, w], as if each had been used once."""
        groups, size, _ = self.codebook.shape
        self.codebook.copy_(draw(z, groups, size))
        self.uses.fill_(1)
        self.sums.copy_(self.codebook)


def lloyd(z: Tensor, codebook: Tensor, rounds: int) -> Tensor:
    """k-means from a start: z [B,groups*D,h,w], codebook [groups,K,D] -> [groups,K,D]."""
    groups, size, dim = codebook.shape
    rows = vectors(z, groups).transpose(0, 1).reshape(groups, -1, dim)
    for _ in range(rounds):
        chosen = nearest(z, codebook).transpose(0, 1).reshape(groups, -1, 1)
        sums = torch.zeros_like(codebook).scatter_add_(1, chosen.expand_as(rows), rows)
        uses = rows.new_zeros(groups, size, 1).scatter_add_(
            1, chosen, torch.ones_like(rows[..., :1])
        )
        codebook = torch.where(uses > 0, sums / uses.clamp(min=1), codebook)
    return codebook
