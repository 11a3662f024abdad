"""A learned prior over the codes of any hierarchy: P(z_l | z_1 .. z_{l-1}), exactly computed.

A top-down network carries what the coarser layers say from their grid to the next finer one:

    state_1 = 0
    state_l = up(mix(state_{l-1} + embed(z_{l-1})))

Within a layer the codes are asked for in four steps, so that all but the first see neighbours of
their own layer; all codes of a step are coded in parallel. Steps of a 4x4 corner:

    0 2 0 2
    3 1 3 1
    0 2 0 2
    3 1 3 1

The photo model has context models of its own (context.py), for many small groups of known units.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hqcodec.models.base import Batch, Layer
from hqcodec.models.exact import Conv, Residual, exact_copy, rectify, snap, softmax_frequencies
from hqcodec.models.static import StaticTables

CORNERS = (0, 0), (1, 1), (0, 1), (1, 0)  # (row, column) of the steps in every 2x2 positions
CHUNK = 512  # positions whose logits are held at a time


class Prior(nn.Module):
    """How likely the codes of each layer are, given what is decoded already."""

    def __init__(self, layers: Sequence[Layer], hidden: int) -> None:
        """A prior of `hidden` channels; 0: static tables, which `calibrate` counts.

        Each layer's stride must be a multiple of the next one's.
        """
        super().__init__()
        self.layers = tuple(layers)
        self.static = None if hidden else StaticTables(self.layers)
        self.embed = nn.ParameterList()
        self.mix, self.grow, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self._exact: list[Prior] = []  # its twin in float64, made on first use; no submodule
        if hidden:
            self.embed.extend(
                nn.Parameter(0.3 * torch.randn(layer.groups * layer.codebook, hidden))
                for layer in layers
            )
            for layer, finer in pairwise(layers):
                self.mix.append(Residual(hidden))
                self.grow.append(grow(hidden, layer.stride // finer.stride))
            self.heads.extend(Head(layer, hidden) for layer in layers)

    def train(self, mode: bool = True) -> "Prior":
        """Training changes weights, so the exact twin is forgotten."""
        self._exact = []
        return super().train(mode)

    def embedded(self, layer: int, codes: Tensor) -> Tensor:
        """What codes [B,groups,h,w] add to the state: [B,hidden,h,w]."""
        groups = torch.arange(codes.shape[1], device=codes.device)[:, None, None]
        rows = self.embed[layer][codes + groups * self.layers[layer].codebook]
        return rows.sum(1).movedim(-1, 1)  # type: ignore[no-any-return]

    def state(self, codes: Sequence[Tensor]) -> Tensor | None:
        """What the coarser layers' codes [B,groups,h,w] say at layer len(codes): [B,hidden,h,w]."""
        state: Tensor | None = None
        for layer, chosen in enumerate(codes):
            embedded = self.embedded(layer, chosen)
            state = snap(embedded if state is None else state + embedded)
            state = self.grow[layer](self.mix[layer](state))
        return state

    def nats(self, codes: Sequence[Tensor]) -> Tensor:
        """-log p of the codes [B,groups,h,w] of all layers, in nats a picture: [L]."""
        total = []
        for n, current in enumerate(codes):
            head, (B, _, h, w) = self.head(n), current.shape
            state, known = self.state(codes[:n]), self.embedded(n, current)
            rows = current.movedim(1, -1).flatten(0, 2)  # [B*h*w,groups]
            nats = rows.new_zeros((), dtype=torch.float32)
            for step in range(len(CORNERS)):
                where = positions(step, h, w, B).to(known.device)
                if not len(where):  # a grid of one row or column lacks some steps
                    continue
                seen = known * before(step, h, w).to(known.device)
                features = head.features(step, seen, state).movedim(1, -1).flatten(0, 2)
                log_p = head.logits(features[where]).float().log_softmax(-1)
                nats = nats - log_p.gather(-1, rows[where][..., None]).sum()
            total.append(nats / B)
        return torch.stack(total)

    def terms(self, codes: Sequence[Tensor], x: Tensor) -> dict[str, Tensor]:
        """What training shows and minimises, for the codes of pictures x [B,3,H,W].

        prior: nats a sample of x, all layers; bpp_l: bits a pixel of the first l layers.
        """
        nats = self.nats(codes)
        bits = nats.detach().cumsum(0) / (math.log(2) * x[0, 0].numel())
        terms = {"prior": nats.sum() / x[0].numel()}
        return terms | {f"bpp_{n}": value for n, value in enumerate(bits, 1)}

    def calibrate(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Count static tables anew on codes; what is learned stays as it is."""
        if self.static is not None:
            self.static.clear()
            for codes in batches:
                self.static.count(codes)

    @torch.no_grad()
    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """`Model.tables`, in exact arithmetic."""
        if self.static is not None:
            yield from self.static.tables(codes, current)
            return
        self._exact = self._exact or [exact_copy(self)]
        twin, n, (groups, h, w) = self._exact[0], len(codes), current.shape
        head, state = twin.head(n), twin.state([layer.cpu()[None] for layer in codes])
        for step in range(len(CORNERS)):
            seen = snap(twin.embedded(n, current.cpu()[None])) * before(step, h, w)
            features = head.features(step, seen, state)[0].flatten(1).T
            for part in torch.split(positions(step, h, w), CHUNK):
                if len(part):
                    logits = head.logits(features[part])  # [n,groups,K]
                    where = part[:, None] + torch.arange(groups) * (h * w)
                    yield Batch(where.flatten(), softmax_frequencies(logits).flatten(0, 1))

    def head(self, layer: int) -> "Head":
        """The head of a layer."""
        head = self.heads[layer]
        assert isinstance(head, Head)
        return head

    def __getstate__(self) -> dict[str, Any]:
        """Copies make an exact twin of their own."""
        return self.__dict__ | {"_exact": []}


class Head(nn.Module):
    """From what is known around a position to the logits of its codes."""

    def __init__(self, layer: Layer, hidden: int) -> None:
        """Uniform at the start."""
        super().__init__()
        self.codebook = layer.codebook
        self.start = nn.Parameter(0.3 * torch.randn(len(CORNERS), hidden))
        self.near = Conv(hidden, hidden, 3, bias=False)
        self.middle = Conv(hidden, hidden)
        self.out = Conv(hidden, layer.groups * layer.codebook)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def features(self, step: int, seen: Tensor, state: Tensor | None) -> Tensor:
        """Features [B,hidden,h,w] of a step.

        seen: the embedded codes of this layer, zero where not yet decoded; state: `Prior.state`.
        """
        now = self.start[step][:, None, None] + self.near(seen)
        return rectify(now if state is None else now + state)

    def logits(self, rows: Tensor) -> Tensor:
        """[n,hidden] -> [n,groups,K]."""
        column = rows.T[None, :, :, None]  # the positions as a picture one pixel wide
        logits = snap(self.out(rectify(self.middle(column))))
        return logits[0, :, :, 0].T.reshape(len(rows), -1, self.codebook)


def grow(hidden: int, ratio: int) -> nn.Module:
    """[B,hidden,h,w] -> [B,hidden,ratio*h,ratio*w]."""
    if ratio == 1:
        return nn.Identity()
    return nn.Sequential(Conv(hidden, ratio**2 * hidden), nn.PixelShuffle(ratio), Rectify())


class Rectify(nn.Module):
    """`rectify` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return rectify(x)


def corners(h: int, w: int) -> Tensor:
    """The step [h,w] of each position."""
    number = torch.empty(h, w, dtype=torch.int64)
    for step, (row, column) in enumerate(CORNERS):
        number[row::2, column::2] = step
    return number


def before(step: int, h: int, w: int) -> Tensor:
    """Whether a position [h,w] is decoded before a step."""
    return corners(h, w) < step


def positions(step: int, h: int, w: int, batch: int = 1) -> Tensor:
    """Flat positions [n] of a step in [batch,h,w]."""
    return (corners(h, w).expand(batch, h, w).flatten() == step).nonzero()[:, 0]
