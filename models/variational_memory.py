"""Variational memory layers: categorical variables that read a memory (HD-VAE, eqs 2, 4, 15)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.models.stochastic_layer import StochasticLayer

# Keys and values start from N(0, 1) times these: classes nearly alike, values far apart. Chosen by
# short trainings on MNIST; posteriors that are sharp at the start made all layers collapse.
KEYS, VALUES = 0.3, 5.0
TINY = 1e-20  # keeps the logarithms of uniform numbers finite


class VariationalMemory(StochasticLayer):
    """N categorical variables of K classes; a variable reads the value of its class.

    log pi_i = Q^T k_i + c and y = sum_i z_i v_i (eq 2). Keys are factored (Lample et al. 2019):
    key (i, j) is sub-key a_i beside sub-key b_j, so 2 sqrt(K) sub-keys make K keys. The softmax of
    Q_1^T a_i + Q_2^T b_j is the product of two, so a variable is two independent ones of sqrt(K)
    classes whose value is of the pair.

    p is log pi [B,N,K], z is [B,N,K]: one-hot, or in the simplex if relaxed.
    """

    def __init__(self, units: int, classes: int, dim: int) -> None:
        """classes: a square; dim: even, of a key and of a value (d_1 = d_2 of App. A)."""
        super().__init__()
        root = round(classes**0.5)
        self.units, self.classes, self.query_dim, self.value_dim = units, classes, dim, dim
        self.keys = nn.Parameter(KEYS * torch.randn(2, units, root, dim // 2))
        self.values = nn.Parameter(VALUES * torch.randn(units, classes, dim))

    def distribution(self, query: Tensor) -> Tensor:
        """log pi of eq 2: [B,N,dim] -> [B,N,K]; class i * sqrt(K) + j has key (a_i, b_j)."""
        first, second = (
            torch.einsum("bnd,nkd->bnk", part, keys)
            for part, keys in zip(query.chunk(2, -1), self.keys, strict=True)
        )
        # the logarithm of a product of two softmaxes, each of sqrt(K) classes
        pair = first.log_softmax(-1)[..., :, None] + second.log_softmax(-1)[..., None, :]
        return pair.flatten(-2)

    def draw(self, p: Tensor, temperature: float) -> Tensor:
        """Eq 4 at temperature tau; its limit, the Gumbel-max trick, at 0: [B,N,K]."""
        gumbel = -(-torch.rand_like(p).clamp_min(TINY).log()).clamp_min(TINY).log()
        if temperature == 0:
            return self.harden(p + gumbel)
        return ((p + gumbel) / temperature).softmax(-1)

    def mode(self, p: Tensor) -> Tensor:
        """The most likely class, one-hot: [B,N,K]."""
        return self.harden(p)

    def harden(self, z: Tensor) -> Tensor:
        """H = one-hot of the largest entry, without a gradient: [B,N,K]."""
        return F.one_hot(z.argmax(-1), self.classes).to(z.dtype)

    def log_prob(self, z: Tensor, p: Tensor) -> Tensor:
        """sum_i z_i log pi_i: of one-hot z the log-probability, of relaxed z eq 15: [B]."""
        return (z * p).sum((1, 2))

    def entropy(self, p: Tensor) -> Tensor:
        """[B,N,K] -> [B]."""
        return -(p.exp() * p).sum((1, 2))

    def divergence(self, q: Tensor, p: Tensor) -> Tensor:
        """[B,N,K], [B,N,K] -> [B]."""
        return (q.exp() * (q - p)).sum((1, 2))

    def read(self, z: Tensor) -> Tensor:
        """y of eq 2, for relaxed z a convex combination of values: [B,N,K] -> [B,N,dim]."""
        return torch.einsum("bnk,nkd->bnd", z, self.values)

    def codes(self, z: Tensor) -> Tensor:
        """The classes of one-hot samples: [B,N,K] -> [B,N] int64."""
        return z.argmax(-1)

    def one_hot(self, codes: Tensor) -> Tensor:
        """Inverse of `codes`: [B,N] -> [B,N,K]."""
        return F.one_hot(codes, self.classes).to(self.values.dtype)
