"""What the photo model is trained for: rate and distortion, at all prefixes of its layers."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hqcodec.models import photo_codes
from hqcodec.models.base import lpips_terms
from hqcodec.models.codebooks import grid_of
from hqcodec.models.quantize import perplexity
from hqcodec.models.transforms import PhotoConfig

if TYPE_CHECKING:
    from hqcodec.models.photo import Photo


def loss(model: "Photo", x: Tensor) -> dict[str, Tensor]:
    """Rate-distortion Lagrangian of x [B,3,H,W], whose samples keep from one to all layers.

    distortion: squared error summed over a patch's pixels (0..1) and averaged over patches;
    rate: nats a patch. loss = (distortion + commitment) / lambda + rate + codebook. If nothing but
    the context models is to be trained, it is `rate`.
    """
    c, B = model.config, len(x)
    transforms = (model.encoder, model.codebooks, model.decoder)
    if not any(p.requires_grad for part in transforms for p in part.parameters()):
        return rate(model, x)
    z = model.encoder(model.pad(x)).float()
    size = (B, *z.shape[-2:])
    depth = depths(B, c).to(x.device)
    y, nats, codebook = torch.zeros_like(z), z.new_zeros(B), z.new_zeros(B)
    before: Tensor | None = None
    out: dict[str, Tensor] = {}
    for layer in range(c.layers):
        first = int((depth <= layer).sum())
        if first == B:
            break
        coarser, part = y[first:].detach(), (B - first, *size[1:])
        if before is not None:  # of the samples that go on
            before = before[-math.prod(part) :]
        r = z[first:].detach() - coarser
        before, surprise = photo_codes.quantize(model, layer, r, coarser, before)
        values = grid_of(model.codebooks.lookup(layer, before), part)
        y = torch.cat([y[:first], y[first:] + values])
        nats = nats + pad_front(surprise.view(part).mean((1, 2)), B)
        miss = (r - values).square().sum(1).mean((1, 2)) / c.rate_lambda(layer)
        codebook = codebook + pad_front(miss, B)
        out[f"perplexity_{layer + 1}"] = perplexity(grid_of(before, part), c.codebook)
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
        bpp = nats / c.patch**2 / math.log(2)
        for kept in range(1, c.layers + 1):
            if bool((depth == kept).any()):
                out[f"psnr_{kept}"] = psnr[depth == kept].mean()
                out[f"bpp_{kept}"] = bpp[depth == kept].mean()
    return out


def rate(model: "Photo", x: Tensor) -> dict[str, Tensor]:
    """Nats a patch of all layers of x [B,3,H,W], as `loss`; bpp_l: of the first l layers."""
    c, out = model.config, dict[str, Tensor]()
    z = model.encoder(model.pad(x)).float()
    y, before, nats = torch.zeros_like(z), None, z.new_zeros(())
    for layer in range(c.layers):
        before, surprise = photo_codes.quantize(model, layer, z - y, y, before)
        y = y + grid_of(model.codebooks.lookup(layer, before), (len(z), *z.shape[-2:]))
        nats = nats + surprise.mean()
        out[f"bpp_{layer + 1}"] = nats.detach() / c.patch**2 / math.log(2)
    return out | {"loss": nats}


def depths(count: int, c: PhotoConfig) -> Tensor:
    """How many layers each of so many samples keeps, ascending: [count] int64."""
    kinds = torch.tensor(sorted(c.decoder_layers) or range(1, c.layers + 1))
    number = torch.arange(1, count + 1)
    return kinds[(number * len(kinds) + count - 1) // count - 1]


def pad_front(x: Tensor, length: int) -> Tensor:
    """Zeros before x [n] up to `length`."""
    return torch.cat([x.new_zeros(length - len(x)), x])
