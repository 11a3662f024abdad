"""How the photo model's codes are chosen, and how they are coded.

Both go through the steps of a layer's context model (context.py), and each step in two rounds:
whether a code is 0, then which of the others it is. `quantize` does so in floating point, for
training and for encoder effort; `batches` in exact arithmetic, for files.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from hqcodec.models.base import Batch, Where, count
from hqcodec.models.codebooks import lookup, named, rows_of
from hqcodec.models.context import VECTORS, Context, Trunk, pieces
from hqcodec.models.exact import GRID, odds_frequencies, softmax_frequencies
from hqcodec.models.transforms import PhotoConfig

if TYPE_CHECKING:
    from hqcodec.models.photo import Photo

CHUNK = 2048  # positions whose codes are coded at a time: bounds memory


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
    q, rate_lambda = c.quantizer_step(layer), thrift * c.rate_lambda(layer) * c.constrained
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
        features = context.features(number, trunk, known.view(2, B, h, w, -1), where).float()
        book = model.codebooks.get(layer, step.kind).detach()[step.start : step.end]
        with torch.autocast(r.device.type, enabled=False):
            some = context.some_logits(number, features, trunk, before, where)
            seen = number, features, before, where
            wanted = rows[where][:, model.dims(step)].reshape(len(features), len(book), -1)
            k = pick(context, seen, some, wanted, book, rate_lambda)
            which = context.which_logits(number, features, k > 0, before, where)
            group, place = (k > 0).T.nonzero().T
            surprise = cross_entropy(which, k[place, group] - 1, reduction="none")
            here = softplus(torch.where(k > 0, -some, some)).sum(1).index_add(0, place, surprise)
            nats = nats.index_add(0, everything[where], here)
        codes[where, model.rows(step)] = k
        if model.dims(step).stop > context.strong.stop:  # no step that follows would see it
            continue
        known = known.clone()  # backward needs what it was
        for seen_of, look in zip(known, context.look(book / q), strict=True):
            seen_of[where, model.dims(step)] = named(look, k)
    return codes, nats


Seen = tuple[int, Tensor, Tensor | None, Where]  # arguments of Context.which_logits but `chosen`


@torch.no_grad()
def pick(
    context: Context, seen: Seen, some: Tensor, r: Tensor, codebook: Tensor, rate_lambda: float
) -> Tensor:
    """argmin_k |r - b_k|^2 - lambda log p_k: [n,g] int64.

    some: log odds [n,g] of codes that are not 0; r: [n,g,s]; codebook: [g,K,s], entry 0 is zero.
    What a code k gains over 0 is 2 r b_k - |b_k|^2 + lambda (some + log p(k | not 0)), at most
    |r|^2 + lambda some; only where that is above 0 are the probabilities worked out.
    """
    number, features, before, where = seen
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
    c, layer = model.config, len(codes)
    context: Context = model.exact("contexts")[layer]
    vectors: list[list[Tensor]] = model.exact("vectors")
    groups, h, w = current.shape
    flat, everything = current.view(groups, h * w), torch.arange(h * w)
    known = vectors[0][0].new_zeros(2, h * w, context.strong.stop)
    y, before, trunk = known.new_zeros(()), None, Trunk()
    if layer:
        rows = [rows_of(k[None]) for k in codes]
        before = rows[-1]
        for each, books in zip(rows, vectors, strict=False):
            y = y + lookup(books, each)
        looks = [context.look(book * per_step(c, layer - 1)) for book in vectors[layer - 1]]
        last = torch.stack([lookup(books, before) for books in zip(*looks, strict=True)])
        coarser = (y * per_step(c, layer)).view(1, h, w, -1)
        trunk = context.trunk(coarser, last.view(2, 1, h, w, -1))
    r = None if latent is None else rows_of(latent[None]).to(y.dtype) - y
    rate_lambda = thrift * c.rate_lambda(layer) * c.constrained
    for number, step in enumerate(context.steps):
        positions = step.positions(h, w)
        if not count(positions):
            continue
        book = vectors[layer][step.kind][step.start : step.end]
        look = context.look(book * per_step(c, layer))
        dims, own = model.dims(step), flat[model.rows(step)]  # [g,P], of `current` itself
        start = model.rows(step).start * (h * w)
        if step.kind == VECTORS and not step.start:
            trunk = context.trunk_of_vectors(trunk, known.view(2, 1, h, w, -1))
        features = context.features(number, trunk, known.view(2, 1, h, w, -1), positions)
        for part, rows_of_part in pieces(positions, CHUNK):
            seen = features[rows_of_part]
            some = context.some_logits(number, seen, trunk, before, part)
            if r is not None:
                wanted = r[part, dims].reshape(len(seen), len(book), -1)
                arguments = number, seen, before, part
                with torch.autocast("cpu", enabled=False):
                    own[:, part] = pick(context, arguments, some, wanted, book, rate_lambda).T
            if isinstance(part, slice) and count(part) == h * w:
                where: Where = slice(start, start + own.numel())
            else:
                where = (
                    start + h * w * torch.arange(len(own))[:, None] + everything[part]
                ).flatten()
            yield Batch(where, odds_frequencies(some.T.flatten()))
            more = own[:, part] > 0
            if bool(more.any()):
                which = context.which_logits(number, seen, more.T, before, part)
                place = more.flatten().nonzero()[:, 0]
                place = place + start if isinstance(where, slice) else where[place]
                yield Batch(place, softmax_frequencies(which), first=1)
            if dims.stop <= context.strong.stop:  # or no step that follows would see it
                for i in range(2):
                    known[i, part, dims] = named(look[i], own[:, part].T)


def per_step(c: PhotoConfig, layer: int) -> float:
    """1 / q of a layer, on the grid of activations."""
    return round(GRID / c.quantizer_step(layer)) / GRID
