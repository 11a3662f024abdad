"""The distances of DAC's evaluation between two sounds: of mel spectra and of Fourier spectra.

Kumar et al., "High-Fidelity Audio Compression with Improved RVQGAN" (2023), with the constants of
the configurations that its weights were trained and evaluated with. Spectra are magnitudes under
a periodic Hann window, a quarter of it between frames, reflected at both ends, at the sounds' own
rate. A mean is over bands or bins, frames and channels.

    mel distance    sum over MELS of the mean |log10 max(M, FLOOR) - log10 max(M', FLOOR)|, where M
                    is the magnitude in so many mel bands from 0 to half of the rate
    STFT distance   sum over WINDOWS of the mean |log10 max(S, FLOOR)^2 - log10 max(S', FLOOR)^2|
                    plus the mean |S - S'|
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from hqcodec.models.mel import mel_filters

MELS = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}  # window -> mel bands
WINDOWS = (2048, 512)  # samples, of the STFT distance
FLOOR = 1e-5  # of a magnitude before its logarithm
SHORTEST = 2048 // 2 + 1  # samples that half of the longest window can be reflected in


@dataclass(frozen=True)
class Spectra:
    """What the distances compare, in the order of MELS and of WINDOWS.

    mels: log10 of mel magnitudes, each [channels,bands,frames]. magnitudes: each
    [channels,bins,frames].
    """

    mels: tuple[Tensor, ...]
    magnitudes: tuple[Tensor, ...]


def spectra(x: Tensor, rate: int) -> Spectra:
    """Spectra of a sound x [channels,T]; one shorter than SHORTEST gets zeros behind it."""
    x = F.pad(x, (0, max(0, SHORTEST - x.shape[-1])))
    mels, kept = [], {}
    for window, bands in MELS.items():
        magnitude = stft(x, window).abs()
        if window in WINDOWS:
            kept[window] = magnitude
        mels.append((filters(rate, window, bands) @ magnitude).clamp(min=FLOOR).log10())
    return Spectra(tuple(mels), tuple(kept[window] for window in WINDOWS))


def stft(x: Tensor, window: int) -> Tensor:
    """Fourier spectra of a sound: [channels,T] -> [channels,window//2+1,frames], complex."""
    return torch.stft(x, window, window // 4, window=torch.hann_window(window), return_complex=True)


@lru_cache(maxsize=32)
def filters(rate: int, window: int, bands: int) -> Tensor:
    """`mel_filters`, kept: [bands,window//2+1]."""
    return mel_filters(rate, window, bands)


def mel_distance(x: Spectra, y: Spectra) -> float:
    """The mel distance of two sounds of the same length; 0 if they are the same."""
    return sum(float((a - b).abs().mean()) for a, b in zip(x.mels, y.mels, strict=True))


def stft_distance(x: Spectra, y: Spectra) -> float:
    """The STFT distance of two sounds of the same length; 0 if they are the same."""
    total = 0.0
    for a, b in zip(x.magnitudes, y.magnitudes, strict=True):
        levels = a.clamp(min=FLOOR).log10() - b.clamp(min=FLOOR).log10()
        total += 2 * float(levels.abs().mean()) + float((a - b).abs().mean())
    return total
