"""The photo model's code vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from hqcodec.models.exact import snap
from hqcodec.models.transforms import PhotoConfig


def rows_of(x: Tensor) -> Tensor:
    """[B,C,h,w] -> [B*h*w,C]."""
    return x.movedim(1, -1).flatten(0, 2)


def grid_of(rows: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Inverse of `rows_of`: [B*h*w,C] -> [B,C,h,w] for size (B, h, w)."""
    return rows.view(*size, -1).movedim(-1, 1)


class Codebooks(nn.Module):
    """A codebook for each group of each layer; entry 0 is zero: flat areas cost almost nothing."""

    def __init__(self, c: PhotoConfig) -> None:
        """Kept in quantizer steps, [L,groups,K,dimensions of a group] for each kind of group."""
        super().__init__()
        self.steps = [c.quantizer_step(layer) for layer in range(c.layers)]
        self.tables = nn.ParameterList(
            nn.Parameter(torch.randn(c.layers, groups, c.codebook, size))
            for groups, size in c.kinds
        )
        keep = torch.ones(c.codebook, 1)
        keep[0] = 0.0
        self.register_buffer("keep", keep, persistent=False)
        self.keep: Tensor

    def get(self, layer: int, kind: int) -> Tensor:
        """Code vectors of a layer in the latent's units: [groups,K,size]."""
        scaled: Tensor = self.tables[kind][layer] * self.keep * self.steps[layer]
        return snap(scaled)

    def lookup(self, layer: int, codes: Tensor) -> Tensor:
        """The vectors that codes [P,groups] name, side by side: [P,D]."""
        return lookup([self.get(layer, kind) for kind in range(len(self.tables))], codes)


def lookup(codebooks: Sequence[Tensor], codes: Tensor) -> Tensor:
    """The vectors that codes [P,groups] name; codebooks: [g,K,s] of each kind of group. [P,D]."""
    parts = torch.split(codes, [len(book) for book in codebooks], 1)
    return torch.cat([named(*pair) for pair in zip(codebooks, parts, strict=True)], 1)


def named(codebook: Tensor, codes: Tensor) -> Tensor:
    """The vectors that codes [P,g] name in a codebook [g,K,s], side by side: [P,g*s]."""
    return embedding(numbered(codes, codebook.shape[1]), codebook.flatten(0, 1)).flatten(1)


def numbered(codes: Tensor, size: int) -> Tensor:
    """Codes [P,g] of codebooks of one size, as rows of all of them, one below the other."""
    return codes + size * torch.arange(codes.shape[1], device=codes.device)
