"""Linked codebooks (HR-VQVAE, Adiban et al. 2022, section 3): a tree of residual code vectors.

Layer i has a codebook of m_i vectors for every path through the layers before it. A code says
which of the m_i children was chosen; the path so far says whose children they are:

    path_i = m_i * path_{i-1} + code_i,     path_0 = 0

so m_1 + .. + m_n vectors are searched, and m_1 * .. * m_n can be told apart.

They learn by the gradient of the loss, or are moving averages (see quantize.EmaQuantizer) of the
residuals that chose them, which are what eq 6 is least at.
"""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.models.quantize import draw, vectors

SEARCHED = 1 << 22  # numbers of children's vectors that are gathered at once, 16 MB
UNUSED = 1e-9  # below this share of the positions an average is rounding noise


class LinkedCodebooks(nn.Module):
    """Codebooks [m_1 * .. * m_{i-1}, m_i, D], one tensor a layer."""

    def __init__(self, sizes: Sequence[int], dim: int, decay: float = 0.0) -> None:
        """m_i of each layer; `dim` dimensions. Random vectors; see `start`.

        decay: what moving averages keep a step; 0: the code vectors are parameters.
        """
        super().__init__()
        self.sizes, self.decay = tuple(sizes), decay
        for n, size in enumerate(self.sizes):
            table = torch.randn(prod(self.sizes[:n]), size, dim)
            if decay:
                self.register_buffer(f"table_{n}", table)
                share = 1 / table[..., 0].numel()
                # N_k and m_k of a position, so that they do not grow with the batch
                self.register_buffer(f"uses_{n}", torch.full(table.shape[:2], share))
                self.register_buffer(f"sums_{n}", share * table)
            else:
                self.register_parameter(f"table_{n}", nn.Parameter(table))

    def table(self, layer: int) -> Tensor:
        """All codebooks of a layer: [m_1 * .. * m_{i-1}, m_i, D]."""
        table: Tensor = getattr(self, f"table_{layer}")
        return table

    @torch.no_grad()
    def encode(self, z: Tensor, layers: int | None = None) -> list[Tensor]:
        """Nearest children, layer by layer (eq 3): [B,D,h,w] -> [B,1,h,w] int64 a layer.

        Each layer searches what the layers before it left. layers: only so many, coarse to fine.
        """
        residual = vectors(z, 1)  # [B,1,h,w,D]
        path = torch.zeros(residual.shape[:-1], dtype=torch.int64, device=z.device)
        codes = []
        for n, size in enumerate(self.sizes[:layers]):
            codes.append(self.nearest(n, residual, path))
            path = size * path + codes[-1]
            residual = residual - self.lookup(n, path)
        return codes

    def decode(self, codes: Sequence[Tensor]) -> Tensor:
        """Inverse of `encode`, up to the loss: the sum e_C (eq 4) of a prefix's code vectors.

        [B,1,h,w] a layer -> [B,D,h,w].
        """
        path = self.paths(codes)[-1]
        return F.embedding(path[:, 0], self.sums(len(codes))).movedim(-1, 1)

    def parts(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """The code vectors e^i themselves: [B,1,h,w] a layer -> [B,D,h,w] a layer."""
        paths = enumerate(self.paths(codes))
        return [self.lookup(n, path)[:, 0].movedim(-1, 1) for n, path in paths]

    def paths(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """The number of the code vector that each layer's code names: like codes, from 0."""
        found: list[Tensor] = []
        for size, layer in zip(self.sizes, codes, strict=False):
            found.append(size * found[-1] + layer if found else layer)
        return found

    def sums(self, layers: int) -> Tensor:
        """e_C of every path through the first layers: [m_1 * .. * m_layers, D].

        Searching these is the exhaustive search, which the linked one replaces.
        """
        sums: Tensor = self.table(0)[0]
        for layer in range(1, layers):
            sums = (sums[:, None] + self.table(layer)).flatten(0, 1)
        return sums

    def lookup(self, layer: int, path: Tensor) -> Tensor:
        """Code vectors e^i of paths of any shape: [..] -> [..,D]."""
        return F.embedding(path, self.table(layer).flatten(0, 1))

    def nearest(self, layer: int, residual: Tensor, parents: Tensor) -> Tensor:
        """The child closest to each residual among those of its parent: [..,D], [..] -> [..]."""
        table = self.table(layer)
        norms = table.square().sum(-1)  # [parents,m]; |residual|^2 is the same for every child
        if len(table) == 1:  # all share one codebook, which needs no gathering
            alone: Tensor = norms[0] - 2 * residual @ table[0].T
            return alone.argmin(-1)
        found = []
        step = max(1, SEARCHED // table[0].numel())
        rows_of = torch.split(residual.flatten(0, -2), step)
        for rows, parent in zip(rows_of, torch.split(parents.flatten(), step), strict=True):
            cross = torch.bmm(table[parent], rows[:, :, None])[..., 0]  # [n,m]
            found.append((norms[parent] - 2 * cross).argmin(-1))
        return torch.cat(found).view(parents.shape)

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Draw every parent's children from what z [B,D,h,w] leaves there."""
        residual = vectors(z, 1).flatten(0, -2)  # [N,D]
        path = torch.zeros(len(residual), dtype=torch.int64, device=z.device)
        for n, size in enumerate(self.sizes):
            for parent, children in enumerate(self.table(n)):
                own = residual[path == parent]
                # A parent of too few vectors borrows: what others leave has about the same scale.
                pool = own if len(own) >= size else residual
                children.copy_(draw(pool.T[None, :, :, None], 1, size)[0])
            path = size * path + self.nearest(n, residual, path)
            residual = residual - self.lookup(n, path)
            if self.decay:  # as if all had been used alike
                uses = self.get_buffer(f"uses_{n}").fill_(1 / self.table(n)[..., 0].numel())
                self.get_buffer(f"sums_{n}").copy_(self.table(n) * uses[..., None])

    @torch.no_grad()
    def update(self, z: Tensor, codes: Sequence[Tensor]) -> None:
        """Move averages a step towards the residuals of z [B,D,h,w] that chose `codes`."""
        residual = vectors(z, 1).flatten(0, -2)  # [N,D]
        for n, path in enumerate(self.paths(codes)):
            rows, table = path.flatten(), self.table(n)
            left = residual - self.lookup(n, rows)
            uses, sums = self.get_buffer(f"uses_{n}"), self.get_buffer(f"sums_{n}")
            chosen = rows.bincount(minlength=uses.numel()).to(z.dtype)
            uses.lerp_(chosen.view(uses.shape) / len(rows), 1 - self.decay)
            added = torch.zeros_like(sums).flatten(0, 1).index_add_(0, rows, residual)
            sums.lerp_(added.view(sums.shape) / len(rows), 1 - self.decay)
            mean = sums / uses.clamp(min=UNUSED)[..., None]
            table.copy_(torch.where((uses > UNUSED)[..., None], mean, table))
            residual = left
