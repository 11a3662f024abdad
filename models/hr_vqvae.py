"""HR-VQVAE (Adiban et al. 2022): one latent, quantized by layers of linked codebooks.

    encoder      x -> xi^0 [B,D,h,w]                              HRVQVAE.latent
    layer i      e^i: nearest of the chosen parent's m_i children LinkedCodebooks.encode   eq 3
                 xi^i = xi^{i-1} - e^i
    decoder      x_hat = f(e^1 + .. + e^n)                        HRVQVAE.decode           eq 4

With one layer it is VQ-VAE (eq 2, the quantization terms twice). The networks are those of
hq_vae.py, so that comparisons are of quantizers alone.

The paper gives both a loss for the codebooks and a decay of averages, 0.9 (table 6). Here averages
are the default: 300 steps on CIFAR-10 with codebooks (4, 4, 4) used 24 of 64 code vectors with a
decay of 0.9, 10 with 0.99, and 3 by the gradient. Where many layers commit, smaller betas may do
better than the paper's 0.25: in 300 steps with (8, 8, 8), 0.05 left an MSE of 0.0055, 0.25 one of
0.0089.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.base import Batch, Layer, Model, lpips_terms, mix
from hqcodec.models.blocks import PictureDecoder
from hqcodec.models.hierarchy import HQVAEConfig, picture_encoder
from hqcodec.models.linked import LinkedCodebooks
from hqcodec.models.prior import Prior
from hqcodec.models.quantize import perplexity

SAMPLE = 64  # pictures that a data-dependent start or one step of counting looks at
MOST = 1 << 18  # code vectors of the last layer; a tree of more is a slip of the pen


@dataclass(frozen=True)
class HRVQVAEConfig:
    """The shape of the model and how it is trained; the defaults are CIFAR-10's (Table 6)."""

    stride: int = 2  # a power of two >= 2
    codebook: tuple[int, ...] = (8, 8, 8)  # m_i, the children of each code vector, of each layer
    dim: int = 16  # of a code vector
    width: int = 64  # channels of the convolution blocks
    blocks: int = 2  # residual blocks between two resolutions
    commitment: float = 0.25  # beta_0 of eq 5
    layer_commitment: float = 0.25  # beta_i of eq 6, the same in all layers
    ema_decay: float = 0.9  # of the codebooks' averages; 0: they learn by the gradient
    context: int = 0  # hidden channels of the learned prior; 0: static tables

    def __post_init__(self) -> None:
        """Refuse a tree that cannot be built."""
        sizes = self.codebook
        whole = isinstance(sizes, tuple) and all(isinstance(size, int) for size in sizes)
        if not whole or not sizes or min(sizes) < 2 or prod(sizes) > MOST:
            raise HqcodecError(
                f"codebook {sizes}; want a size >= 2 for each layer, whose product is <= {MOST}"
            )
        if self.stride < 2 or self.stride & (self.stride - 1):
            raise HqcodecError(f"stride {self.stride}; want a power of two, 2 or more")
        if not 0 <= self.ema_decay < 1:
            raise HqcodecError(f"ema_decay {self.ema_decay}; want 0 or more, less than 1")
        least = {"dim": 1, "width": 1, "blocks": 0, "context": 0}
        for key, bound in least.items():
            if getattr(self, key) < bound:
                raise HqcodecError(f"{key} {getattr(self, key)}; want {bound} or more")


class HRVQVAE(Model):
    """Hierarchical residual VQ-VAE, trained on eqs 5 and 6."""

    family = "hr_vqvae"
    config: HRVQVAEConfig

    def __init__(self, config: HRVQVAEConfig) -> None:
        """Random weights; see `initialize`."""
        super().__init__()
        self.config = c = config
        self.layers = tuple(Layer(c.stride, 1, size) for size in c.codebook)
        # the encoder of an HQ-VAE of one resolution
        shape = HQVAEConfig((c.stride,), (1,), (2,), 1, c.dim, c.width, c.blocks)
        self.encoder = picture_encoder(shape)
        self.codebooks = LinkedCodebooks(c.codebook, c.dim, c.ema_decay)
        self.decoder = PictureDecoder(c.dim, c.stride, c.width, c.blocks)
        self.prior = Prior(self.layers, c.context)
        if c.ema_decay:  # only training reads these
            self.transform_prefixes += ("codebooks.uses_", "codebooks.sums_")

    @torch.no_grad()
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Codes of pictures [B,3,H,W] in 0..1: which child, [B,1,h,w] int64 a layer.

        layers: compute only so many, coarse to fine.
        """
        return self.codebooks.encode(self.latent(self.pad(x)), layers)

    @torch.no_grad()
    def interpolate(self, x: Tensor, y: Tensor, count: int) -> list[Tensor]:
        """Codes on the way from x to y [1,3,H,W]: what is mixed is the latent."""
        return self.codebooks.encode(mix(self.latent(self.pad(torch.cat([x, y]))), count))

    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss; layers that are missing contribute zero (eq 4)."""
        if not 1 <= len(codes) <= len(self.layers):
            raise HqcodecError(f"codes of {len(codes)} layers; want 1 to {len(self.layers)}")
        x_hat: Tensor = self.decoder(self.codebooks.decode(codes)).clamp(0, 1)
        return x_hat if size is None else x_hat[..., : size[0], : size[1]]

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Scalars of a training step; loss = distortion + codebook + commitment, eq 5.

        Each is summed over a picture, averaged over the batch, and divided by 3HW so that crops of
        any size weigh alike.
        distortion: |x - x_hat|^2, the mean squared error.
        codebook: |sg[xi^0] - e_C|^2 + sum |sg[xi^{i-1}] - e^i|^2, which the codebooks learn by,
            unless they are averages: then it is shown, and has no gradient.
        commitment: beta_0 |sg[e_C] - xi^0|^2 + sum beta_i |sg[e^i] - xi^{i-1}|^2, for the encoder
            alone: a residual xi^i is taken with its code vectors held fixed.
        prior: -log p of the codes under the learned prior, if there is one. It is added to the
            loss, but no gradient of it reaches the rest: the objective stays the paper's.
        psnr: of the distortion. perplexity_l: of the code vectors of layer l >= 1, all codebooks
        of the layer together. lpips, log_lpips: if asked for.
        """
        x = self.pad(x)
        target = self.latent(x)
        with torch.autocast(x.device.type, enabled=False):
            codes = self.codebooks.encode(target)
            parts = self.codebooks.parts(codes)
            if self.training and self.config.ema_decay:
                self.codebooks.update(target.detach(), codes)  # `parts` are what was decoded with
            combined = torch.stack(parts).sum(0)
            codebook, commitment = self._quantization(target, parts, combined)
            straight = target + (combined - target).detach()  # the gradient passes straight through
        picture = self.decoder(straight).float()
        terms = {
            "distortion": F.mse_loss(picture, x),
            "codebook": codebook / x.numel(),
            "commitment": commitment / x.numel(),
        }
        terms["loss"] = terms["distortion"] + terms["codebook"] + terms["commitment"]
        if self.config.context:
            terms |= self.prior.terms(codes, x)
            terms["loss"] = terms["loss"] + terms["prior"]
        if self.perceptual is not None:
            terms |= lpips_terms(self.perceptual(picture, x))
        terms["psnr"] = -10 * terms["distortion"].detach().log10()
        for n, path in enumerate(self.codebooks.paths(codes), 1):
            terms[f"perplexity_{n}"] = perplexity(path, prod(self.config.codebook[:n]))
        return terms

    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """What the learned prior says, or static tables if the config has no context."""
        return self.prior.tables(codes, current)

    @torch.no_grad()
    def initialize(self, x: Tensor, loaded: Collection[str] = ()) -> None:
        """Scale the encoder to pictures [N,3,H,W] and draw the codebooks from what it gives.

        loaded: if the encoder is among it, so are the codebooks that belong to it.
        """
        if any(key.startswith("encoder.") for key in loaded):
            return
        x = self.pad(x[:SAMPLE])
        self.encoder.normalise(0, self.latent(x))
        self.codebooks.start(self.latent(x))

    def calibrate(self, x: Tensor) -> None:
        """Count the codes of pictures [N,3,H,W] for the static tables, anew."""
        self.prior.calibrate(map(self.encode, torch.split(x, SAMPLE)))

    def latent(self, x: Tensor) -> Tensor:
        """xi^0, what is quantized: [B,3,H,W], padded -> [B,D,h,w] float32."""
        return self.encoder.target(0, self.encoder.bottom_up(x)[0], None)

    def _quantization(
        self, target: Tensor, parts: list[Tensor], combined: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The terms of eqs 5 and 6 for xi^0, e^i, e_C [B,D,h,w], summed over the batch."""
        codebook = (target.detach() - combined).square().sum()
        commitment = self.config.commitment * (combined.detach() - target).square().sum()
        residual = target
        for part in parts:
            codebook = codebook + (residual.detach() - part).square().sum()
            error = (part.detach() - residual).square().sum()
            commitment = commitment + self.config.layer_commitment * error
            residual = residual - part.detach()
        return codebook, commitment
