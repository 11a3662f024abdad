"""How likely a frame's codes are, given what is decoded already; the same bits on every machine.

A frame's codes in layer l are asked for in 2 * 3 steps: every fourth frame, then the frames halfway
between, then the odd ones; the groups of a frame one after the other. Numbers of an 8-frame start,
two groups:

    frame     0 1 2 3 4 5 6 7
    group 0   0 4 2 4 0 4 2 4
    group 1   1 5 3 5 1 5 3 5

All codes of a step are coded in parallel. What each sees of the frames ABOVE and BESIDE it: the sum
of the coarser layers' code vectors, the vector of the layer before, and those code vectors of its
own layer that earlier steps named. Everything is a sum of code vectors, so nothing has to be
carried from layer to layer. Sounds are coded in segments that do not see each other; so memory does
not grow with length.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.models.base import Batch
from hqcodec.models.exact import Conv, exact_copy, rectify, snap, softmax_frequencies

ABOVE = (-1, 0, 1)  # frames of coarser layers that a code is predicted from, counted from its own
BESIDE = (-4, -2, -1, 0, 1, 2, 4)  # likewise of its own layer
ORDER = (0,), (2,), (1, 3)  # frames modulo 4 in the order of coding
SEGMENT = 2048  # frames that are coded without knowing of others: 27 s at 75 a second


class SoundPrior(nn.Module):
    """Context models of all layers; the code vectors are the model's own, passed in as `books`.

    books: [groups,K,D] of each layer.
    """

    def __init__(self, layers: int, groups: int, codebook: int, dim: int, hidden: int) -> None:
        """Uniform at the start; `hidden` channels."""
        super().__init__()
        self.groups = groups
        self.heads = nn.ModuleList(
            Head(groups, codebook, dim, hidden, first=n == 0) for n in range(layers)
        )
        self._exact: list[tuple[SoundPrior, list[Tensor]]] = []  # made on first use; no submodule

    def train(self, mode: bool = True) -> "SoundPrior":
        """Training changes weights, so the exact twin is forgotten."""
        self._exact = []
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """Copies make an exact twin of their own."""
        return self.__dict__ | {"_exact": []}

    def head(self, layer: int) -> "Head":
        """The head of a layer."""
        head = self.heads[layer]
        assert isinstance(head, Head)
        return head

    def nats(
        self, codes: Sequence[Tensor], books: Sequence[Tensor], layers: Sequence[int]
    ) -> Tensor:
        """-log p in nats a sound of the codes [B,groups,1,frames] of some layers: [len(layers)].

        Differentiable in the prior alone.
        """
        books = [book.detach() for book in books]
        total = []
        for n in layers:
            current = codes[n][:, :, 0]  # [B,groups,frames]
            frames = current.shape[2]
            own = vectors(current, books[n])
            coarse = self.coarse([layer[:, :, 0] for layer in codes[:n]], books)
            nats = own.new_zeros((), dtype=torch.float32)
            for step, (group, where) in enumerate(steps(frames, self.groups)):
                known = own * before(step, frames, self.groups, books[n].shape[2])
                logits = self.head(n).logits(step, group, where, known, coarse)
                log_p = logits.float().log_softmax(-1)  # [B,n,K]
                nats = nats - log_p.gather(-1, current[:, group, where, None]).sum()
            total.append(nats / len(current))
        return torch.stack(total)

    def coarse(self, codes: Sequence[Tensor], books: Sequence[Tensor]) -> Tensor | None:
        """What the coarser layers' codes [B,groups,frames] say: [B,frames,hidden]."""
        if not codes:
            return None
        found = [vectors(chosen, book) for chosen, book in zip(codes, books, strict=False)]
        total = snap(torch.stack(found).sum(0))
        return self.head(len(codes)).above(around(torch.cat([total, found[-1]], 2), ABOVE))

    def tables(
        self, codes: Sequence[Tensor], current: Tensor, books: Sequence[Tensor]
    ) -> Iterator[Batch]:
        """`Model.tables`, in exact arithmetic, for codes [groups,channels,frames]."""
        if not self._exact:
            snapped = [snap(book.detach().cpu().double()) for book in books]
            self._exact = [(exact_copy(self), snapped)]
        twin, exact = self._exact[0]
        _, channels, frames = current.shape
        for channel in range(channels):
            for start in range(0, frames, SEGMENT):
                part = slice(start, min(start + SEGMENT, frames))
                cut = [layer[:, channel, part].cpu()[None] for layer in codes]
                place = torch.arange(part.start, part.stop) + channel * frames
                for where, frequencies in twin.segment(cut, current[:, channel, part], exact):
                    group = where.div(len(place), rounding_mode="floor")
                    places = place[where % len(place)] + group * (channels * frames)
                    yield Batch(places, frequencies)

    def segment(
        self, codes: Sequence[Tensor], current: Tensor, books: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Places and frequencies in a segment: codes [1,groups,frames], current [groups,frames]."""
        n, frames = len(codes), current.shape[1]
        head, coarse = self.head(n), self.coarse(codes, books)
        for step, (group, where) in enumerate(steps(frames, self.groups)):
            if not len(where):
                continue
            own = vectors(current.cpu()[None], books[n])  # as far as it is known
            known = own * before(step, frames, self.groups, books[n].shape[2])
            logits = snap(head.logits(step, group, where, known, coarse))[0]
            yield where + group * frames, softmax_frequencies(logits)


class Head(nn.Module):
    """The context model of one layer."""

    def __init__(
        self, groups: int, codebook: int, dim: int, hidden: int, first: bool = False
    ) -> None:
        """first: nothing is coarser."""
        super().__init__()
        channels = groups * dim
        self.start = nn.Parameter(0.3 * torch.randn(len(ORDER) * groups, hidden))
        if not first:
            self.coarser = Conv(2 * channels * len(ABOVE), hidden, bias=False)
        self.near = Conv(channels * len(BESIDE), hidden, bias=False)
        self.middle = Conv(hidden, hidden)
        self.out = nn.ModuleList(zero(Conv(hidden, codebook)) for _ in range(groups))

    def above(self, rows: Tensor) -> Tensor:
        """[B,n,inputs] of the coarser layers -> [B,n,hidden]."""
        return dense(self.coarser, rows)

    def logits(
        self, step: int, group: int, where: Tensor, known: Tensor, coarse: Tensor | None
    ) -> Tensor:
        """Of the codes of a group at frames `where` [n]: [B,n,K].

        known: code vectors [B,frames,C] of this layer, zero where not yet decoded.
        """
        now = dense(self.near, around(known, BESIDE, where)) + self.start[step]
        if coarse is not None:
            now = now + coarse[:, where]
        out = self.out[group]
        assert isinstance(out, Conv)
        return dense(out, rectify(dense(self.middle, rectify(now))))


def vectors(codes: Tensor, book: Tensor) -> Tensor:
    """The code vectors of all groups, side by side: [B,groups,frames] -> [B,frames,groups*D]."""
    return torch.cat([rows[chosen] for chosen, rows in zip(codes.unbind(1), book, strict=True)], 2)


def zero(layer: Conv) -> Conv:
    """A layer whose output is zero until it is trained."""
    for p in layer.parameters():
        nn.init.zeros_(p)
    return layer


def dense(layer: Conv, rows: Tensor) -> Tensor:
    """A 1x1 convolution over rows, [B,n,inputs] -> [B,n,outputs]; one exact product in float64."""
    return F.linear(rows, layer.weight.flatten(1), layer.bias)


def around(x: Tensor, offsets: Sequence[int], where: Tensor | None = None) -> Tensor:
    """The frames at some offsets from each, zero beyond the ends: [B,frames,C] -> [B,n,offsets*C].

    where: frames [n] to look from; by default all.
    """
    reach, frames = max(map(abs, offsets)), x.shape[1]
    places = torch.arange(frames, device=x.device) if where is None else where
    places = places[:, None] + torch.tensor(offsets, device=x.device) + reach  # [n,offsets]
    return F.pad(x, (0, 0, reach, reach))[:, places].flatten(2)


def numbers(frames: int, groups: int) -> Tensor:
    """The step [groups,frames] of each code; see the module docstring."""
    turn = torch.empty(4, dtype=torch.int64)
    for place, offsets in enumerate(ORDER):
        turn[list(offsets)] = place
    return turn[torch.arange(frames) % 4] * groups + torch.arange(groups)[:, None]


def steps(frames: int, groups: int) -> Iterator[tuple[int, Tensor]]:
    """Group and frames [n] of each step, in order."""
    number = numbers(frames, groups)
    for step in range(len(ORDER) * groups):
        group = step % groups
        yield group, (number[group] == step).nonzero()[:, 0]


def before(step: int, frames: int, groups: int, dim: int) -> Tensor:
    """Whether the dimensions of a code vector [frames,groups*dim] are decoded before a step."""
    return (numbers(frames, groups).T < step).repeat_interleave(dim, 1)
