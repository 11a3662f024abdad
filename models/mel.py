"""The mel filter bank: triangles over the bins of a Fourier spectrum.

Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, 15 mel there, then logarithmic, 27 mel for
each factor of 6.4. Each triangle has unit area over frequency in Hz. This is what
`librosa.filters.mel` gives by default, and so what DAC's mel distance is defined with.
"""

import math

import torch
from torch import Tensor

from hqcodec.errors import HqcodecError

LINEAR = 200 / 3  # Hz for each mel below KNEE
KNEE = 1000.0  # Hz
LOG_STEP = math.log(6.4) / 27  # of the natural logarithm of the frequency, for each mel above KNEE


def mel_from_hertz(frequency: Tensor) -> Tensor:
    """Slaney's mel of frequencies in Hz >= 0, any shape, float64."""
    above = KNEE / LINEAR + (frequency.clamp(min=KNEE) / KNEE).log() / LOG_STEP
    return torch.where(frequency < KNEE, frequency / LINEAR, above)


def hertz_from_mel(mel: Tensor) -> Tensor:
    """Inverse of `mel_from_hertz`."""
    above = KNEE * ((mel - KNEE / LINEAR) * LOG_STEP).exp()
    return torch.where(mel < KNEE / LINEAR, mel * LINEAR, above)


def mel_filters(
    rate: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
) -> Tensor:
    """Weights of a magnitude spectrum's bins in each mel band: [n_mels, n_fft//2+1] float32.

    rate: samples a second. n_fft: samples of the transform. fmin, fmax: ends of the bank in Hz;
    by default from 0 to half of `rate`. A band that is narrower than the spacing of the bins may
    miss all of them and is then all zero, as in librosa. Raises HqcodecError if there is nothing
    between the ends.
    """
    top = rate / 2 if fmax is None else fmax
    if n_mels < 1 or not 0 <= fmin < top:
        raise HqcodecError(f"{n_mels} mel bands from {fmin:g} to {top:g} Hz; take 1 or more")
    ends = mel_from_hertz(torch.tensor([fmin, top], dtype=torch.float64))
    steps = torch.linspace(0, 1, n_mels + 2, dtype=torch.float64)
    corners = hertz_from_mel(torch.lerp(ends[0], ends[1], steps))  # [n_mels+2], Hz
    low, centre, high = (corners[i : n_mels + i, None] for i in range(3))
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * (rate / n_fft)  # Hz
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0)  # [n_mels, n_fft//2+1]
    return (triangles * (2 / (high - low))).to(torch.float32)
