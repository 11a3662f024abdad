"""The photo model's code vectors, and the choice among them."""

import torch
from torch import Tensor, nn

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
        parts, start = [], 0
        for kind in range(len(self.tables)):
            codebook = self.get(layer, kind)
            groups = torch.arange(len(codebook), device=codes.device)
            parts.append(codebook[groups, codes[:, start : start + len(codebook)]].flatten(1))
            start += len(codebook)
        return torch.cat(parts, 1)


def choose(r: Tensor, codebook: Tensor, log_p: Tensor, rate_lambda: float) -> Tensor:
    """argmin_k |r - b_k|^2 - lambda log p_k: [n,g,s], [g,K,s], [n,g,K] -> [n,g] int64."""
    # |r|^2 is the same for every k
    distance = codebook.square().sum(-1) - 2 * torch.einsum("ngs,gks->ngk", r, codebook)
    return (distance - rate_lambda * log_p).argmin(-1)
