"""The photo model's context models and their codes, by compiled functions: see c/.

What photo_codes.py does by tensors, context.py, exact.py and `constriction`, is done here with the
same results, to the byte. All sums are exact, so it does not matter what torch makes of float32.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from hqcodec.models import steps as order
from hqcodec.models.base import count
from hqcodec.models.compiled import (
    TAPS,
    Convolution,
    Decoder,
    Encoder,
    Layer,
    Step,
    View,
    all_at,
    at,
    call,
)
from hqcodec.models.context import Context
from hqcodec.models.exact import exponentials, falls
from hqcodec.models.narrow import GRID
from hqcodec.models.panels import LANES, Panels, bits_of, panels, panels_of
from hqcodec.models.steps import SCALARS, VECTORS

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
    """A fixed context model, and the codebooks of its layer."""

    def __init__(self, context: Context, books: Sequence[Tensor], looks: Sequence[Tensor]) -> None:
        """Lay its weights out; books: [g,K,s] of scalars and vectors; looks: `whole`, at those."""
        self.context, self.steps, self.looks = context, context.steps, looks
        self.strong, self.alone = context.strong, context.alone
        self.dims = sum(book.shape[0] * book.shape[2] for book in books)
        ways = context.codebook - 1
        self.start, self.middle = context.start.detach(), list(map(panels_of, context.middle))
        groups, some = map(context.groups, range(len(self.steps))), context.some
        bits = bits_of(some.weight)
        self.some = [panels(some.weight[g], some.bias[g], bits) for g in groups]
        which, more = context.which, -ways % LANES
        weight = pad(which.weight.view(-1, ways, which.in_features), (0, 0, 0, more))
        self.which = panels(weight.flatten(0, 1), None, bits_of(which.weight))
        self.which_bias = pad(which.bias.float().view(-1, ways), (0, more), value=FAR)
        self.others = list(map(_others, books))
        self._convolutions: list[tuple[Panels, Convolution]] = []
        if not self.alone:
            self.own, self.some_after = context.own.detach(), context.some_after.detach()
            self.which_after = pad(context.which_after.detach(), (0, more))
            self.coarser = panels_of(context.coarser)
            self.past = self._convolution(context.past, parts=1, part=context.past.in_channels)
        self.templates = (Step * len(self.steps))(*map(self._template, range(len(self.steps))))

    def _template(self, number: int) -> Step:
        """What a step has in common in all pictures."""
        step, some, dims = self.steps[number], self.some[number], self.context.dims(number)
        middle, look, (none, weights) = self.middle[step.kind], self.looks[step.kind], _tables()
        start, (vectors, norms) = self.context.groups(number).start, self.others[step.kind]
        later = dims.stop <= self.strong.stop  # whether later steps see it
        first = start * norms.shape[1] // LANES  # panel
        template = Step(
            channels=self.start.shape[1], groups=some.channels, ways=look.shape[2] - 1,
            size=look.shape[3], codebook=look.shape[2], group=start, dim=dims.start,
            start=at(self.start[number]), hidden=middle.outputs, middle_weight=at(middle.weight),
            middle_bias=at(middle.bias), middle_unit=middle.unit, some_weight=at(some.weight),
            some_bias=at(some.bias), some_unit=some.unit, padded=norms.shape[1],
            which_weight=at(self.which.weight[first:]), which_bias=at(self.which_bias[start]),
            which_unit=self.which.unit, falls=at(none), exponentials=at(weights),
            last=len(weights) - 1, vectors=at(vectors[step.start]), norms=at(norms[step.start]),
            look=at(look[0, step.start]), look_stride=look.stride(0) if later else 0,
        )  # fmt: skip
        if not self.alone:
            template.some_after = at(self.some_after[start])
            template.which_after = at(self.which_after[start])
        c, scalars = self.context, self.strong.start
        if step.kind == SCALARS and number and c.near:
            template.beside = self._convolution(c.near[number - 1], parts=2, part=scalars)
        if step.kind == VECTORS and not step.start and c.here is not None:
            template.here = self._convolution(c.here, parts=2, part=scalars)
        if step.kind == VECTORS and step.start and c.loud is not None:
            of_strong = {"part": self.strong.stop - scalars, "plane": 1, "dim": scalars}
            template.beside = self._convolution(c.loud, parts=1, **of_strong)
        return template

    def _convolution(self, module: nn.Module, **seen: int) -> int:
        """Where one lies, of a layer's weights and of what it sees; both are kept."""
        layer = panels_of(module)
        assert layer.kernel**2 <= TAPS
        made = Convolution(
            kernel=layer.kernel, dilation=layer.dilation, weight=at(layer.weight),
            bias=at(layer.bias), unit=layer.unit, channels=layer.channels, hidden=layer.outputs,
            **seen,
        )  # fmt: skip
        self._convolutions.append((layer, made))
        return ctypes.addressof(made)


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
    c, steps = context, (Step * len(context.steps)).from_buffer_copy(context.templates)
    positions = [step.positions(*size) for step in c.steps]
    for step, where in zip(steps, positions, strict=True):
        step.n, step.where = count(where), None if isinstance(where, slice) else at(where)
    layer = Layer(
        mode=DECODE if isinstance(coder, Decoder) else ENCODE, h=size[0], w=size[1],
        groups=len(codes), dims=c.dims, chunk=order.CHUNK, steps_count=len(steps),
        steps=ctypes.addressof(steps), known_rows=c.strong.stop, codes=at(codes),
    )  # fmt: skip
    if coarser is not None:
        (scalars, codebook, _), (vectors, _, vector) = (book.shape for book in coarser.books[0])
        books = [book for pair in coarser.books for book in pair]
        arrays = [all_at(tensors) for tensors in (coarser.codes, books, coarser.looks)]
        codes_at, books_at, looks_at = map(ctypes.addressof, arrays)
        view = View(
            total=codes.shape[1], scalars=scalars, vectors=vectors, size=vector, codebook=codebook,
            layers=len(coarser.codes), codes=codes_at, books=books_at, looks=looks_at,
            own=at(c.own), per_step=coarser.per_step, channels=c.coarser.channels,
            hidden=c.coarser.outputs, weight=at(c.coarser.weight), unit=c.coarser.unit,
            bias=at(c.coarser.bias),
        )  # fmt: skip
        layer.view, layer.past = ctypes.addressof(view), c.past
    if choice is not None:
        assert choice.latent.is_contiguous()
        layer.mode, layer.rate_lambda = CHOOSE, choice.rate_lambda
        layer.latent = at(choice.latent)
    call("code_layer", layer, None if coder is None else coder.state, torch.get_num_threads())


def _others(codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Code vectors [g,K,s] but 0, [g,s,padded], and their squares [g,padded]."""
    more = 0, -(codebook.shape[1] - 1) % LANES
    norms = pad(codebook[:, 1:].square().sum(-1), more, value=float("inf"))
    return pad(codebook[:, 1:].transpose(1, 2), more).contiguous(), norms


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """`falls` of code 0 and `exponentials`, int32."""
    return falls()[:, 0].int(), exponentials().int()
