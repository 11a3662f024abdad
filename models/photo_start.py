"""The photo model's start: principal components, and codebooks by entropy-constrained k-means.

From a random start such a model stays near 18 dB for thousands of steps; from here it begins as a
block transform codec at about 28 dB, and the convolutional branches learn the rest.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from hqcodec.models.photo import Photo

SAMPLES = 16_384  # latent positions that k-means sees
ROUNDS = 8


@torch.no_grad()
def start(model: "Photo", x: Tensor) -> None:
    """Set linear transforms, codebooks and the contexts' biases from x [N,3,H,W] in 0..1."""
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
    z = linear(x).movedim(1, -1).flatten(0, 2)  # [P,D]
    z = z[torch.randperm(len(z))[:SAMPLES]]
    for layer in range(model.config.layers):
        z = z - start_layer(model, layer, z)


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
    for kind, (groups, size) in enumerate(c.kinds):
        part = r[:, model.dims(kind)].reshape(-1, groups, size).movedim(0, 1)  # [g,P,s]
        codebook, p, values = entropy_constrained_kmeans(
            part / q, c.codebook, c.rate_lambda(layer) / q**2
        )
        model.codebooks.tables[kind][layer].copy_(codebook)
        model.context(layer).start_from(kind, p)
        chosen.append((values * q).movedim(0, 1).flatten(1))
    return torch.cat(chosen, 1)


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
    p = torch.full((groups, size), 0.5 / (size - 1))
    p[:, 0] = 0.5
    for _ in range(ROUNDS):
        cost = (
            codebook.square().sum(-1)[:, None]
            - 2 * r @ codebook.mT
            - rate_lambda * p.log()[:, None]
        )
        k = cost.argmin(-1)  # [g,P]
        counts = torch.zeros(groups, size).scatter_add_(1, k, torch.ones_like(k, dtype=r.dtype))
        sums = torch.zeros_like(codebook).scatter_add_(1, k[..., None].expand_as(r), r)
        mean = sums / counts.clamp(min=1)[..., None]
        codebook = torch.where((counts > 0)[..., None], mean, codebook)
        codebook[:, 0] = 0.0
        p = (counts + 0.5) / (count + 0.5 * size)
    return codebook, p, torch.gather(codebook, 1, k[..., None].expand_as(r))
