"""The order in which a layer's codes are coded, step by step; see context.py.

The first layer has nothing coarser to see. So its scalars are coded from a coarse lattice of
positions to ever finer ones, each position being asked for when its neighbours on two sides are
known. Steps of an 8x8 corner:

    0 4 2 4 0 4 2 4
    4 3 4 3 4 3 4 3
    2 4 1 4 2 4 1 4
    4 3 4 3 4 3 4 3

One position in sixteen is coded without context. A layer of its own at stride 64 would do the same
for the codes below it, but costs bits that this order does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from hqcodec.models.base import Where, count

SCALARS, VECTORS = 0, 1  # kinds
LATTICES = 5
CHUNK = 2048  # positions whose codes are coded at a time: bounds memory


@dataclass(frozen=True)
class Step:
    """Groups start..end of a kind, on the positions of some lattices.

    dilation: of the convolution over what earlier steps made known: how far those codes lie.
    """

    kind: int
    start: int
    end: int
    lattices: tuple[int, ...] = (0, 1, 2, 3, 4)
    dilation: int = 1

    def positions(self, h: int, w: int, batch: int = 1) -> Where:
        """Flat positions of the step in [batch,h,w], in order."""
        if len(self.lattices) == LATTICES:
            return slice(0, batch * h * w)
        return _positions(self.lattices, h, w, batch)


@lru_cache(maxsize=10)
def _positions(chosen: tuple[int, ...], h: int, w: int, batch: int) -> Tensor:
    """Those of some lattices, in order."""
    lattice = lattices(h, w).expand(batch, h, w).flatten()
    return torch.isin(lattice, torch.tensor(chosen)).nonzero()[:, 0]


def pieces(where: Where) -> Iterator[tuple[Where, slice]]:
    """At most CHUNK positions at a time, and which of all they are."""
    for start in range(0, count(where), CHUNK):
        part = slice(start, min(start + CHUNK, count(where)))
        yield (part if isinstance(where, slice) else where[part]), part


def lattices(h: int, w: int) -> Tensor:
    """Number [h,w] of the lattice that each position belongs to; see the module docstring."""
    row, column = torch.arange(h)[:, None].expand(h, w), torch.arange(w).expand(h, w)
    number = torch.full((h, w), 4)
    number[(row % 2 == 1) & (column % 2 == 1)] = 3
    number[(row % 2 == 0) & (column % 2 == 0)] = 2
    number[(row % 4 == 2) & (column % 4 == 2)] = 1
    number[(row % 4 == 0) & (column % 4 == 0)] = 0
    return number


def plan(order: str, scalars: int, vectors: int, strong: int) -> tuple[Step, ...]:
    """The steps of a layer of so many groups; the first `strong` vectors go before the others.

    order, of the scalars: "lattices", "checkerboard" (black, white) or "whole" (one step).
    """
    ways: dict[str, tuple[Step, ...]] = {
        "lattices": tuple(
            Step(SCALARS, 0, scalars, (n,), dilation) for n, dilation in enumerate((1, 2, 2, 1, 1))
        ),
        "checkerboard": tuple(Step(SCALARS, 0, scalars, part) for part in ((0, 1, 2, 3), (4,))),
        "whole": (Step(SCALARS, 0, scalars),),
    }
    return ways[order] + (Step(VECTORS, 0, strong), Step(VECTORS, strong, vectors))
