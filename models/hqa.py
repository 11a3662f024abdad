"""HQA (Williams et al. 2020), hierarchical quantized autoencoders: a stack trained greedily.

    encode    x -> z_e^1 -> z_e^2 .. -> z_e^L           no quantization on the way up; line 11
              k^l = nearest code of z_e^l               every level, in the codec
    decode    k^l -> z_e^{l-1} -> k^{l-1} .. -> x_hat   from the finest level kept; Algorithm 3

Level 1 stands on the pixels. A codec counts coarse to fine, so layer 0 of a file is level L. Codes
of a finer level take the place of what the coarser one predicts: all levels below the finest that
arrived are predicted, and a coarse file grows into a finer one. Coarser layers tell the entropy
coder what to expect.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.base import Batch, Layer, Model, lpips_terms, mix
from hqcodec.models.hqa_level import (
    GumbelQuantizer,
    Normalise,
    decoder,
    encoder,
    log_posterior,
    scale,
)
from hqcodec.models.hqa_level import HQAConfig as HQAConfig
from hqcodec.models.prior import Prior
from hqcodec.models.quantize import distances, perplexity

SAMPLE = 64  # pictures that one step of counting looks at
RESETTING = 0.75  # part of a level's steps in which dead codes are reset, App. C.4


class HQA(Model):
    """A stack of quantized autoencoders, trained level by level (Algorithm 2)."""

    family = "hqa"
    config: HQAConfig

    def __init__(self, config: HQAConfig) -> None:
        """Random weights; a level starts anew at its first step, see `loss`."""
        super().__init__()
        self.config = config
        levels = range(len(config.codebook))
        pairs = [(2 << level, config.codebook[level]) for level in levels]
        self.layers = tuple(Layer(stride, 1, size) for stride, size in reversed(pairs))
        channels = [config.dim if level else 3 for level in levels]
        self.encoder = nn.ModuleList(encoder(channels[n], config, n) for n in levels)
        self.decoder = nn.ModuleList(decoder(channels[n], config, n) for n in levels)
        self.quantizers = nn.ModuleList(GumbelQuantizer(k, config.dim) for k in config.codebook)
        self.norms = nn.ModuleList(
            Normalise(config.dim) if level else nn.Identity() for level in levels
        )
        self.stages = len(levels) + (config.context > 0)
        self.stage_steps = config.level_steps
        self.prior = Prior(self.layers, config.context)
        self.transform_prefixes += tuple(f"quantizers.{level}.uses" for level in levels)

    @torch.no_grad()
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Nearest codes of pictures [B,3,H,W] in 0..1: a [B,1,h,w] int64 a layer, top level first.

        layers: compute only so many, coarse to fine.
        """
        z, codes = self.pad(x), []
        for level in range(len(self.layers)):
            z = self._climb(level, z)
            codes.append(self.quantizer(level).encode(z))
        return codes[::-1][:layers]

    @torch.no_grad()
    def interpolate(self, x: Tensor, y: Tensor, count: int) -> list[Tensor]:
        """Codes on the way from x to y [1,3,H,W], each level's z_e mixed by itself (Table 8)."""
        z, codes = self.pad(torch.cat([x, y])), []
        for level in range(len(self.layers)):
            z = self._climb(level, z)
            codes.append(self.quantizer(level).encode(mix(z, count)))
        return codes[::-1]

    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss: the finest codes, down the stack (Algorithm 3).

        Each level below takes the code nearest to what was predicted, never a sample.
        """
        if not 1 <= len(codes) <= len(self.layers):
            raise HqcodecError(f"codes of {len(codes)} layers; want 1 to {len(self.layers)}")
        level = len(self.layers) - len(codes)
        current = codes[-1]
        for below in range(level - 1, -1, -1):
            current = self.quantizer(below).encode(self.predict(below + 1, current))
        x_hat = self.predict(0, current).clamp(0, 1)
        return x_hat if size is None else x_hat[..., : size[0], : size[1]]

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Scalars of a training step: Algorithm 2 for level step // level_steps, or the prior.

        Everything below is frozen; each `level_steps` steps the next level begins, and after the
        last one the learned prior, if the config has a context. In eval mode `step` counts the
        steps that were trained, and the terms are of the level that had the last of them.

        The paper's terms, summed over a picture, averaged over the batch, and divided by the
        number D of values that the level reconstructs (3HW, dim*h*w above), so that the first is
        the mean squared error. Sums are what makes beta = 1e-3 small: means of a term over its own
        values would let the entropy of codes outweigh the error of pixels.
        distortion: mean squared error, of normalised embeddings above level 1; L'recon.
        entropy: of q(k|z_e); minus Lentropy. commitment: expected |z_e - e_k|^2; Lcommit.
        loss: distortion - beta_e * entropy + beta_c * commitment; of the prior, its nats.
        level: the one that is trained, from 1. perplexity: of its codes. psnr: of the picture that
        its codes decode to, in eval mode only. lpips, log_lpips: level 1's, if asked for; those
        above do not reconstruct pictures.
        """
        x = self.pad(x)
        # a validation after the last step of a level is still of that level
        latest = step if self.training else max(0, step - 1)
        level = min(latest // self.config.level_steps, self.stages - 1)
        if level == len(self.layers):
            return self._prior_terms(x)
        target, z = self._up(x, level, latest == level * self.config.level_steps)
        quantizer = self.quantizer(level)
        local = min(latest - level * self.config.level_steps, self.config.level_steps - 1)
        if self.training and self._resets(local):
            quantizer.reset()
        with torch.autocast(z.device.type, enabled=False):
            sample = quantizer.forward(z, self.temperature(local))
        y = self.decoder[level](sample.z).float()
        terms = {
            "distortion": (y - target).square().mean(),
            "entropy": sample.entropy / target.numel(),
            "commitment": sample.commitment / target.numel(),
        }
        terms["loss"] = (
            terms["distortion"]
            - self.config.entropy * terms["entropy"]
            + self.config.commitment * terms["commitment"]
        )
        if self.perceptual is not None and not level:
            terms |= lpips_terms(self.perceptual(y, x))
        terms["level"] = torch.tensor(level + 1.0)
        terms["perplexity"] = perplexity(sample.codes, self.config.codebook[level])
        return terms if self.training else terms | self._psnr(x, level)

    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """What the learned prior says, or static tables if the config has no context."""
        return self.prior.tables(codes, current)

    def calibrate(self, x: Tensor) -> None:
        """Count the codes of pictures [N,3,H,W] for the static tables, anew."""
        self.prior.calibrate(map(self.encode, torch.split(x, SAMPLE)))

    @torch.no_grad()
    def natural_nats(self, codes: Sequence[Tensor]) -> Tensor:
        """-log p of codes [B,1,h,w] by the stack itself, nats a picture: [L], coarse to fine.

        The level above, decoded to the embedding z_hat it predicts, makes a code k as likely as
        `log_posterior` says of z_hat; the top level's codes are equally likely.
        Floating point: to measure with, not to code with; `tables` is exact.
        """
        top = codes[0]
        uniform = torch.tensor(float(self.layers[0].codebook)).log().to(top.device)
        total = [uniform * top[0].numel()]
        for n, current in enumerate(codes[1:], 1):
            level = len(self.layers) - 1 - n
            z = self.predict(level + 1, codes[n - 1])
            log_p = log_posterior(distances(z, self.quantizer(level).codebook))
            total.append(-log_p.gather(-1, current[..., None]).sum() / len(current))
        return torch.stack(total)

    def quantizer(self, level: int) -> GumbelQuantizer:
        """The quantizer of a level, from 0 at the pixels."""
        module = self.quantizers[level]
        assert isinstance(module, GumbelQuantizer)
        return module

    def predict(self, level: int, codes: Tensor) -> Tensor:
        """What a level (from 0) makes of its codes [B,1,h,w]: the z_e below, or the picture."""
        y = self.decoder[level](self.quantizer(level).decode(codes)).float()
        norm = self.norms[level]
        return norm.undo(y) if isinstance(norm, Normalise) else y

    def temperature(self, local: int) -> float:
        """Tau at a step of a level: linear, from config.temperature to config.last_temperature."""
        first, last = self.config.temperature, self.config.last_temperature
        return first + (last - first) * local / max(1, self.config.level_steps - 1)

    def _up(self, x: Tensor, level: int, first: bool) -> tuple[Tensor, Tensor]:
        """What a level reconstructs, normalised, and its z_e [B,dim,h,w] in float32.

        first: in train mode, the level's encoder and codebook start from this batch.
        """
        target, net = x, self.encoder[level].train(self.training)
        with torch.no_grad():
            for lower in range(level):
                target = self._climb(lower, target)
            norm = self.norms[level]
            if isinstance(norm, Normalise):
                if self.training:
                    norm.count(target)
                target = norm(target)
            if self.training and first:
                scale(net, net(target).float())
                self.quantizer(level).start(net(target).float())
        return target, net(target).float()

    def _climb(self, level: int, z: Tensor) -> Tensor:
        """One level up, as the codec goes, without dropout: z_e below -> z_e [B,dim,h,w]."""
        z_e: Tensor = self.encoder[level].eval()(self.norms[level](z))
        return z_e.float()

    def _resets(self, local: int) -> bool:
        """Whether a code may be reset before a step of a level."""
        every = self.config.reset_every
        active = 0 < local < RESETTING * self.config.level_steps
        return every > 0 and active and local % every == 0

    def _psnr(self, x: Tensor, level: int) -> dict[str, Tensor]:
        """That of the picture decoded from a level's codes."""
        codes = self.encode(x)[: len(self.layers) - level]
        return {"psnr": -10 * (self.decode(codes) - x).square().mean().log10()}

    def _prior_terms(self, x: Tensor) -> dict[str, Tensor]:
        """A step of the prior alone, on the codes of x [B,3,H,W]."""
        codes = self.encode(x)
        terms = self.prior.terms(codes, x)
        terms["loss"] = terms["prior"]
        return terms if self.training else terms | self._psnr(x, 0)
