"""The networks of HD-VAE: gated residual blocks with weight normalisation (App. A).

Features are [B,width,7,7] everywhere between the picture and its latent variables.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

SIDE = 28  # pixels a side of the pictures
GRID = 7  # positions a side of the features
SQUEEZED = 8  # channels where features meet the variables, which have no position


class GatedBlock(nn.Module):
    """x + a * sigmoid(b), where a and b are convolutions of dropped-out x."""

    def __init__(self, width: int, dropout: float) -> None:
        """As many channels in as out."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.first = weight_norm(nn.Conv2d(width, width, 3, padding=1))
        self.second = weight_norm(nn.Conv2d(width, 2 * width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """[B,width,h,w] -> [B,width,h,w]."""
        hidden = self.dropout(F.elu(self.first(F.elu(x))))
        change, gate = self.second(hidden).chunk(2, 1)
        y: Tensor = x + change * gate.sigmoid()
        return y


class Connection(nn.Sequential):
    """An intermediate connection: `blocks` gated blocks."""

    def __init__(self, width: int, blocks: int, dropout: float) -> None:
        """[B,width,7,7] -> [B,width,7,7]."""
        super().__init__(*(GatedBlock(width, dropout) for _ in range(blocks)))


class Stem(nn.Sequential):
    """From a binary picture to features: [B,1,28,28] -> [B,width,7,7]."""

    def __init__(self, width: int) -> None:
        """Two strided convolutions."""
        super().__init__(
            weight_norm(nn.Conv2d(1, width // 2, 5, stride=2, padding=2)),
            nn.ELU(),
            weight_norm(nn.Conv2d(width // 2, width, 3, stride=2, padding=1)),
        )


class Query(nn.Module):
    """Q(h) of eq 2: features [B,channels,7,7] -> [B,units,dim]."""

    def __init__(self, channels: int, units: int, dim: int) -> None:
        """A 1x1 convolution to few channels, then a linear map for all units."""
        super().__init__()
        self.units = units
        self.squeeze = weight_norm(nn.Conv2d(channels, SQUEEZED, 1))
        self.out = nn.Linear(SQUEEZED * GRID**2, units * dim)

    def forward(self, features: Tensor) -> Tensor:
        """[B,channels,7,7] -> [B,units,dim]."""
        few = F.elu(self.squeeze(F.elu(features)))
        query: Tensor = self.out(few.flatten(1))
        return query.view(len(features), self.units, -1)


class Inject(nn.Module):
    """Inverse of `Query` in shape: what a layer's variables read becomes features."""

    def __init__(self, width: int, units: int, dim: int) -> None:
        """[B,units,dim] -> [B,width,7,7]."""
        super().__init__()
        self.spread = nn.Linear(units * dim, SQUEEZED * GRID**2)
        self.widen = weight_norm(nn.Conv2d(SQUEEZED, width, 1))

    def forward(self, y: Tensor) -> Tensor:
        """[B,units,dim] -> [B,width,7,7]."""
        few = self.spread(y.flatten(1)).unflatten(1, (SQUEEZED, GRID, GRID))
        features: Tensor = self.widen(F.elu(few))
        return features


class BernoulliDecoder(nn.Module):
    """log p(x | z) of binary pictures: features -> logits of a pixel being 1."""

    def __init__(self, width: int, blocks: int, dropout: float) -> None:
        """[B,width,7,7] -> [B,1,28,28]."""
        super().__init__()
        half = width // 2
        self.connection = Connection(width, blocks, dropout)
        self.middle = weight_norm(nn.Conv2d(width, 4 * half, 3, padding=1))
        self.fine = weight_norm(nn.Conv2d(half, 4 * SQUEEZED, 3, padding=1))
        self.out = nn.Conv2d(SQUEEZED, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B,1,28,28] of features [B,width,7,7]."""
        h = F.pixel_shuffle(self.middle(F.elu(self.connection(features))), 2)
        h = F.pixel_shuffle(self.fine(F.elu(h)), 2)
        logits: Tensor = self.out(F.elu(h))
        return logits

    @torch.no_grad()
    def start(self, share: Tensor) -> None:
        """Begin at the share [] of pixels that are 1."""
        assert self.out.bias is not None
        self.out.bias.fill_(float(share.clamp(0.01, 0.99).logit()))


def log_bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x) in nats, summed over a picture: [B,1,H,W], [B,1,H,W] -> [B]."""
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
