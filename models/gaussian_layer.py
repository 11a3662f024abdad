"""Gaussian latent variables: the baseline that HD-VAE is compared with (App. A)."""

import math

import torch
from torch import Tensor

from hqcodec.models.stochastic_layer import StochasticLayer

SPAN = 7.0  # log-variances lie within -SPAN .. SPAN, softly, so that no input makes them overflow


class GaussianLayer(StochasticLayer):
    """N real variables. p is [B,N,2]: mean and log-variance; z is [B,N], and is read as it is."""

    query_dim, value_dim = 2, 1

    def __init__(self, units: int) -> None:
        """No weights of its own."""
        super().__init__()
        self.units = units

    def distribution(self, query: Tensor) -> Tensor:
        """[B,N,2] -> means as given, log-variances bounded by SPAN: [B,N,2]."""
        return torch.stack([query[..., 0], SPAN * (query[..., 1] / SPAN).tanh()], -1)

    def draw(self, p: Tensor, temperature: float) -> Tensor:
        """A reparameterised sample, of p itself at any temperature: [B,N]."""
        return p[..., 0] + (p[..., 1] / 2).exp() * torch.randn_like(p[..., 0])

    def mode(self, p: Tensor) -> Tensor:
        """The mean: [B,N]."""
        return p[..., 0]

    def harden(self, z: Tensor) -> Tensor:
        """Real samples are never relaxed."""
        return z

    def log_prob(self, z: Tensor, p: Tensor) -> Tensor:
        """Log-density: [B,N], [B,N,2] -> [B]."""
        mean, log_variance = p.unbind(-1)
        square = (z - mean).square() * (-log_variance).exp()
        return -(math.log(2 * math.pi) + log_variance + square).sum(1) / 2

    def entropy(self, p: Tensor) -> Tensor:
        """Differential entropy: [B,N,2] -> [B]."""
        return (math.log(2 * math.pi * math.e) + p[..., 1]).sum(1) / 2

    def divergence(self, q: Tensor, p: Tensor) -> Tensor:
        """[B,N,2], [B,N,2] -> [B]."""
        ratio = q[..., 1] - p[..., 1]
        shift = (q[..., 0] - p[..., 0]).square() * (-p[..., 1]).exp()
        return (ratio.exp() + shift - 1 - ratio).sum(1) / 2

    def read(self, z: Tensor) -> Tensor:
        """[B,N] -> [B,N,1]."""
        return z[..., None]
