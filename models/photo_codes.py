"""How the photo model's codes are chosen, and how they are coded.

Both go through the steps of a layer's context model (context.py), and each step in two rounds:
whether a code is 0, then which of the others it is. `quantize` does so in floating point, for
training and for encoder effort; `batches` in exact arithmetic, for files.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from hqcodec.models import compiled, kernels
from hqcodec.models.base import Batch, Where, count, zeros
from hqcodec.models.codebooks import lookup, named, rows_of
from hqcodec.models.context import Context, Trunk
from hqcodec.models.exact import GRID, odds_frequencies, softmax_frequencies
from hqcodec.models.steps import VECTORS, pieces
from hqcodec.models.transforms import PhotoConfig

if TYPE_CHECKING:
    from hqcodec.models.photo import Photo


def quantize(
    model: "Photo",
    layer: int,
    r: Tensor,
    y: Tensor,
    before: Tensor | None,
    thrift: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Codes [P,groups] of a layer at P = B*h*w positions, and their -log p in nats [P].

    r: the residual z - y to quantize; y: the sum of the coarser layers, both [B,D,h,w]; before: the
    codes [P,groups] of the layer before, None if there is none; thrift: factor of lambda.
    """
    c, context = model.config, model.context(layer)
    q = c.quantizer_step(layer)
    B, _, h, w = r.shape
    rows = rows_of(r)
    known = rows.new_zeros(2, len(rows), context.strong.stop)
    nats = rows.new_zeros(len(rows))
    codes = torch.zeros(len(rows), model.layers[layer].groups, dtype=torch.int64, device=r.device)
    everything, trunk = torch.arange(len(rows), device=r.device), Trunk()
    if before is not None:
        last = model.codebooks.lookup(layer - 1, before).detach() / c.quantizer_step(layer - 1)
        trunk = context.trunk(y.movedim(1, -1) / q, context.look(last.view(B, h, w, -1)))
    for number, step in enumerate(context.steps):
        where = step.positions(h, w, B)
        if not count(where):
            continue
        if step.kind == VECTORS and not step.start:
            trunk = context.trunk_of_vectors(trunk, known.view(2, B, h, w, -1))
        beside = context.beside(number, known.view(2, B, h, w, -1), where)
        features = context.features(number, trunk, beside, where).float()
        book = model.codebooks.get(layer, step.kind).detach()[step.start : step.end]
        with torch.autocast(r.device.type, enabled=False):
            some = context.some_logits(number, features, trunk, before, where)
            asked = number, features, before, where
            dims = context.dims(number)
            wanted = rows[where][:, dims].reshape(len(features), len(book), -1)
            k = pick(context, asked, some, wanted, book, model.config.choice_lambda(layer, thrift))
            which = context.which_logits(number, features, k > 0, before, where)
            group, place = (k > 0).T.nonzero().T
            surprise = cross_entropy(which, k[place, group] - 1, reduction="none")
            here = softplus(torch.where(k > 0, -some, some)).sum(1).index_add(0, place, surprise)
            nats = nats.index_add(0, everything[where], here)
        codes[where, context.groups(number)] = k
        if dims.stop > context.strong.stop:  # no step that follows would see it
            continue
        known = known.clone()  # backward needs what it was
        for seen_of, look in zip(known, context.look(book / q), strict=True):
            seen_of[where, dims] = named(look, k)
    return codes, nats


Asked = tuple[int, Tensor, Tensor | None, Where]  # arguments of Context.which_logits but `chosen`


@torch.no_grad()
def pick(
    context: Context, asked: Asked, some: Tensor, r: Tensor, codebook: Tensor, rate_lambda: float
) -> Tensor:
    """argmin_k |r - b_k|^2 - lambda log p_k: [n,g] int64.

    some: log odds [n,g] of codes that are not 0; r: [n,g,s]; codebook: [g,K,s], entry 0 is zero.
    What a code k gains over 0 is 2 r b_k - |b_k|^2 + lambda (some + log p(k | not 0)), at most
    |r|^2 + lambda some; only where that is above 0 are the probabilities worked out.
    """
    number, features, before, where = asked
    worth = rate_lambda * some
    hopeful = r.square().sum(-1) + worth > 0  # [n,g]
    logits = context.which_logits(number, features, hopeful, before, where)
    group, place = hopeful.T.nonzero().T
    parts = torch.split(r[place, group], hopeful.sum(0).tolist())
    others = zip(parts, codebook[:, 1:], strict=True)
    nearer = [torch.addmm(-b.square().sum(1), piece, b.T, alpha=2) for piece, b in others]
    best, k = logits.log_softmax(-1).mul_(rate_lambda).add_(torch.cat(nearer)).max(-1)
    codes = torch.zeros_like(some, dtype=torch.int64)
    codes[place, group] = torch.where(best + worth[place, group] > 0, k + 1, 0)
    return codes


class Seen(NamedTuple):
    """What a layer's codes are coded under, and chosen by."""

    trunk: Trunk
    y: Tensor  # the sum of the coarser layers [P,D]
    before: Tensor | None  # the codes of the last of them, [P,groups]


def looks(model: "Photo") -> list[list[Tensor]]:
    """`Context.look` at the exact codebooks, in quantizer steps: [layer][kind] of [2,g,K,s]."""
    books: list[list[Tensor]] = model.exact("vectors")
    steps = [per_step(model.config, layer) for layer in range(len(books))]
    contexts: Sequence[Context] = model.exact("contexts")
    layers = zip(contexts, books, steps, strict=True)
    return [[context.look(book * q) for book in pair] for context, pair, q in layers]


def look_back(model: "Photo", codes: Sequence[Tensor], size: tuple[int, int]) -> Seen:
    """What layer len(codes) sees of the coarser ones, each [groups,h,w], in exact arithmetic."""
    layer, vectors = len(codes), model.exact("vectors")
    if not layer:
        return Seen(Trunk(), vectors[0][0].new_zeros(size[0] * size[1], model.config.dim), None)
    context: Context = model.exact("contexts")[layer]
    rows = [rows_of(k[None]) for k in codes]
    y = sum(map(lookup, vectors, rows), start=vectors[0][0].new_zeros(()))
    seen = zip(*model.exact("looks")[layer - 1], strict=True)
    last = torch.stack([lookup(books, rows[-1]) for books in seen])
    now = (y * per_step(model.config, layer)).view(1, *size, -1)
    return Seen(context.trunk(now, last.view(2, 1, *size, -1)), y, rows[-1])


class Part(NamedTuple):
    """Some positions of a step, whose codes are coded together."""

    number: int  # of the step
    where: Where  # flat positions [n]
    beside: Tensor | None  # see `Context.beside`, [n,C]
    trunk: Trunk


def parts(context: Context, trunk: Trunk, known: Tensor) -> Iterator[Part]:
    """The steps of a layer, piece by piece; known of each must be filled in before the next.

    known: [2,1,h,w,D'], see `Context.beside`.
    """
    size = known.shape[2], known.shape[3]
    for number, step in enumerate(context.steps):
        positions = step.positions(*size)
        if not count(positions):
            continue
        if step.kind == VECTORS and not step.start:
            trunk = context.trunk_of_vectors(trunk, known)
        beside = context.beside(number, known, positions)
        for where, own in pieces(positions):
            yield Part(number, where, None if beside is None else beside[own], trunk)


@torch.no_grad()
def batches(
    model: "Photo",
    codes: Sequence[Tensor],
    current: Tensor,
    latent: Tensor | None = None,
    thrift: float = 1.0,
) -> Iterator[Batch]:
    """`Model.tables` of layer len(codes), in the order of its context model's steps.

    latent: [D,h,w], if the codes are still to be chosen, under thrift * lambda: then they are
    written into `current` just before the batches that name them.
    """
    layer, (groups, h, w) = len(codes), current.shape
    context: Context = model.exact("contexts")[layer]
    flat, everything = current.view(groups, h * w), torch.arange(h * w)
    seen, known = (
        look_back(model, codes, (h, w)),
        zeros((2, h * w, context.strong.stop), np.float32),
    )
    r = None if latent is None else rows_of(latent[None]).to(seen.y.dtype) - seen.y
    books, looks = model.exact("vectors")[layer], model.exact("looks")[layer]
    for part in parts(context, seen.trunk, known.view(2, 1, h, w, -1)):
        number, where, dims, rows = (
            *part[:2],
            context.dims(part.number),
            context.groups(part.number),
        )
        step, own = context.steps[number], flat[rows]  # [g,P], of `current` itself
        features = context.features(number, part.trunk, part.beside, where)
        some = context.some_logits(number, features, part.trunk, seen.before, where)
        asked = number, features, seen.before, where
        if r is not None:
            book = books[step.kind][step.start : step.end]
            wanted = r[where, dims].reshape(len(some), len(book), -1)
            with torch.autocast("cpu", enabled=False):
                picked = pick(
                    context, asked, some, wanted, book, model.config.choice_lambda(layer, thrift)
                )
            own[:, where] = picked.T
        place, start = everything[where], rows.start * (h * w)
        if count(where) == h * w:
            named_places: Where = slice(start, start + own.numel())
        else:
            named_places = (start + h * w * torch.arange(len(own))[:, None] + place).flatten()
        yield Batch(named_places, odds_frequencies(some.T.flatten()))
        more = own[:, where] > 0
        if bool(more.any()):
            which = context.which_logits(number, features, more.T, seen.before, where)
            chosen = (start + h * w * torch.arange(len(own))[:, None] + place)[more]
            yield Batch(chosen, softmax_frequencies(which), first=1)
        if dims.stop <= context.strong.stop:  # later steps see it
            here = looks[step.kind][:, step.start : step.end]
            for seen_of, look in zip(known, here, strict=True):
                seen_of[where, dims] = named(look, own[:, where].T)


def compiled_contexts(model: "Photo") -> list[kernels.CompiledContext]:
    """The context models for `code`, a layer each."""
    looks = [list(map(kernels.whole, pair)) for pair in model.exact("looks")]
    layers = zip(model.exact("contexts"), model.exact("vectors"), looks, strict=True)
    return [kernels.CompiledContext(*layer) for layer in layers]


@torch.no_grad()
def code(
    model: "Photo",
    coder: compiled.Decoder | compiled.Encoder | None,
    codes: Sequence[Tensor],
    current: Tensor,
    latent: Tensor | None = None,
    thrift: float = 1.0,
) -> None:
    """Code what `batches` names, by compiled functions; a decoder fills `current` in.

    Without a coder codes are only chosen.
    """
    layer, (_, *size), vectors = len(codes), current.shape, model.exact("vectors")
    contexts: list[kernels.CompiledContext] = model.exact("kernels")
    context, coarser, choice = contexts[layer], None, None
    flat = [each.flatten(1) for each in (*codes, current)]
    if layer and not context.alone:
        looks, q = contexts[layer - 1].looks, per_step(model.config, layer)
        coarser = kernels.Coarser(flat[:layer], vectors[:layer], looks, q)
    if latent is not None:
        z = latent.flatten(1).float().contiguous()
        if coarser is None and layer:
            z = z - look_back(model, codes, (size[0], size[1])).y.T
        choice = kernels.Choice(z.contiguous(), model.config.choice_lambda(layer, thrift))
    kernels.code(coder, context, flat[layer], (size[0], size[1]), coarser, choice)


def per_step(c: PhotoConfig, layer: int) -> float:
    """1 / q of a layer, on the grid of activations."""
    return round(GRID / c.quantizer_step(layer)) / GRID
