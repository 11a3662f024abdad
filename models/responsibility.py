"""Relaxed-responsibility vector quantization (Willetts et al., RRVQ-VAE, section 3.2).

A codebook is a mixture of Gaussians of equal weight, each with a mean and a diagonal variance. An
embedding e names a code with the probability that its component is responsible for e:

    log p(k|e) = log N(e; mean_k, variance_k) - log of their sum          eqs 6, 7

The posterior and the generative model of a layer share the codebook, and differ in e.
"""

import torch
from torch import Tensor, nn

# What exp() of float32 and sums of 1e9 of them stand: an embedding, and a variance's logarithm.
LIMIT = 1e4
LOG_VARIANCE = -8.0, 8.0
SPREAD = 0.3  # of the means when training starts: neighbours' responsibilities overlap


class Responsibility(nn.Module):
    """The codebook of a layer."""

    log_variance: Tensor

    def __init__(self, size: int, dim: int, learnt: bool) -> None:
        """`size` components of `dim` dimensions; their variances are 1 unless they are learnt."""
        super().__init__()
        self.mean = nn.Parameter(SPREAD * torch.randn(size, dim))
        if learnt:
            self.log_variance = nn.Parameter(torch.zeros(size, dim))
        else:
            self.register_buffer("log_variance", torch.zeros(size, dim), persistent=False)

    def forward(self, e: Tensor) -> Tensor:
        """log p(k|e), nats: [B,dim,h,w] -> [B,K,h,w], normalised over K.

        Of the square (e - mean)^2 / variance, the sum over dimensions is three matrix products.
        """
        e = wide(e).clamp(-LIMIT, LIMIT).movedim(1, -1)  # [B,h,w,dim]
        with torch.autocast(e.device.type, enabled=False):  # differences of large products
            log_variance = wide(self.log_variance).clamp(*LOG_VARIANCE)
            precision, mean = (-log_variance).exp(), wide(self.mean)
            constant = (mean.square() * precision + log_variance).sum(1)  # [K]
            logits = e @ (mean * precision).T - (e.square() @ precision.T + constant) / 2
        return logits.log_softmax(-1).movedim(-1, 1)

    def lookup(self, codes: Tensor) -> Tensor:
        """The means of codes: [B,1,h,w] -> [B,dim,h,w]."""
        return self.mean[codes[:, 0]].movedim(-1, 1)

    def mixture(self, weights: Tensor) -> Tensor:
        """The means, weighted; of a one-hot, `lookup`: [B,K,h,w] -> [B,dim,h,w]."""
        return (weights.movedim(1, -1) @ self.mean).movedim(-1, 1)


def wide(x: Tensor) -> Tensor:
    """At least float32, whatever autocast made of it; a model made float64 stays that."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def relax(log_p: Tensor, temperature: float) -> Tensor:
    """A Gumbel-softmax sample of log p(k) [B,K,h,w]: a relaxed one-hot of the same shape."""
    return ((log_p + gumbel(log_p)) / temperature).softmax(1)


def sample(log_p: Tensor) -> Tensor:
    """Codes drawn from log p(k): [B,K,h,w] -> [B,1,h,w] int64."""
    return (log_p + gumbel(log_p)).argmax(1, keepdim=True)


def gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel noise in the shape of `like`."""
    u = torch.rand(like.shape, device=like.device)  # multiples of 2^-24 below 1, perhaps 0
    return -(-torch.log1p(-u)).clamp(min=2.0**-25).log()


def divergence(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q || p), nats a picture: two of [B,K,h,w] -> [B]."""
    return (log_q.exp() * (log_q - log_p)).sum((1, 2, 3))


def named(log_p: Tensor, codes: Tensor) -> Tensor:
    """log p of codes [B,1,h,w], nats a picture: [B,K,h,w] -> [B]."""
    return log_p.gather(1, codes).sum((1, 2, 3))
