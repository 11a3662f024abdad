"""The photo model's context models and their codes, by compiled functions: see c/.

What photo_codes.py does by tensors, context.py, exact.py and `constriction`, is done here with the
same results, to the byte. All sums are exact, so it does not matter what torch makes of float32.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from hqcodec.models.base import Where, count, zeros
from hqcodec.models.compiled import Convolution, Decoder, Encoder, Step, View, all_at, at, call
from hqcodec.models.context import Context, Trunk
from hqcodec.models.exact import exponentials, falls
from hqcodec.models.narrow import GRID
from hqcodec.models.panels import LANES, Panels, bits_of, panels, panels_of
from hqcodec.models.steps import SCALARS, VECTORS, pieces

FAR = -1e30  # logits of codes that are only padding
DECODE, ENCODE, CHOOSE = range(3)


class Coarser(NamedTuple):
    """What a layer's context model sees of the layers before."""

    codes: Sequence[Tensor]  # [groups,P] int64 of each
    books: Sequence[Sequence[Tensor]]  # [g,K,s] of scalars and vectors of each
    looks: Sequence[Tensor]  # [2,g,K,s]: `Context.look` at those of the last, as `whole` numbers
    per_step: float


class Choice(NamedTuple):
    """What codes are chosen by: argmin |r - b|^2 - lambda log p, as photo_codes.pick has it."""

    latent: Tensor  # z [D,P] float32; without coarser layers of a context model, r itself
    rate_lambda: float


def whole(x: Tensor) -> Tensor:
    """What enters a product, in units of its grid: any shape, int16."""
    return x.mul(GRID).to(torch.int16)


class CompiledContext:
    """A fixed context model, and the codebooks of its layer.

    What it has in common with `Context` takes `known` as `whole` numbers, and gives the same.
    """

    def __init__(self, context: Context, books: Sequence[Tensor], looks: Sequence[Tensor]) -> None:
        """Lay its weights out; books: [g,K,s] of scalars and vectors; looks: `whole`, at those."""
        self.context, self.steps, self.looks = context, context.steps, looks
        self.strong, self.alone = context.strong, context.alone
        self.scalars, self.codebook, ways = context.scalars, context.codebook, context.codebook - 1
        self.start, self.middle = context.start.detach(), list(map(panels_of, context.middle))
        groups, some = map(context.groups, range(len(self.steps))), context.some
        bits = bits_of(some.weight)
        self.some = [panels(some.weight[g], some.bias[g], bits) for g in groups]
        parts = [torch.split(x, ways) for x in (context.which.weight, context.which.bias)]
        bits = bits_of(context.which.weight)
        which = [panels(weight, bias, bits, fill=FAR) for weight, bias in zip(*parts, strict=True)]
        self.which, self.which_unit = torch.stack([each.weight for each in which]), which[0].unit
        self.which_bias = torch.stack([each.bias for each in which if each.bias is not None])
        self.near = list(map(panels_of, context.near))
        self.here = None if context.here is None else panels_of(context.here)
        self.loud = None if context.loud is None else panels_of(context.loud)
        if not self.alone:
            self.own, self.some_after = context.own.detach(), context.some_after.detach()
            self.which_after = pad(context.which_after.detach(), (0, -ways % LANES))
            self.coarser, self.past = panels_of(context.coarser), panels_of(context.past)
        self.others = list(map(_others, books))
        self.templates = list(map(self._template, range(len(self.steps))))

    def _template(self, number: int) -> Step:
        """What a step has in common in all pictures."""
        step, some = self.steps[number], self.some[number]
        middle, look, (none, weights) = self.middle[step.kind], self.looks[step.kind], _tables()
        start, (vectors, norms) = self.context.groups(number).start, self.others[step.kind]
        template = Step(
            channels=self.start.shape[1], groups=some.channels, ways=self.codebook - 1,
            size=look.shape[3], codebook=self.codebook, start=at(self.start[number]),
            hidden=middle.outputs, middle_weight=at(middle.weight), middle_bias=at(middle.bias),
            middle_unit=middle.unit, some_weight=at(some.weight), some_bias=at(some.bias),
            some_unit=some.unit, padded=norms.shape[1], which_weight=at(self.which[start]),
            which_bias=at(self.which_bias[start]), which_unit=self.which_unit, falls=at(none),
            exponentials=at(weights), last=len(weights) - 1, vectors=at(vectors[step.start]),
            norms=at(norms[step.start]), look=at(look[0, step.start]), look_stride=look.stride(0),
        )  # fmt: skip
        if not self.alone:
            template.some_after = at(self.some_after[start])
            template.which_after = at(self.which_after[start])
        return template

    def trunk(self, coarser: Coarser, size: tuple[int, int]) -> tuple[Trunk, Tensor]:
        """`Context.trunk`, and the sum of the coarser layers [P,D]; size: (h, w)."""
        (scalars, codebook, _), (vectors, _, dim) = (book.shape for book in coarser.books[0])
        total, dims, channels = size[0] * size[1], scalars + vectors * dim, self.coarser.channels
        sums, odds = _floats(total, dims), _floats(total, scalars + vectors)
        features = _shorts(total, channels)
        books = [book for pair in coarser.books for book in pair]
        arrays = [all_at(tensors) for tensors in (coarser.codes, books, coarser.looks)]
        codes_at, books_at, looks_at = map(ctypes.addressof, arrays)
        view = View(
            total=total, scalars=scalars, vectors=vectors, size=dim, codebook=codebook,
            layers=len(coarser.codes), codes=codes_at, books=books_at, looks=looks_at,
            own=at(self.own), per_step=coarser.per_step, channels=channels,
            hidden=self.coarser.outputs, weight=at(self.coarser.weight), unit=self.coarser.unit,
            bias=at(self.coarser.bias), sum=at(sums), odds=at(odds), features=at(features),
        )  # fmt: skip
        call("view", view, torch.get_num_threads())
        return Trunk(_convolve(self.past, [features], size), odds), sums

    def trunk_of_vectors(self, trunk: Trunk, known: Tensor) -> Trunk:
        """`Context.trunk_of_vectors`; known: [2,1,h,w,D']."""
        if self.here is None:
            return trunk
        seen = [x[..., : self.scalars] for x in known]
        return Trunk(_convolve(self.here, seen, more=trunk.features), trunk.odds)

    def beside(self, number: int, known: Tensor, where: Where) -> Tensor | None:
        """`Context.beside`; known: [2,1,h,w,D']."""
        step = self.steps[number]
        if step.kind == SCALARS and number and self.near:
            seen = [x[..., : self.scalars] for x in known]
            return _convolve(self.near[number - 1], seen, where=where)
        if step.kind == VECTORS and step.start and self.loud is not None:
            return _convolve(self.loud, [known[1][..., self.strong]], where=where)
        return None


def code(
    coder: Decoder | Encoder | None,
    context: CompiledContext,
    codes: Tensor,
    size: tuple[int, int],
    coarser: Coarser | None = None,
    choice: Choice | None = None,
) -> None:
    """Code a layer of codes [groups,h*w] int64, which a decoder fills in and an encoder reads.

    size: (h, w); choice: by what the codes are still to be chosen. Without a coder that is all.
    Raises FormatError if a payload is none.
    """
    if not codes.is_contiguous():
        raise ValueError("the codes are not contiguous")
    c, trunk, sums, (groups, total) = context, Trunk(), None, codes.shape
    known = zeros((2, 1, *size, c.strong.stop), np.int16)
    if coarser is not None:
        trunk, sums = c.trunk(coarser, size)
    mode = DECODE if isinstance(coder, Decoder) else ENCODE
    state, shared = None if coder is None else coder.state, _floats(0)
    for number, step in enumerate(c.steps):
        positions = step.positions(*size)
        if not count(positions):
            continue
        if step.kind == VECTORS and not step.start:
            trunk = c.trunk_of_vectors(trunk, known)
        beside, dims = c.beside(number, known, positions), c.context.dims(number)
        start = c.context.groups(number).start
        s = Step.from_buffer_copy(c.templates[number])
        s.mode, s.total, s.codes = mode, total, at(codes[start])
        s.trunk = at(trunk.features)
        if coarser is not None and trunk.odds is not None:
            s.odds, s.odds_stride = at(trunk.odds[:, start:]), groups
            s.before = at(coarser.codes[-1][start])
        if dims.stop <= c.strong.stop:  # later steps see it
            s.known, s.known_stride = at(known[..., dims]), known.stride(0)
            s.known_rows = c.strong.stop
        if choice is not None:
            s.mode, s.rate_lambda = CHOOSE, choice.rate_lambda
            s.latent, s.dims = at(choice.latent[dims]), len(choice.latent)
            s.sum = None if sums is None else at(sums[:, dims])
        for where, own in pieces(positions):
            s.n, s.near = count(where), None if beside is None else at(beside[own])
            s.first, s.where = (where.start, None) if isinstance(where, slice) else (0, at(where))
            needed = call("shared_of", s)
            shared = shared if len(shared) >= needed else _floats(needed)
            if coder is not None:
                coder.room(s.n * s.groups)
            call("code_step", s, state, at(shared), torch.get_num_threads())


def _convolve(
    layer: Panels,
    x: Sequence[Tensor],
    size: tuple[int, int] | None = None,
    where: Where | None = None,
    more: Tensor | None = None,
) -> Tensor:
    """Of x, one or two of [P,c] or [1,h,w,c], side by side, at flat positions [n]: [n,channels].

    more: [P,channels], to be added.
    """
    h, w = x[0].shape[1:3] if size is None else size
    where = slice(0, h * w) if where is None else where
    out, pad = _floats(count(where), layer.channels), layer.kernel // 2 * layer.dilation
    part, apart = x[0].shape[-1], x[0].stride(-2)
    padded = _shorts((h + 2 * pad) * (w + 2 * pad), (part * len(x) + 1) // 2 * 2)
    behind = torch.empty(layer.kernel**2, dtype=torch.int64)
    v = Convolution(
        h=h, w=w, kernel=layer.kernel, dilation=layer.dilation, parts=len(x), part=part,
        apart=apart, weight=at(layer.weight), bias=at(layer.bias), unit=layer.unit,
        channels=layer.channels, hidden=layer.outputs, more=at(more), n=len(out), out=at(out),
        behind=at(behind), padded=at(padded),
    )  # fmt: skip
    v.x[:] = (x[0].data_ptr(), x[-1].data_ptr())
    if isinstance(where, slice):
        v.first = where.start
    else:
        v.where = at(where)
    call("convolve", v, torch.get_num_threads())
    return out


def _floats(*shape: int) -> Tensor:
    """Memory for float32, whatever torch's default is."""
    return torch.empty(*shape, dtype=torch.float32)


def _shorts(*shape: int) -> Tensor:
    """Memory for `whole` numbers."""
    return torch.empty(*shape, dtype=torch.int16)


def _others(codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Code vectors [g,K,s] but 0, [g,s,padded], and their squares [g,padded]."""
    more = 0, -(codebook.shape[1] - 1) % LANES
    norms = pad(codebook[:, 1:].square().sum(-1), more, value=float("inf"))
    return pad(codebook[:, 1:].transpose(1, 2), more).contiguous(), norms


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """`falls` of code 0 and `exponentials`, int32."""
    return falls()[:, 0].int(), exponentials().int()
