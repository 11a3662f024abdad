"""What the photo model is trained for: rate and distortion, at all prefixes of its layers."""

from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hqcodec.models.base import lpips_terms
from hqcodec.models.codebooks import grid_of
from hqcodec.models.quantize import perplexity

if TYPE_CHECKING:
    from hqcodec.models.photo import Photo


def loss(model: "Photo", x: Tensor) -> dict[str, Tensor]:
    """Rate-distortion Lagrangian of x [B,3,H,W]; sample i of 1..B keeps ceil(i L / B) layers.

    distortion: squared error summed over a patch's pixels (0..1) and averaged over patches;
    rate: nats a patch. loss = (distortion + commitment) / lambda + rate + codebook.
    """
    c, B = model.config, len(x)
    z = model.encoder(model.pad(x)).float()
    size = (B, *z.shape[-2:])
    numbers = torch.arange(1, B + 1, device=x.device)
    depth = (numbers * c.layers + B - 1) // B  # [B], ascending
    y, nats, codebook = torch.zeros_like(z), z.new_zeros(B), z.new_zeros(B)
    values = y
    out: dict[str, Tensor] = {}
    for layer in range(c.layers):
        first = int((depth <= layer).sum())
        if first == B:
            break
        before, r = y[first:].detach(), (z[first:] - y[first:]).detach()
        last = values[len(values) - (B - first) :].detach()
        codes, surprise = model.quantize(layer, r, before, last)
        part = (B - first, *size[1:])
        values = grid_of(model.codebooks.lookup(layer, codes), part)
        y = torch.cat([y[:first], y[first:] + values])
        nats = nats + pad_front(surprise.view(part).mean((1, 2)), B)
        miss = (r - values).square().sum(1).mean((1, 2)) / c.rate_lambda(layer)
        codebook = codebook + pad_front(miss, B)
        out[f"perplexity_{layer + 1}"] = perplexity(grid_of(codes, part), c.codebook)
    x_hat = model.decoder(y + z - z.detach())[..., : x.shape[-2], : x.shape[-1]].float()
    patches = x.shape[-2] * x.shape[-1] / c.patch**2
    error = (x_hat - x).square().sum((1, 2, 3)) / patches  # [B]
    commitment = c.commitment * (z - y.detach()).square().sum(1).mean((1, 2))
    rate_lambda = x.new_tensor([c.rate_lambda(layer) for layer in range(c.layers)])[depth - 1]
    weight = (rate_lambda / rate_lambda[0]) ** c.balance
    total = (error + commitment) / rate_lambda + nats + codebook
    out["loss"] = (weight * total).mean()
    if model.perceptual is not None:
        out |= lpips_terms(model.perceptual(x_hat, x))
    with torch.no_grad():
        psnr = -10 * (error / (3 * c.patch**2)).clamp(min=1e-9).log10()
        bpp = nats / c.patch**2 / log(2)
        for kept in range(1, c.layers + 1):
            if bool((depth == kept).any()):
                out[f"psnr_{kept}"] = psnr[depth == kept].mean()
                out[f"bpp_{kept}"] = bpp[depth == kept].mean()
    return out


def pad_front(x: Tensor, length: int) -> Tensor:
    """Zeros before x [n] up to `length`."""
    return torch.cat([x.new_zeros(length - len(x)), x])
