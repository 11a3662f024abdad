"""Probabilities of a layer's codes from what is decoded already, the same bits on every machine.

The groups of a layer come in two kinds: scalars (the strongest dimensions, a codebook each) and
vectors (the other dimensions, a few to a group, strongest first). A layer is coded in steps, whose
order steps.py plans. Each step sees all coarser layers everywhere, and the steps before it; within
a step all codes are coded in parallel. Vectors go in two steps, strong groups before weak ones;
they see all scalars.

A step's codes are coded in two rounds: first whether each is 0, then those that are not. Most are,
so that the many probabilities of the second round have to be worked out for few of them.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hqcodec.models.base import Where, count
from hqcodec.models.codebooks import numbered
from hqcodec.models.narrow import BLOCK, LIMIT, Conv, Linear, Narrow, exactly, product
from hqcodec.models.steps import SCALARS, VECTORS, Step

REACH = 18.0  # inputs are clamped to so many quantizer steps
KNEE = 2.0  # above so many, they count an eighth


def compand(x: Tensor) -> Tensor:
    """Sizes as they are while small, pressed together when large: any shape of x >= 0."""
    return torch.minimum(x, x.mul(1 / 8).add_(KNEE * 7 / 8)).clamp_(max=KNEE + (REACH - KNEE) / 8)


class Trunk(NamedTuple):
    """What several steps share."""

    features: Tensor | None = None  # [B*h*w,C]
    odds: Tensor | None = None  # [B*h*w,groups], of codes that are not 0


class Context(Narrow):
    """The context model of one layer; tensors of a picture have their channels last."""

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
        self.codebook, self.steps, self.alone = codebook, steps, first or blind
        (self.scalars, _), (vectors, self.size) = kinds
        groups, dim = self.scalars + vectors, self.scalars + vectors * self.size
        strong = steps[-1].start * self.size
        self.strong = slice(self.scalars, self.scalars + strong)  # dimensions
        self.start = nn.Parameter(torch.randn(len(steps), hidden) * 0.3)
        if not self.alone:
            self.coarser = Linear(4 * dim, hidden)
            self.past = Conv(hidden, hidden, 3)
            # what the same group has in coarser layers says whether it has something here: how
            # much for each dimension, sign and size, and for each code of the layer before
            self.own = nn.Parameter(torch.zeros(2, dim))
            self.some_after = nn.Parameter(torch.zeros(groups, codebook))
            self.which_after = nn.Parameter(torch.zeros(groups, codebook, codebook - 1))
        self.near = nn.ModuleList(
            Conv(2 * self.scalars, hidden, 3, bias=False, dilation=step.dilation)
            for step in steps[1:]
            if step.kind == SCALARS and not blind
        )
        self.here = None if blind else Conv(2 * self.scalars, hidden, 3, bias=False)
        self.loud = None if blind else Conv(strong, hidden, 3, bias=False)
        self.middle = nn.ModuleList(Linear(hidden, hidden) for _ in kinds)
        self.some = Linear(hidden, groups)  # log odds of codes that are not 0
        self.which = Linear(hidden, groups * (codebook - 1))  # logits of those, group by group
        for layer in (self.some, self.which):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def start_from(self, kind: int, p: Tensor) -> None:
        """Set the logits' biases to probabilities [groups,K] counted without context."""
        first = 0 if kind == SCALARS else self.scalars
        groups = slice(first, first + len(p))
        self.some.bias[groups] = ((1 - p[:, 0]) / p[:, 0]).log()
        log_p = p[:, 1:].log()
        self.which.bias.view(-1, self.codebook - 1)[groups] = log_p - log_p.mean(1, keepdim=True)

    def groups(self, number: int) -> slice:
        """Which of the layer's groups a step codes."""
        step = self.steps[number]
        before = 0 if step.kind == SCALARS else self.scalars
        return slice(before + step.start, before + step.end)

    def dims(self, number: int) -> slice:
        """Which of the layer's dimensions those groups hold."""
        step = self.steps[number]
        if step.kind == SCALARS:
            return slice(step.start, step.end)
        return slice(*(self.scalars + edge * self.size for edge in (step.start, step.end)))

    def look(self, x: Tensor) -> Tensor:
        """Values [...] in quantizer steps as the networks take them: signed, and sizes, [2,...]."""
        size = self.enter(compand(x.abs()))
        return torch.stack([torch.copysign(size, x), size])

    @exactly
    def trunk(self, coarser: Tensor, last: Tensor) -> Trunk:
        """What all steps share, if there are coarser layers.

        coarser: their sum [B,h,w,D], in this layer's quantizer steps; last: `look` [2,B,h,w,D] at
        the values of the layer before alone, in its own.
        """
        if self.alone:
            return Trunk()
        features, odds, weight = [], [], self.own.clamp(-LIMIT, LIMIT)
        rows = BLOCK // coarser.shape[2] + 1 if self.fixed else coarser.shape[1]
        pairs = zip(torch.split(coarser, rows, 1), torch.split(last, rows, 2), strict=True)
        for part, before in pairs:
            signed, size = self.look(part)
            odds.append(self.by_group(signed * weight[0] + size * weight[1]))
            seen = self.coarser.side_by_side(signed, before[0], size, before[1])
            features.append(self.rectify(seen))
        return Trunk(self.past(torch.cat(features, 1)), torch.cat(odds, 1).flatten(0, 2))

    @exactly
    def trunk_of_vectors(self, trunk: Trunk, known: Tensor) -> Trunk:
        """What steps of vectors share: what all do, and the scalars among `known` of `features`."""
        if self.here is None:
            return trunk
        here = self.here(torch.cat([*known[..., : self.scalars]], -1))
        return Trunk(here if trunk.features is None else trunk.features + here, trunk.odds)

    def by_group(self, x: Tensor) -> Tensor:
        """Sums over the dimensions of each group: [...,D] -> [...,groups].

        Exact in any order: of products of 2^-5 by 2^-8, sizes up to 4 and factors up to 16.
        """
        scalars, vectors = x[..., : self.scalars], x[..., self.scalars :]
        return torch.cat([scalars, vectors.view(*x.shape[:-1], -1, self.size).sum(-1)], -1)

    @exactly
    def beside(self, number: int, known: Tensor, where: Where) -> Tensor | None:
        """What a step, given its number, sees of this layer's codes at flat positions [n]: [n,C].

        known: `look` at this layer's values in quantizer steps, scalars and strong vectors, 0 where
        not yet coded: [2,B,h,w,D']. None if the step sees no others than all steps do.
        """
        step, seen = self.steps[number], None
        if step.kind == SCALARS and number and self.here is not None:
            seen = self.near[number - 1](torch.cat([*known[..., : self.scalars]], -1), where)
        if step.kind == VECTORS and step.start and self.loud is not None:
            seen = self.loud(known[1][..., self.strong], where)
        return seen

    @exactly
    def features(self, number: int, trunk: Trunk, beside: Tensor | None, where: Where) -> Tensor:
        """Features [n,C] of a step, given its number and `beside`, at flat positions [n]."""
        now = self.start[number]
        if trunk.features is not None:
            now = now + trunk.features[where]
        rows = self.rectify(now if beside is None else now + beside).expand(count(where), -1)
        features: Tensor = self.rectify(self.middle[self.steps[number].kind](rows))
        return features

    @exactly
    def some_logits(
        self,
        number: int,
        features: Tensor,
        trunk: Trunk,
        before: Tensor | None,
        where: Where,
    ) -> Tensor:
        """Log odds [n,g] that a step's codes are not 0, at flat positions [n]; features [n,C].

        before: the codes [B*h*w,groups] of the layer before, None if there is none.
        """
        chosen = self.groups(number)
        logits: Tensor = self.some(features, chosen)
        if trunk.odds is None or before is None:
            return logits
        table = self.some_after[chosen].flatten()
        after = table[numbered(before[where, chosen], self.codebook)]
        return logits + trunk.odds[where, chosen] + after

    @exactly
    def which_logits(
        self, number: int, features: Tensor, chosen: Tensor, before: Tensor | None, where: Where
    ) -> Tensor:
        """Logits [N,K-1] of codes 1..K-1; chosen [n,g]: for which of a step's codes, N in all.

        They come group by group, in the order of `chosen.T.nonzero()`; the rest as `some_logits`.
        """
        groups, ways = self.groups(number), self.codebook - 1
        group, place = chosen.T.nonzero().T
        rows = torch.split(features.index_select(0, place), chosen.sum(0).tolist())
        own = slice(groups.start * ways, groups.stop * ways)
        weights = torch.split(self.which.weight[own], ways)
        biases = torch.split(self.which.bias[own], ways)
        parts = zip(rows, weights, biases, strict=True)
        logits = torch.cat([product(*part) for part in parts])
        if before is None or self.alone:
            return logits
        group = group + groups.start
        code = before[where][place, group] + group * self.codebook
        return logits + self.which_after.flatten(0, 1).index_select(0, code)
