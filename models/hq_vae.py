"""HQ-VAE (Takida et al. 2024) in its general form, App. D: injected and residual top-down layers.

    bottom-up    x -> H^1 .. H^R, coarse to fine                  Encoder.bottom_up
    top-down     G^r = inject(H^r, up(V^{r-1}))                   Encoder.inject, HQVAE.upsample
                 Z_l = quantize(G^r - Z_{l-1} - ..) in a chain    HQVAE.quantizers   eqs 21, 22
                 V^r = up(V^{r-1}) + sum of the chain's Z_l
    decoder      x_hat = f(V^R)                                   HQVAE.decoder

The configuration names the model: one resolution and one layer is SQ-VAE; one resolution, RSQ-VAE;
one layer a resolution, SQ-VAE-2; else the hybrid. With quantizer "ema" they are VQ-VAE, RQ-VAE,
VQ-VAE-2.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.base import Batch, Layer, Model, lpips_terms, mix
from hqcodec.models.blocks import PictureDecoder, ResBlock
from hqcodec.models.hierarchy import Encoder, picture_encoder
from hqcodec.models.hierarchy import HQVAEConfig as HQVAEConfig
from hqcodec.models.prior import Prior
from hqcodec.models.quantize import EmaQuantizer, Quantized, StochasticQuantizer, perplexity

SAMPLE = 64  # pictures that a data-dependent start or one step of counting looks at


class Level(NamedTuple):
    """One resolution of the top-down path."""

    target: Tensor  # G^r [B,C,h,w], which the chain approximates (eq 21)
    chain: list[Quantized]  # what each layer made of the residual so far
    variable: Tensor  # V^r [B,C,h,w], passed on


class HQVAE(Model):
    """Hierarchically quantized VAE, trained on eq 26 (6 and 14 are cases of it) or eqs 7 and 15."""

    family = "hq_vae"
    config: HQVAEConfig
    bounds = 0.0, 1.0  # of what `decode` returns

    def __init__(
        self, config: HQVAEConfig, encoder: Encoder | None = None, decoder: nn.Module | None = None
    ) -> None:
        """Random weights; see `initialize`. encoder, decoder: by default those of pictures."""
        super().__init__()
        self.config = config
        channels = config.groups * config.dim
        strides = [
            s for s, n in zip(config.resolutions, config.chain, strict=True) for _ in range(n)
        ]
        pairs = zip(strides, config.codebook, strict=True)
        self.layers = tuple(Layer(stride, config.groups, size) for stride, size in pairs)
        self.encoder = encoder or picture_encoder(config)
        self.quantizers = nn.ModuleList(_quantizers(config))
        ratios = [a // b for a, b in zip(config.resolutions, config.resolutions[1:], strict=False)]
        self.upsample = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=n), ResBlock(channels)) for n in ratios
        )
        self.decoder = decoder or PictureDecoder(
            channels, config.resolutions[-1], config.width, config.blocks
        )
        self.prior = Prior(self.layers, config.context)
        # Only training reads these. `upsample` is hashed: finer codes are of what it leaves.
        unread = ("log_variance",) if config.quantizer == "stochastic" else ("uses", "sums")
        self.transform_prefixes += tuple(
            f"quantizers.{n}.{name}" for n in range(len(self.quantizers)) for name in unread
        )

    @torch.no_grad()
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Most likely codes of pictures [B,3,H,W] in 0..1: a [B,groups,h,w] int64 a layer.

        layers: compute only so many, coarse to fine.
        """
        levels = self._path(self.pad(x), self._hard, layers)
        return [quantized.codes for level in levels for quantized in level.chain]

    @torch.no_grad()
    def interpolate(self, x: Tensor, y: Tensor, count: int) -> list[Tensor]:
        """Codes on the way from x to y [1,3,H,W]: what is mixed are the features H^r."""
        ends = self.encoder.bottom_up(self.pad(torch.cat([x, y])))
        levels = self._descend([mix(feature, count) for feature in ends], self._hard)
        return [quantized.codes for level in levels for quantized in level.chain]

    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss; layers that are missing contribute zero."""
        if not 1 <= len(codes) <= len(self.layers):
            raise HqcodecError(f"codes of {len(codes)} layers; want 1 to {len(self.layers)}")
        variable: Tensor | None = None
        for r, chain in enumerate(self.config.chains):
            if variable is not None:
                variable = self.upsample[r - 1](variable)
            for layer in chain[: max(0, len(codes) - chain[0])]:
                z = self.quantizer(layer).decode(codes[layer])  # [B,C,h,w]
                variable = z if variable is None else variable + z
        x_hat: Tensor = self.decoder(variable).clamp(*self.bounds)
        return x_hat if size is None else x_hat[..., : size[0], : size[1]]

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Scalars of a training step; loss = distortion + latent - entropy (ema has no entropy).

        The paper's objectives, summed over a picture, averaged over the batch, and divided by
        D = 3HW so that crops of any size weigh alike; constants are left out.
        distortion: log(sigma^2) / 2, nats; sigma^2 is the mean squared error of the batch, its most
            likely value, which makes the quadratic term of eq 6 a constant. ema: the mean squared
            error. progressive: summed over the prefixes that end a resolution, eqs 28, 29.
        latent: the quantization error of each chain by its summed s_l^2, eq 26. ema: commitment,
            of every prefix of each chain, eqs 7, 15.
        entropy: of the posterior (2), summed over the layers.
        prior: -log p of the codes under the learned prior, if there is one. It is added to the
            loss, but no gradient of it reaches the rest: the objective stays the paper's.
        psnr: of the mean squared error of all layers. perplexity_l: of the codes of layer l >= 1.
        variance_l: s_l^2 (stochastic). lpips, log_lpips: of all layers, if asked for (App. F.5).
        """
        x = self.pad(x)
        levels = self._path(x, self._train(math.exp(-self.config.temperature_decay * step)))
        ends = range(len(levels)) if self.config.progressive else [len(levels) - 1]
        pictures = [self._finish(levels[r].variable, r) for r in ends]
        errors = torch.stack([F.mse_loss(picture, x) for picture in pictures])
        quantized = [q for level in levels for q in level.chain]
        stochastic = self.config.quantizer == "stochastic"
        terms = {
            "distortion": errors.log().sum() / 2 if stochastic else errors.sum(),
            "latent": (self._latent if stochastic else self._commitment)(levels) / x.numel(),
            "entropy": torch.stack([q.entropy.sum() for q in quantized]).sum() / x.numel(),
        }
        terms["loss"] = terms["distortion"] + terms["latent"] - terms["entropy"]
        if self.config.context:
            terms |= self.prior.terms([q.codes for q in quantized], x)
            terms["loss"] = terms["loss"] + terms["prior"]
        if self.perceptual is not None:
            terms |= lpips_terms(self.perceptual(pictures[-1], x))
        terms["psnr"] = -10 * errors[-1].detach().log10()
        for n, (q, layer) in enumerate(zip(quantized, self.layers, strict=True), 1):
            terms[f"perplexity_{n}"] = perplexity(q.codes, layer.codebook)
            if stochastic:
                terms[f"variance_{n}"] = self.variance(n - 1).detach()
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
        for r, chain in enumerate(self.config.chains):
            self.encoder.normalise(r, self._path(x, self._hard)[r].target)
            self._path(x, partial(self._start, chain))

    def calibrate(self, x: Tensor) -> None:
        """Count the codes of pictures [N,3,H,W] for the static tables, anew."""
        self.prior.calibrate(map(self.encode, torch.split(x, SAMPLE)))

    def quantizer(self, layer: int) -> StochasticQuantizer | EmaQuantizer:
        """The quantizer of a layer; all layers have the same one if the codebook is shared."""
        module = self.quantizers[0 if self.config.shared_codebook else layer]
        assert isinstance(module, StochasticQuantizer | EmaQuantizer)
        return module

    def variance(self, layer: int) -> Tensor:
        """s_l^2 of a layer, a scalar (stochastic)."""
        quantizer = self.quantizer(layer)
        assert isinstance(quantizer, StochasticQuantizer)
        return quantizer.variance(layer if self.config.shared_codebook else 0)

    def _path(
        self, x: Tensor, quantize: Callable[[int, Tensor], Quantized], layers: int | None = None
    ) -> list[Level]:
        """Both paths down to `layers`, x [B,3,H,W] with sides that are multiples of `stride`."""
        return self._descend(self.encoder.bottom_up(x), quantize, layers)

    def _descend(
        self,
        features: Sequence[Tensor],
        quantize: Callable[[int, Tensor], Quantized],
        layers: int | None = None,
    ) -> list[Level]:
        """The top-down path to `layers`; features: H^r [B,width,h,w] of the bottom-up path."""
        levels: list[Level] = []
        kept = range(len(self.layers))[:layers]
        for r, feature in enumerate(features):
            numbers = [n for n in self.config.chains[r] if n in kept]
            if not numbers:
                break
            above = self.upsample[r - 1](levels[-1].variable) if r else None
            target = self.encoder.target(r, feature, above)
            chain, residual = [], target
            for layer in numbers:
                chain.append(quantize(layer, residual))
                residual = residual - chain[-1].z  # eq 22
            y = torch.stack([quantized.z for quantized in chain]).sum(0)
            levels.append(Level(target, chain, y if above is None else above + y))
        return levels

    def _hard(self, layer: int, z: Tensor) -> Quantized:
        """The nearest code vectors to z [B,C,h,w], whatever the mode."""
        codes = self.quantizer(layer).encode(z)
        return Quantized(self.quantizer(layer).decode(codes), codes, torch.zeros(codes.shape))

    def _start(self, chain: range, layer: int, z: Tensor) -> Quantized:
        """As `_hard`; layers of `chain` first draw their codebooks, layer 0 the shared one."""
        if layer in chain and (layer == 0 or not self.config.shared_codebook):
            self.quantizer(layer).start(z)
        return self._hard(layer, z)

    def _train(self, temperature: float) -> Callable[[int, Tensor], Quantized]:
        """What training quantizes with: samples that the gradient passes through."""

        def quantize(layer: int, z: Tensor) -> Quantized:
            quantizer = self.quantizer(layer)
            with torch.autocast(z.device.type, enabled=False):
                if isinstance(quantizer, EmaQuantizer):
                    return quantizer.forward(z)
                slot = layer if self.config.shared_codebook else 0
                return quantizer.forward(z, temperature, slot)

        return quantize

    def _finish(self, variable: Tensor, r: int) -> Tensor:
        """The picture if all finer layers are zero: V^r [B,C,h,w] -> [B,3,H,W], not clamped."""
        for upsample in self.upsample[r:]:
            variable = upsample(variable)
        x_hat: Tensor = self.decoder(variable)
        return x_hat.float()

    def _latent(self, levels: list[Level]) -> Tensor:
        """Sum over r of |G^r - sum of Z_l|^2 / (2 * sum of s_l^2), eq 26, summed over the batch."""
        total = torch.zeros(())
        for level, chain in zip(levels, self.config.chains, strict=True):
            y = torch.stack([quantized.z for quantized in level.chain]).sum(0)
            variance = torch.stack([self.variance(layer) for layer in chain]).sum()
            total = total + (level.target - y).square().sum() / (2 * variance)
        return total

    def _commitment(self, levels: list[Level]) -> Tensor:
        """beta * sum over l of |G^r - sg[Z_l + .. of its chain]|^2, eqs 7, 15, over the batch."""
        total = torch.zeros(())
        for level in levels:
            y = torch.zeros(())
            for quantized in level.chain:
                y = y + quantized.z.detach()
                total = total + (level.target - y).square().sum()
        return self.config.commitment * total


def _quantizers(config: HQVAEConfig) -> Iterator[nn.Module]:
    """One a layer, or one for all."""
    layers = len(config.codebook) if config.shared_codebook else 1
    for size in config.codebook[: 1 if config.shared_codebook else None]:
        shape = config.groups, size, config.dim
        if config.quantizer == "stochastic":
            yield StochasticQuantizer(*shape, layers, config.soft)
        else:
            yield EmaQuantizer(*shape, config.ema_decay, config.reset)
