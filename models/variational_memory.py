"""Variational memory layers: categorical variables that read a memory (HD-VAE, eqs 2, 4, 15)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.models.stochastic_layer import StochasticLayer

STARTS = "arcs", "normal"  # of keys and values, see `VariationalMemory`
RADIUS, VALUES = 6.0, 0.5  # of the arcs of keys; what a value is of its key
SCATTER = 0.05  # deviation of keys from their arcs
TINY = 1e-20  # keeps the logarithms of uniform numbers finite


class VariationalMemory(StochasticLayer):
    """N categorical variables of K classes; a variable reads the value of its class.

    log pi_i = Q^T k_i + c and y = sum_i z_i v_i (eq 2). Keys are factored (Lample et al. 2019):
    key (i, j) is sub-key a_i beside sub-key b_j, so 2 sqrt(K) sub-keys make K keys. The softmax of
    Q_1^T a_i + Q_2^T b_j is the product of two, so a variable is two independent ones of sqrt(K)
    classes whose value is of the pair.

    p is log pi [B,N,K], z is [B,N,K]: one-hot, or in the simplex if relaxed.
    """

    def __init__(self, units: int, classes: int, dim: int, start: str = "arcs") -> None:
        """classes: a square; dim: even, from 4, of a key and of a value (d_1 = d_2 of App. A).

        start: "arcs": keys on half circles, and values like their keys; see `arcs`. "normal": both
        from a standard normal distribution, so that classes have no order.
        """
        super().__init__()
        root = round(classes**0.5)
        self.units, self.classes, self.query_dim, self.value_dim = units, classes, dim, dim
        shape = 2, units, root, dim // 2
        if start == "arcs":
            keys = arcs(2 * units, *shape[2:]).view(shape)
            first = keys[0][:, :, None].expand(-1, -1, root, -1)
            second = keys[1][:, None].expand(-1, root, -1, -1)
            values = VALUES * torch.cat([first, second], -1).flatten(1, 2)
        else:
            keys, values = torch.randn(shape), torch.randn(units, classes, dim)
        self.keys, self.values = nn.Parameter(keys), nn.Parameter(values)

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


def arcs(count: int, points: int, dim: int) -> Tensor:
    """Points evenly on half circles, each in a random plane of its own: [count,points,dim].

    As keys: whatever the query's direction, the class that it points to is the likeliest and its
    neighbours come next, so that a variable starts as a noisy real number cut into classes, which
    the networks learn to use as fast as a Gaussian one. Values that are like their keys keep what
    a neighbour is.
    """
    angle = torch.linspace(-math.pi / 2, math.pi / 2, points)
    circle = RADIUS * torch.stack([angle.cos(), angle.sin()], 1)
    plane: Tensor = torch.linalg.qr(torch.randn(count, dim, 2))[0]
    return circle @ plane.mT + SCATTER * torch.randn(count, points, dim)
