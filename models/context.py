"""Probabilities of a layer's codes from what is decoded already, the same bits on every machine.

The groups of a layer come in two kinds: scalars (the strongest dimensions, a codebook each) and
vectors (the other dimensions, a few to a group). A layer is coded in four steps; each sees all
coarser layers everywhere and the steps before it:

    0  scalars on the black squares of a checkerboard
    1  scalars on the white squares, given 0
    2  vectors on the black squares, given all scalars
    3  vectors on the white squares, given all scalars and 2
"""

import torch
from torch import Tensor, nn

from hqcodec.models.exact import Conv, rectify, snap

STEPS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (kind: scalars, vectors; colour: black, white)
REACH = 16.0  # inputs are clamped to so many quantizer steps


def colour(h: int, w: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    """Flat positions [n] of the black and of the white squares of [batch,h,w]."""
    board = (torch.arange(h)[:, None] + torch.arange(w)) % 2  # [h,w]
    flat = board.expand(batch, h, w).flatten()
    return (flat == 0).nonzero()[:, 0], (flat == 1).nonzero()[:, 0]


class Context(nn.Module):
    """The context model of one layer."""

    def __init__(
        self,
        kinds: tuple[tuple[int, int], tuple[int, int]],
        codebook: int,
        hidden: int,
        first: bool,
    ) -> None:
        """kinds: (groups, dimensions of a group) of scalars, vectors; first: no coarser layer."""
        super().__init__()
        scalars, dim = kinds[0][0] * kinds[0][1], sum(groups * size for groups, size in kinds)
        self.scalars, self.codebook = scalars, codebook
        self.past = None if first else Conv(2 * dim, hidden, 3)
        self.start = nn.Parameter(torch.randn(4, hidden) * 0.3)
        self.white_scalars = Conv(2 * scalars, hidden, 3, bias=False)
        self.black_vectors = Conv(2 * scalars, hidden, 3, bias=False)
        self.white_vectors = Conv(dim, hidden, 3, bias=False)
        self.middle = nn.ModuleList(Conv(hidden, hidden) for _ in kinds)
        self.out = nn.ModuleList(Conv(hidden, groups * codebook) for groups, _ in kinds)
        for kind in range(len(kinds)):
            nn.init.normal_(self.head(kind)[0], std=0.02)

    def head(self, kind: int) -> tuple[Tensor, Tensor]:
        """Weight [groups*K,C] and bias [groups*K] from features to the logits of a kind."""
        head = self.out[kind]
        assert isinstance(head, Conv) and head.bias is not None
        return head.weight[:, :, 0, 0], head.bias

    @torch.no_grad()
    def start_from(self, kind: int, p: Tensor) -> None:
        """Set the logits' biases to probabilities [groups,K] counted without context."""
        self.head(kind)[1].copy_(p.log().flatten())

    def trunk(self, coarser: Tensor) -> Tensor | None:
        """What all steps share; coarser layers' sum in quantizer steps [B,D,h,w] -> [B,C,h,w]."""
        if self.past is None:
            return None
        y = snap(coarser).clamp(-REACH, REACH)
        features: Tensor = self.past(torch.cat([y, y.abs()], 1))
        return features

    def hidden(self, step: int, trunk: Tensor | None, known: Tensor) -> Tensor:
        """Features [B,C,h,w] of a step.

        known: this layer's values in quantizer steps [B,D,h,w], 0 where not yet coded.
        """
        v = snap(known).clamp(-REACH, REACH)
        start = self.start[step][:, None, None]
        if step == 0:
            now = start.expand(len(v), -1, *v.shape[2:])
        elif step == 3:
            now = start + self.white_vectors(v.abs())
        else:
            s = v[:, : self.scalars]
            conv = self.white_scalars if step == 1 else self.black_vectors
            now = start + conv(torch.cat([s, s.abs()], 1))
        h = rectify(now if trunk is None else now + trunk)
        return rectify(self.middle[STEPS[step][0]](h))

    def logits(self, step: int, rows: Tensor) -> Tensor:
        """Logits [n,groups,K] of a step at chosen positions; rows: their features [n,C]."""
        weight, bias = self.head(STEPS[step][0])
        return snap(rows @ weight.T + bias).view(
            len(rows), len(bias) // self.codebook, self.codebook
        )
