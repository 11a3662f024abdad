"""Probabilities of a layer's codes from what is decoded already, the same bits on every machine.

The groups of a layer come in two kinds: scalars (the strongest dimensions, a codebook each) and
vectors (the other dimensions, a few to a group, strongest first). A layer is coded in steps. Each
step sees all coarser layers everywhere, and the steps before it; within a step all codes are coded
in parallel. Vectors go in two steps, strong groups before weak ones; they see all scalars.

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

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.models.exact import Conv, rectify, snap

SCALARS, VECTORS = 0, 1  # kinds
REACH = 18.0  # inputs are clamped to so many quantizer steps
KNEE = 2.0  # above so many, they count an eighth


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

    def positions(self, h: int, w: int, batch: int = 1) -> Tensor:
        """Flat positions [n] of the step in [batch,h,w]."""
        lattice = lattices(h, w).expand(batch, h, w).flatten()
        return torch.isin(lattice, torch.tensor(self.lattices)).nonzero()[:, 0]


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


def compand(x: Tensor) -> Tensor:
    """Small values as they are, large ones pressed together; any shape, exact in float64."""
    size = x.abs()
    pressed = size.clamp(max=KNEE) + (size.clamp(KNEE, REACH) - KNEE) / 8
    return torch.where(x < 0, -pressed, pressed)


def signs_and_sizes(x: Tensor) -> Tensor:
    """[B,D,h,w] in quantizer steps -> [B,2D,h,w] as the networks take it."""
    x = snap(compand(snap(x)))
    return torch.cat([x, x.abs()], 1)


class Context(nn.Module):
    """The context model of one layer."""

    def __init__(
        self,
        kinds: tuple[tuple[int, int], tuple[int, int]],
        codebook: int,
        hidden: int,
        steps: tuple[Step, ...],
        first: bool,
        blind: bool = False,
    ) -> None:
        """kinds: (groups, dimensions of a group) of scalars, vectors; first: no coarser layer.

        blind: see nothing at all, which makes static tables.
        """
        super().__init__()
        self.codebook, self.steps = codebook, steps
        self.scalars = kinds[0][0] * kinds[0][1]
        dim = self.scalars + kinds[1][0] * kinds[1][1]
        self.strong = steps[-1].start * kinds[1][1]
        alone = first or blind
        self.past = None if alone else Conv(2 * dim, hidden, 3)
        self.last = None if alone else Conv(2 * dim, hidden, bias=False)
        self.start = nn.Parameter(torch.randn(len(steps), hidden) * 0.3)
        self.near = nn.ModuleList(
            Conv(2 * self.scalars, hidden, 3, bias=False, dilation=step.dilation)
            for step in steps[1:]
            if step.kind == SCALARS and not blind
        )
        self.here = None if blind else Conv(2 * self.scalars, hidden, 3, bias=False)
        self.loud = None if blind else Conv(self.strong, hidden, 3, bias=False)
        self.middle = nn.ModuleList(Conv(hidden, hidden) for _ in kinds)
        self.out = nn.ModuleList(Conv(hidden, groups * codebook) for groups, _ in kinds)
        for kind in range(len(kinds)):
            nn.init.normal_(linear(self.out[kind])[0], std=0.02)

    @torch.no_grad()
    def start_from(self, kind: int, p: Tensor) -> None:
        """Set the logits' biases to probabilities [groups,K] counted without context."""
        linear(self.out[kind])[1].copy_(p.log().flatten())

    def trunk(self, coarser: Tensor, last: Tensor) -> Tensor | None:
        """What all steps share: [B,D,h,w] -> [B,C,h,w].

        coarser: the sum of the coarser layers, in this layer's quantizer steps; last: the values
        of the layer before alone, in its own.
        """
        if self.past is None or self.last is None:
            return None
        features: Tensor = self.past(signs_and_sizes(coarser)) + self.last(signs_and_sizes(last))
        return features

    def features(self, number: int, trunk: Tensor | None, known: Tensor) -> Tensor:
        """Features [B,C,h,w] of a step, given its number.

        known: this layer's values in quantizer steps [B,D,h,w], 0 where not yet coded.
        """
        step = self.steps[number]
        now = self.start[number][:, None, None].expand(len(known), -1, *known.shape[2:])
        if self.here is not None and self.loud is not None:
            seen = signs_and_sizes(known[:, : self.scalars])
            if step.kind == VECTORS:
                now = now + self.here(seen)
            elif number:
                now = now + self.near[number - 1](seen)
            if step.kind == VECTORS and step.start:
                strong = known[:, self.scalars : self.scalars + self.strong]
                now = now + self.loud(snap(compand(snap(strong.abs()))))
        return rectify(now if trunk is None else now + trunk)

    def logits(self, number: int, rows: Tensor) -> Tensor:
        """Logits [n,groups of the step,K] at chosen positions; rows: their features [n,C]."""
        step = self.steps[number]
        weight, bias = linear(self.middle[step.kind])
        rows = rectify(F.linear(rows, weight, bias))
        chosen = slice(step.start * self.codebook, step.end * self.codebook)
        weight, bias = (part[chosen] for part in linear(self.out[step.kind]))
        return snap(F.linear(rows, weight, bias)).view(len(rows), -1, self.codebook)


def linear(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight [C',C] and bias [C'] of a convolution of one position."""
    assert isinstance(conv, Conv) and conv.bias is not None
    return conv.weight[:, :, 0, 0], conv.bias
