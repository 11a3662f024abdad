"""The photo model's start: principal components, and codebooks by entropy-constrained k-means.

From a random start such a model stays near 18 dB for thousands of steps; from here it begins as a
block transform codec at about 28 dB, and the convolutional branches learn the rest.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from hqcodec.models.photo import Photo

SAMPLES = 16_384  # latent positions that k-means sees
ROUNDS = 8


@torch.no_grad()
def start(model: "Photo", x: Tensor, loaded: Collection[str]) -> None:
    """Set from x [N,3,H,W] in 0..1 what is not among the parameters `loaded` already."""
    if "encoder.linear.weight" not in loaded and model.config.linear_start:
        start_transforms(model, x)
    z = torch.cat([model.encoder(part) for part in torch.split(x, 64)]).movedim(1, -1).flatten(0, 2)
    z = z[torch.randperm(len(z))[:SAMPLES]]  # [P,D]
    for layer in range(model.config.layers):
        if "codebooks.tables.0" in loaded:
            z = z - count_layer(model, layer, z)
        else:
            z = z - start_layer(model, layer, z)


def start_transforms(model: "Photo", x: Tensor) -> None:
    """Linear transforms from the principal components of the patches of x."""
    components, mean = principal_components(x, model.config.patch, model.config.dim)
    patch = model.config.patch
    linear = model.encoder.linear
    linear.weight.copy_(components.view(-1, 3, patch, patch))
    assert linear.bias is not None
    linear.bias.copy_(-components @ mean)
    # PixelShuffle wants its channels as (colour, row, column), which is the order of a patch
    back = model.decoder.linear
    back.weight.copy_(components.T[:, :, None, None])
    assert back.bias is not None
    back.bias.copy_(mean)


def principal_components(x: Tensor, patch: int, dim: int) -> tuple[Tensor, Tensor]:
    """Strongest components first [dim,3*patch^2], orthonormal, and the mean patch [3*patch^2]."""
    rows = torch.nn.functional.unfold(x, patch, stride=patch).movedim(1, -1).flatten(0, 1).double()
    mean = rows.mean(0)
    rows = rows - mean
    _, vectors = torch.linalg.eigh(rows.T @ rows)  # ascending
    return vectors.T.flip(0)[:dim].float(), mean.float()


def start_layer(model: "Photo", layer: int, r: Tensor) -> Tensor:
    """Fit a layer's codebooks to residuals r [P,D]; the values that they quantize to [P,D]."""
    c, q = model.config, model.config.quantizer_step(layer)
    chosen = []
    for kind, part in enumerate(by_kind(model, r / q)):
        codebook, p, values = entropy_constrained_kmeans(
            part, c.codebook, c.rate_lambda(layer) / q**2
        )
        model.codebooks.tables[kind][layer].copy_(codebook)
        model.context(layer).start_from(kind, p)
        chosen.append((values * q).movedim(0, 1).flatten(1))
    return torch.cat(chosen, 1)


def count_layer(model: "Photo", layer: int, r: Tensor) -> Tensor:
    """`start_layer` with codebooks that are there already: only probabilities are set."""
    c, q = model.config, model.config.quantizer_step(layer)
    chosen = []
    for kind, part in enumerate(by_kind(model, r / q)):
        codebook = model.codebooks.get(layer, kind) / q
        p = zero_first(len(codebook), c.codebook)
        for _ in range(ROUNDS):
            _, p, values = assign(part, codebook, p, c.rate_lambda(layer) / q**2)
        model.context(layer).start_from(kind, p)
        chosen.append((values * q).movedim(0, 1).flatten(1))
    return torch.cat(chosen, 1)


def by_kind(model: "Photo", r: Tensor) -> list[Tensor]:
    """[P,D] -> [groups,P,dimensions of a group] for each kind."""
    kinds = model.config.kinds
    parts = torch.split(r, [groups * size for groups, size in kinds], 1)
    return [
        part.reshape(-1, groups, size).movedim(0, 1)
        for part, (groups, size) in zip(parts, kinds, strict=True)
    ]


def entropy_constrained_kmeans(
    r: Tensor, size: int, rate_lambda: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Lloyd's algorithm on |r - b_k|^2 - lambda log p_k (Chou, Lookabaugh, Gray 1989).

    r: [g,P,s] -> codebook [g,K,s] with entry 0 zero, probabilities [g,K], quantized r [g,P,s].
    """
    groups, count, dim = r.shape
    if dim == 1:  # evenly spaced over what is there, at least a quantizer step apart
        spread = (r.square().mean(1).sqrt() * 6.4 / (size - 1)).clamp(min=1.0)  # [g,1]
        half = torch.arange(size)
        ladder = torch.where(half % 2 == 1, (half + 1) // 2, -(half // 2))  # 0, 1, -1, 2, -2, ...
        codebook = ladder[None, :, None] * spread[:, None]
    else:
        pick = torch.randint(count, (groups, size))
        codebook = r[torch.arange(groups)[:, None], pick] * 1.5
        codebook[:, 0] = 0.0
    p = zero_first(groups, size)
    for _ in range(ROUNDS):
        k, p, _ = assign(r, codebook, p, rate_lambda)
        counts = torch.zeros(groups, size).scatter_add_(1, k, torch.ones_like(k, dtype=r.dtype))
        sums = torch.zeros_like(codebook).scatter_add_(1, k[..., None].expand_as(r), r)
        mean = sums / counts.clamp(min=1)[..., None]
        codebook = torch.where((counts > 0)[..., None], mean, codebook)
        codebook[:, 0] = 0.0
    return codebook, p, torch.gather(codebook, 1, k[..., None].expand_as(r))


def zero_first(groups: int, size: int) -> Tensor:
    """Probabilities [groups,K] to begin with: half for entry 0, the rest alike."""
    p = torch.full((groups, size), 0.5 / (size - 1))
    p[:, 0] = 0.5
    return p


def assign(
    r: Tensor, codebook: Tensor, p: Tensor, rate_lambda: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Best codes [g,P] of r [g,P,s] under p [g,K]; their own probabilities; the vectors."""
    cost = codebook.square().sum(-1)[:, None] - 2 * r @ codebook.mT - rate_lambda * p.log()[:, None]
    k = cost.argmin(-1)
    counts = torch.zeros_like(p).scatter_add_(1, k, torch.ones_like(k, dtype=p.dtype))
    size = p.shape[1]
    p = (counts + 0.5) / (r.shape[1] + 0.5 * size)
    return k, p, torch.gather(codebook, 1, k[..., None].expand_as(r))
