"""The networks of the sound codec: spectra in, spectra out, ConvNeXt blocks at frame rate between.

    Encoder   x [B,T] -> STFT -> compressed spectrum and log-mel bands -> blocks -> z [B,C,frames]
    Decoder   z [B,C,frames] -> blocks -> magnitude and phase -> inverse STFT -> x_hat [B,T]

Frame t is centred on sample (t + 1/2) * hop. Nothing is ever resampled in time, so both run in one
pass over short columns, far faster than real time (Siuzdak 2023, Vocos; Liu et al. 2022, ConvNeXt).
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.models.mel import mel_filters

OVERLAP = 4  # windows over each sample: the squared Hann windows then sum to 3/2 everywhere
POWER = 0.3  # loudness grows about so with amplitude; it makes weak bands visible to the network
FLOOR = 1e-5  # of amplitudes in a spectrum, before a logarithm or a power
LOUD = 1e2  # the largest magnitude that the decoder can ask for, as in Vocos
COMPAND = 0.5  # power of the low band's coefficients that is quantized
REACH = 3  # frames that a block's convolution sees on each side
BANDS = 80  # mel bands that the encoder sees


class Spectrum(nn.Module):
    """STFT of frames centred in their hop, with its inverse."""

    window: Tensor

    def __init__(self, hop: int) -> None:
        """Windows of OVERLAP * hop samples."""
        super().__init__()
        self.hop, self.size = hop, OVERLAP * hop
        self.bins = self.size // 2 + 1
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)

    def analyze(self, x: Tensor) -> Tensor:
        """[B,T] float32, T a multiple of hop -> [B,bins,T/hop] complex; silence beyond the ends."""
        side = (self.size - self.hop) // 2
        frames = F.pad(x, (side, side)).unfold(-1, self.size, self.hop)  # [B,frames,size]
        spectrum: Tensor = torch.fft.rfft(frames * self.window).transpose(1, 2)
        return spectrum / self.hop

    def synthesize(self, spectrum: Tensor) -> Tensor:
        """Inverse of `analyze`: [B,bins,frames] complex -> [B,frames*hop]."""
        pieces = torch.fft.irfft(spectrum.transpose(1, 2), self.size) * self.window
        parts = pieces.unflatten(-1, (OVERLAP, self.hop)).unbind(2)  # each [B,frames,hop]
        rows = [F.pad(part, (0, 0, n, OVERLAP - 1 - n)) for n, part in enumerate(parts)]
        total = torch.stack(rows).sum(0).flatten(1)  # [B,(frames+OVERLAP-1)*hop]
        side = (self.size - self.hop) // 2
        return total[:, side : total.shape[1] - side] * (self.hop / 1.5)


class LowBand(nn.Module):
    """The lowest coefficients of an MDCT of one hop (Princen & Bradley 1986), companded.

    Orthonormal: what all `hop` coefficients say is the sound. Companding by COMPAND makes loud and
    soft sounds comparable to a quantizer, and its error small where the sound is.
    """

    basis: Tensor

    def __init__(self, hop: int, count: int) -> None:
        """The lowest `count` of `hop` coefficients."""
        super().__init__()
        self.hop = hop
        n, k = torch.arange(2 * hop)[:, None], torch.arange(count)
        window = (math.pi / (2 * hop) * (n + 0.5)).sin()
        cosines = (math.pi / hop * (n + 0.5 + hop / 2) * (k + 0.5)).cos()
        basis = window * cosines * math.sqrt(2 / hop)  # [2*hop,count]
        self.register_buffer("basis", basis, persistent=False)

    def analyze(self, x: Tensor) -> Tensor:
        """[B,T] float32, T a multiple of hop -> [B,count,T/hop]; silence beyond the ends."""
        frames = F.pad(x, (self.hop // 2, self.hop // 2)).unfold(-1, 2 * self.hop, self.hop)
        c = (frames @ self.basis).transpose(1, 2)
        return c * (c.abs() + FLOOR).pow(COMPAND - 1)

    def synthesize(self, v: Tensor) -> Tensor:
        """Inverse of `analyze`, of this band: [B,count,frames] -> [B,frames*hop]."""
        c = v * (v.abs() + FLOOR).pow(1 / COMPAND - 1)
        first, second = (c.transpose(1, 2) @ self.basis.T).chunk(2, -1)  # each [B,frames,hop]
        total = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
        return total.flatten(1)[:, self.hop // 2 : -self.hop // 2]


class Block(nn.Module):
    """ConvNeXt in one dimension: [B,C,frames] -> [B,C,frames]."""

    def __init__(self, width: int, scale: float) -> None:
        """scale: of the branch at the start."""
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 2 * REACH + 1, padding=REACH, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 3 * width)
        self.contract = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,frames] -> [B,C,frames]."""
        y = self.norm(self.depthwise(x).transpose(1, 2))
        y = self.contract(F.gelu(self.expand(y))) * self.scale
        return x + cast(Tensor, y).transpose(1, 2)


class Body(nn.Module):
    """A convolution and ConvNeXt blocks: [B,inputs,frames] -> [B,outputs,frames]."""

    def __init__(self, inputs: int, width: int, outputs: int, blocks: int) -> None:
        """`margin` is how many frames it sees on each side."""
        super().__init__()
        self.start = nn.Conv1d(inputs, width, 3, padding=1)
        self.first = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(Block(width, 1 / blocks) for _ in range(blocks)))
        self.last = nn.LayerNorm(width)
        self.end = nn.Linear(width, outputs)
        self.margin = 1 + REACH * blocks

    def forward(self, x: Tensor) -> Tensor:
        """[B,inputs,frames] -> [B,outputs,frames]."""
        y = self.first(self.start(x).transpose(1, 2)).transpose(1, 2)
        y = self.end(self.last(self.blocks(y).transpose(1, 2)))
        return cast(Tensor, y).transpose(1, 2)


class Encoder(nn.Module):
    """Sounds to latents."""

    filters: Tensor

    def __init__(self, rate: int, hop: int, width: int, blocks: int, channels: int) -> None:
        """Latents of `channels` a frame."""
        super().__init__()
        self.spectrum = Spectrum(hop)
        filters = mel_filters(rate, self.spectrum.size, BANDS)
        self.register_buffer("filters", filters, persistent=False)
        self.body = Body(2 * self.spectrum.bins + BANDS, width, channels, blocks)
        self.low = LowBand(hop, channels)
        self.linear = nn.Linear(channels, channels, bias=False)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.body.end.weight)
        nn.init.zeros_(self.body.end.bias)
        self.margin = self.body.margin + OVERLAP // 2

    def forward(self, x: Tensor) -> Tensor:
        """[B,T], T a multiple of hop -> [B,channels,T/hop]."""
        with torch.autocast(x.device.type, enabled=False):
            spectrum = self.spectrum.analyze(x.float())
            magnitude = spectrum.abs().clamp(min=FLOOR)
            flat = spectrum * magnitude.pow(POWER - 1)
            bands = (self.filters @ magnitude).clamp(min=FLOOR).log()
            # both of about unit size
            features = torch.cat([2 * flat.real, 2 * flat.imag, bands / 3 + 2], 1)
            start = self.linear(self.low.analyze(x.float()).transpose(1, 2)).transpose(1, 2)
        return cast(Tensor, start + self.body(features))


class Decoder(nn.Module):
    """Latents to sounds."""

    def __init__(self, hop: int, width: int, blocks: int, channels: int) -> None:
        """Latents of `channels` a frame."""
        super().__init__()
        self.spectrum = Spectrum(hop)
        self.body = Body(channels, width, 2 * self.spectrum.bins, blocks)
        self.low = LowBand(hop, channels)
        self.linear = nn.Linear(channels, channels, bias=False)
        nn.init.eye_(self.linear.weight)
        self.margin = self.body.margin + OVERLAP // 2

    def forward(self, z: Tensor) -> Tensor:
        """[B,channels,frames] -> [B,frames*hop]."""
        size, phase = self.body(z).float().chunk(2, 1)
        magnitude = (size - 4).exp().clamp(max=LOUD)
        low = self.linear(z.float().transpose(1, 2)).transpose(1, 2)
        return self.spectrum.synthesize(torch.polar(magnitude, phase)) + self.low.synthesize(low)
