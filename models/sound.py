"""The sound codec: frames of a spectrum, ConvNeXt, residual layers of codes, inverse STFT.

    encode   x [B,channels,T] -> Encoder -> z, one latent every `hop` samples
             Z_l = nearest code vectors of z - Z_1 - .. - Z_{l-1}, in groups     residual layers
    decode   Z_1 + .. + Z_n -> Decoder -> x_hat, for any n

Channels are coded one by one; what is said here of a sound is said of one channel. Codes keep the
four dimensions that pictures have: [B,groups,channels,frames].

Both networks start as a linear transform: the latent as the lowest MDCT coefficients, companded,
and what the decoder makes of them (`LowBand`). So pitch and phase of the low band are there from
the first step, deep layers have something to refine, and the networks learn the rest. From a
random start 250 steps leave mel distances of .62, .56, .54, .53, .53 with 1, 2, 4, 8, 16 layers,
and whispers for voices; from this one .64, .55, .48, .43, .40.

Every prefix of the layers is trained: each sound of a batch keeps a number of them drawn at random.
The distortion is one that ears agree with (`SpectralLoss`). The layers are those of RQ-VAE, vector
quantization by moving averages, or of RSQ-VAE (Takida et al. 2024, HQ-VAE, eqs 6 and 14), each an
SQ-VAE of what those before it left over.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.base import Batch, Layer, Model
from hqcodec.models.quantize import (
    EmaQuantizer,
    Quantized,
    StochasticQuantizer,
    lloyd,
    perplexity,
)
from hqcodec.models.sound_config import SoundConfig as SoundConfig
from hqcodec.models.sound_loss import WINDOWS, SpectralLoss
from hqcodec.models.sound_net import Decoder, Encoder
from hqcodec.models.sound_prior import SoundPrior
from hqcodec.models.static import StaticTables

RATE = 24_000
SHOWN = 1, 2, 4, 8, 16  # numbers of layers that validation looks at
STARTING = 64  # sounds that the start looks at
DRAWN = 4  # layers whose codes a training step prices
LLOYD = 6  # rounds of k-means that start a codebook


class Sound(Model):
    """A hierarchical codec for sound of RATE samples a second."""

    family = "sound"
    kind = "sound"
    rate = RATE
    config: SoundConfig

    def __init__(self, config: SoundConfig) -> None:
        """Random weights; see `initialize`."""
        super().__init__()
        self.config = c = config
        channels = c.groups * c.dim
        self.layers = (Layer(c.hop, c.groups, c.codebook),) * c.layers
        self.encoder = Encoder(RATE, c.hop, c.encoder_width, c.encoder_blocks, channels)
        self.decoder = Decoder(c.hop, c.decoder_width, c.decoder_blocks, channels)
        self.quantizers = nn.ModuleList(
            StochasticQuantizer(c.groups, c.codebook, c.dim)
            if c.quantizer == "stochastic"
            else EmaQuantizer(c.groups, c.codebook, c.dim, c.ema_decay, c.reset)
            for _ in self.layers
        )
        self.prior = (
            SoundPrior(c.layers, c.groups, c.codebook, c.dim, c.context)
            if c.context
            else StaticTables(self.layers)
        )
        self.spectral = SpectralLoss(RATE)
        self.margin = max(self.encoder.margin, self.decoder.margin)
        unread = ("log_variance",) if c.quantizer == "stochastic" else ("uses", "sums")
        self.transform_prefixes += tuple(
            f"quantizers.{n}.{name}" for n in range(c.layers) for name in unread
        )

    @torch.no_grad()
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Codes of sounds [B,channels,T] in -1..1: a [B,groups,channels,frames] int64 a layer.

        layers: compute only so many, coarse to fine.
        """
        B, channels, _ = x.shape
        z = self.encoder(self.pad(x).flatten(0, 1))[:, :, None]  # [B*channels,C,1,frames]
        codes = []
        for layer in range(len(self.layers))[:layers]:
            chosen = self.quantizer(layer).encode(z)
            z = z - self.quantizer(layer).decode(chosen)
            codes.append(
                chosen.view(B, channels, self.config.groups, -1).transpose(1, 2).contiguous()
            )
        return codes

    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss: [B,channels,T]; missing layers contribute zero.

        size: (channels, T) to crop to; by default whole frames.
        """
        if not 1 <= len(codes) <= len(self.layers):
            raise HqcodecError(f"codes of {len(codes)} layers; want 1 to {len(self.layers)}")
        B, _, channels, _ = codes[0].shape
        z = torch.stack(
            [self.quantizer(layer).decode(chosen) for layer, chosen in enumerate(codes)]
        ).sum(0)  # [B,C,channels,frames]
        x_hat: Tensor = self.decoder(z.transpose(1, 2).flatten(0, 1)).clamp(-1, 1)
        x_hat = x_hat.view(B, channels, -1)
        return x_hat if size is None else x_hat[..., : size[1]]

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Scalars of a training step for sounds x [B,1,T].

        distortion: log of the spectral distance plus what complex spectrum and waveform add to it,
            at a number of layers drawn for each sound. As in HQ-VAE (eq 6), the most likely scale
            of the error makes the likelihood a logarithm.
        latent: |r_l|^2 / 2 s_l^2 summed over the layers kept, r_l what they leave over; ema: the
            commitment. entropy: of their posteriors. Both in nats a sample.
        mel_n: L1 distance of log10 mel bands with n layers (validation shows some n).
        """
        wave = self.pad(x)[:, 0]
        z = self.encoder(wave).float()[:, :, None]  # [B,C,1,frames]
        with torch.autocast(x.device.type, enabled=False):
            chain, left = self._chain(z, math.exp(-self.config.temperature_decay * step))
        prefixes = torch.stack([q.z for q in chain]).cumsum(0)  # [L,B,C,1,frames]
        if self.training:  # log-uniform over 1 .. L
            drawn = torch.rand(len(x), device=x.device) * math.log(len(chain) + 1)
            kept = drawn.exp().floor().long().clamp(1, len(chain))  # [B]
            counts = [kept]
        else:
            kept = torch.full((len(x),), len(chain), device=x.device)
            counts = [torch.full_like(kept, n) for n in SHOWN if n <= len(chain)]
        terms: dict[str, Tensor] = {}
        distortions = []
        for count in counts:
            y = prefixes[count - 1, torch.arange(len(x))][:, :, 0]  # [B,C,frames]
            x_hat = self.decoder(y)
            mel, off, error = self._distances(x_hat, wave)
            total = mel + self.config.complex * off + self.config.waveform * error
            distortions.append(total.log().mean())
            name = "mel" if self.training else f"mel_{int(count[0])}"
            terms[name] = mel.mean().detach()
        active = torch.arange(len(chain), device=x.device)[:, None] < kept  # [L,B]
        entropy = torch.stack([q.entropy.sum((1, 2, 3)) for q in chain])  # [L,B]
        terms["distortion"] = torch.stack(distortions).mean()
        terms["latent"] = (left * active).sum() / wave.numel()
        terms["entropy"] = (entropy * active).sum() / wave.numel()
        terms["loss"] = terms["distortion"] + self.config.latent * (
            terms["latent"] - terms["entropy"]
        )
        if self.config.context:
            terms |= self._rates([q.codes for q in chain], wave.shape[1])
            terms["loss"] = terms["loss"] + terms["prior"]
        for n, q in enumerate(chain, 1):
            terms[f"perplexity_{n}"] = perplexity(q.codes, self.config.codebook)
        return terms

    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """What the learned prior says, or static tables if the config has no context."""
        if isinstance(self.prior, StaticTables):
            return self.prior.tables(codes, current)
        return self.prior.tables(codes, current, self._books())

    @property
    def stride(self) -> int:
        """Samples a frame."""
        return self.config.hop

    def code_shape(self, layer: int, size: tuple[int, int]) -> tuple[int, int, int]:
        """(groups, channels, frames) of a layer's codes for a sound of `size` (channels, T)."""
        return self.config.groups, size[0], -(-size[1] // self.config.hop)

    def pad(self, x: Tensor) -> Tensor:
        """Silence up to a whole frame: [...,T]."""
        return F.pad(x, (0, -x.shape[-1] % self.config.hop))

    @torch.no_grad()
    def initialize(self, x: Tensor, loaded: Collection[str] = ()) -> None:
        """Scale the encoder to sounds x [N,1,T], and start the codebooks by k-means.

        loaded: if the encoder is among it, so are the codebooks that belong to it.
        """
        if any(key.startswith("encoder.") for key in loaded):
            return
        wave = self.pad(x[:STARTING])[:, 0]
        scale = self.encoder(wave).std()
        self.encoder.linear.weight.div_(scale)
        self.decoder.linear.weight.mul_(scale)
        z = self.encoder(wave)[:, :, None]
        for layer in range(len(self.layers)):
            quantizer = self.quantizer(layer)
            quantizer.start(z)
            quantizer.codebook.copy_(lloyd(z, quantizer.codebook, LLOYD))
            if isinstance(quantizer, EmaQuantizer):
                quantizer.sums.copy_(quantizer.codebook)
            z = z - quantizer.decode(quantizer.encode(z))

    def calibrate(self, x: Tensor) -> None:
        """Count the codes of sounds [N,1,T] for the static tables, anew."""
        if isinstance(self.prior, StaticTables):
            self.prior.clear()
            for part in torch.split(x, STARTING):
                self.prior.count(self.encode(part))

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """The codebooks learn at a rate of their own."""
        books, rest = list(self.quantizers.parameters()), []
        for name, p in self.named_parameters():
            if not name.startswith("quantizers."):
                rest.append(p)
        groups = [{"params": rest, "lr": lr}]
        if books:
            groups.append({"params": books, "lr": lr * self.config.codebook_rate})
        return groups

    def quantizer(self, layer: int) -> StochasticQuantizer | EmaQuantizer:
        """The quantizer of a layer."""
        module = self.quantizers[layer]
        assert isinstance(module, StochasticQuantizer | EmaQuantizer)
        return module

    def _books(self) -> list[Tensor]:
        """The code vectors [groups,K,D] of each layer."""
        return [self.quantizer(layer).codebook for layer in range(len(self.layers))]

    def _rates(self, codes: Sequence[Tensor], samples: int) -> dict[str, Tensor]:
        """Terms of the learned prior; training draws some of the layers.

        prior: -log p of the codes, nats a sample, all layers. kbps_n: kbit/s of the first n layers
        (validation). No gradient reaches anything but the prior.
        """
        assert isinstance(self.prior, SoundPrior)
        layers = list(range(len(codes)))
        if self.training:
            layers = torch.randperm(len(codes))[:DRAWN].tolist()
        nats = self.prior.nats(codes, self._books(), layers)
        terms = {"prior": nats.mean() * len(codes) / samples}
        if not self.training:
            rates = nats.cumsum(0) * (RATE / (samples * math.log(2) * 1000))
            terms |= {f"kbps_{n}": rates[n - 1] for n in SHOWN if n <= len(codes)}
        return terms

    def _chain(self, z: Tensor, temperature: float) -> tuple[list[Quantized], Tensor]:
        """Each layer's view of what is left of z [B,C,1,frames]; its latent term [L,B]."""
        chain, terms = [], []
        for layer in range(len(self.layers)):
            quantizer = self.quantizer(layer)
            if isinstance(quantizer, StochasticQuantizer):
                chain.append(quantizer.forward(z, temperature))
                z = z - chain[-1].z
                terms.append(z.square().sum((1, 2, 3)) / (2 * quantizer.variance()))
            else:
                chain.append(quantizer.forward(z))
                off = (z - quantizer.decode(chain[-1].codes)).square().sum((1, 2, 3))
                terms.append(self.config.commitment * off)
                z = z - chain[-1].z.detach()
        return chain, torch.stack(terms)

    def _distances(self, x_hat: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mel, complex and waveform distances [B] of [B,T]; training draws some of the windows."""
        windows = list(WINDOWS)
        if self.training:
            windows = [WINDOWS[i] for i in torch.randperm(len(WINDOWS))[:3].tolist()]
        with torch.autocast(x.device.type, enabled=False):
            found = [self.spectral.scale(x_hat.float(), x, size) for size in windows]
        mel = torch.stack([pair[0] for pair in found]).mean(0)
        off = torch.stack([pair[1] for pair in found]).mean(0)
        error = (x_hat - x).abs().sum(1) / x.abs().sum(1).clamp(min=1e-3)
        return mel, off, error
