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

from hqcodec.models.base import Where, count
from hqcodec.models.compiled import Convolution, Decoder, Encoder, Step, View, all_at, at, call
from hqcodec.models.context import Context, Part, Trunk
from hqcodec.models.exact import exponentials, falls
from hqcodec.models.narrow import Conv, Linear
from hqcodec.models.steps import SCALARS, VECTORS

LANES = 16  # as in c/common.h
FAR = -1e30  # logits of codes that are only padding
DECODE, ENCODE, CHOOSE = range(3)


class Panels(NamedTuple):
    """Weights of a product or of a convolution, laid out for c/common.h."""

    weight: Tensor  # [outputs/LANES,taps,inputs,LANES]
    bias: Tensor | None  # [outputs]
    channels: int  # outputs without padding
    kernel: int
    dilation: int

    @property
    def outputs(self) -> int:
        """In whole LANES."""
        return self.weight.shape[0] * LANES


def _floats(*shape: int) -> Tensor:
    """Memory for float32, whatever torch's default is."""
    return torch.empty(*shape, dtype=torch.float32)


def panels(weight: Tensor, bias: Tensor | None, dilation: int = 1, fill: float = 0.0) -> Panels:
    """Of a weight [outputs,inputs] or [outputs,inputs,k,k]; fill: bias of outputs that are none."""
    (outputs, inputs), kernel = weight.shape[:2], weight.shape[2] if weight.dim() > 2 else 1
    more = 0, -outputs % LANES
    taps = pad(weight.float().reshape(outputs, inputs, -1).permute(2, 1, 0), more)
    padded = taps.view(*taps.shape[:2], -1, LANES).movedim(2, 0).contiguous()
    if bias is not None:
        bias = pad(bias.float(), more, value=fill)
    return Panels(padded, bias, outputs, kernel, dilation)


def panels_of(module: nn.Module) -> Panels:
    """Of a layer."""
    assert isinstance(module, Conv | Linear)
    dilation = module.dilation[0] if isinstance(module, Conv) else 1
    return panels(module.weight, module.bias, dilation)


class Coarser(NamedTuple):
    """What a layer's context model sees of the layers before."""

    codes: Sequence[Tensor]  # [groups,P] int64 of each
    books: Sequence[Sequence[Tensor]]  # [g,K,s] of scalars and vectors of each
    looks: Sequence[Tensor]  # [2,g,K,s]: `Context.look` at those of the last
    per_step: float


class Choice(NamedTuple):
    """What codes are chosen by: argmin |r - b|^2 - lambda log p, as photo_codes.pick has it."""

    latent: Tensor  # z [D,P] float32
    sum: Tensor | None  # y [P,D] of the coarser layers; r = z - y
    rate_lambda: float


class CompiledContext:
    """A fixed context model. What it has in common with `Context` takes and gives the same."""

    def __init__(self, context: Context) -> None:
        """Lay its weights out."""
        self.steps, self.strong, self.alone = context.steps, context.strong, context.alone
        self.scalars, self.codebook, ways = context.scalars, context.codebook, context.codebook - 1
        self.start, self.middle = context.start.detach(), list(map(panels_of, context.middle))
        groups = map(context.groups, range(len(self.steps)))
        self.some = [panels(context.some.weight[g], context.some.bias[g]) for g in groups]
        parts = [torch.split(x, ways) for x in (context.which.weight, context.which.bias)]
        which = [panels(weight, bias, fill=FAR) for weight, bias in zip(*parts, strict=True)]
        self.which = torch.stack([each.weight for each in which])
        self.which_bias = torch.stack([each.bias for each in which if each.bias is not None])
        self.near = list(map(panels_of, context.near))
        self.here = None if context.here is None else panels_of(context.here)
        self.loud = None if context.loud is None else panels_of(context.loud)
        if not self.alone:
            self.own, self.some_after = context.own.detach(), context.some_after.detach()
            self.which_after = pad(context.which_after.detach(), (0, -ways % LANES))
            self.coarser, self.past = panels_of(context.coarser), panels_of(context.past)

    def trunk(self, coarser: Coarser, size: tuple[int, int]) -> tuple[Trunk, Tensor]:
        """`Context.trunk`, and the sum of the coarser layers [P,D]; size: (h, w)."""
        (scalars, codebook, _), (vectors, _, dim) = (book.shape for book in coarser.books[0])
        total, dims, channels = size[0] * size[1], scalars + vectors * dim, self.coarser.channels
        sums, odds = _floats(total, dims), _floats(total, scalars + vectors)
        features = _floats(total, channels)
        books = [book for pair in coarser.books for book in pair]
        arrays = [all_at(tensors) for tensors in (coarser.codes, books, coarser.looks)]
        codes_at, books_at, looks_at = map(ctypes.addressof, arrays)
        view = View(
            total=total, scalars=scalars, vectors=vectors, size=dim, codebook=codebook,
            layers=len(coarser.codes), codes=codes_at, books=books_at, looks=looks_at,
            own=at(self.own), per_step=coarser.per_step, channels=channels,
            hidden=self.coarser.outputs, weight=at(self.coarser.weight),
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
    padded = _floats((h + 2 * pad) * (w + 2 * pad), part * len(x))
    behind = torch.empty(layer.kernel**2, dtype=torch.int64)
    v = Convolution(
        h=h, w=w, kernel=layer.kernel, dilation=layer.dilation, parts=len(x), part=part,
        apart=apart, weight=at(layer.weight), bias=at(layer.bias), channels=layer.channels,
        hidden=layer.outputs, more=at(more), n=len(out), out=at(out), behind=at(behind),
        padded=at(padded),
    )  # fmt: skip
    v.x[:] = (x[0].data_ptr(), x[-1].data_ptr())
    if isinstance(where, slice):
        v.first = where.start
    else:
        v.where = at(where)
    call("convolve", v, torch.get_num_threads())
    return out


class Pieces:
    """Codes a layer piece by piece, and keeps memory for it from one to the next."""

    def __init__(
        self, coder: Decoder | Encoder | None, context: CompiledContext, codes: Tensor
    ) -> None:
        """codes: [groups,P] int64, which a decoder fills in and an encoder reads or chooses.

        Without a coder they are only chosen.
        """
        if not codes.is_contiguous():
            raise ValueError("the codes are not contiguous")
        self.coder, self.context, self.codes = coder, context, codes
        self.shared = _floats(0)

    def code(self, part: Part, before: Tensor | None, choice: Choice | None) -> None:
        """Code a piece: whether each code is 0, then which the others are.

        before: codes [groups,P] of the layer before, None if there is none. Fills `part.known` in.
        Raises FormatError if a payload is none.
        """
        c, number, start, known = self.context, part.number, part.groups.start, part.known
        some, middle, (none, weights) = c.some[number], c.middle[part.kind], _tables()
        step = Step(
            mode=DECODE if isinstance(self.coder, Decoder) else ENCODE, n=count(part.where),
            channels=c.start.shape[1], groups=some.channels, ways=c.codebook - 1,
            size=part.look.shape[3], codebook=c.codebook, total=self.codes.shape[1],
            start=at(c.start[number]), trunk=at(part.trunk.features), near=at(part.beside),
            hidden=middle.outputs, middle_weight=at(middle.weight), middle_bias=at(middle.bias),
            some_weight=at(some.weight), some_bias=at(some.bias),
            padded=c.which_bias.shape[1], which_weight=at(c.which[start:]),
            which_bias=at(c.which_bias[start:]), falls=at(none), exponentials=at(weights),
            last=len(weights) - 1, codes=at(self.codes[start:]), look=at(part.look),
            look_stride=part.look[0].numel(),
        )  # fmt: skip
        if isinstance(part.where, slice):
            step.first = part.where.start
        else:
            step.where = at(part.where)
        if part.trunk.odds is not None and before is not None:
            step.odds, step.odds_stride = at(part.trunk.odds[:, start:]), len(self.codes)
            step.before, step.some_after = at(before[start:]), at(c.some_after[start:])
            step.which_after = at(c.which_after[start:])
        if known is not None:
            step.known, step.known_stride, step.known_rows = at(known), *known.stride()[:2]
        if choice is not None:
            step.mode, step.rate_lambda = CHOOSE, choice.rate_lambda
            step.latent, step.dims = at(choice.latent[part.dims]), len(choice.latent)
            if choice.sum is not None:
                step.sum = at(choice.sum[:, part.dims])
            vectors, norms = _others(part.codebook)
            step.vectors, step.norms = at(vectors), at(norms)
        size = call("shared_of", step)
        if len(self.shared) < size:
            self.shared = _floats(size)
        state = None
        if self.coder is not None:
            self.coder.room(step.n * step.groups)
            state = self.coder.state
        call("code_step", step, state, at(self.shared), torch.get_num_threads())


def _others(codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Code vectors [g,K,s] but 0, [g,s,padded], and their squares [g,padded]."""
    more = 0, -(codebook.shape[1] - 1) % LANES
    norms = pad(codebook[:, 1:].square().sum(-1), more, value=float("inf"))
    return pad(codebook[:, 1:].transpose(1, 2), more).contiguous(), norms


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """`falls` of code 0 and `exponentials`, int32."""
    return falls()[:, 0].int(), exponentials().int()
