"""Log-mel spectrograms as HQ-VAE's sound experiment takes them (Takida et al. 2024, App. F).

The magnitude of a short-time Fourier transform (frames of 1024 samples with a Hann window, every
256) through 80 mel filters, clipped below at 1e-5, and its natural logarithm. The paper leaves open
where the filters end (here: 0 Hz and half the rate) and how a sound's ends are treated (here:
mirrored, as its vocoder HiFi-GAN does, which makes a frame of every 256 samples).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.mel import mel_filters

RATE = 22_050  # samples a second
FRAME, HOP = 1024, 256  # samples
BINS = 80
FLOOR = 1e-5  # magnitudes below count as this
EDGE = (FRAME - HOP) // 2  # samples mirrored at each end


def log_mel(samples: Tensor) -> Tensor:
    """Nats of magnitude: [..,T] at RATE, in -1..1 -> [..,BINS,T // HOP]; all >= log FLOOR.

    HqcodecError if the sound is too short to be mirrored.
    """
    if samples.shape[-1] <= EDGE:
        raise HqcodecError(f"a sound of {samples.shape[-1]} samples; want more than {EDGE}")
    flat = F.pad(samples.reshape(-1, samples.shape[-1]), (EDGE, EDGE), mode="reflect")
    window = torch.hann_window(FRAME, device=samples.device)
    spectrum = torch.stft(flat, FRAME, HOP, window=window, center=False, return_complex=True)
    mel = mel_filters(RATE, FRAME, BINS).to(samples.device) @ spectrum.abs()
    return mel.clamp(min=FLOOR).log().reshape(*samples.shape[:-1], BINS, -1)


@dataclass(frozen=True)
class Scale:
    """Standardises spectrograms: one mean and one standard deviation for all bins, in nats.

    The paper's are "normalized" and it does not say how.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, spectrograms: Sequence[Tensor]) -> "Scale":
        """What makes all values of these together have mean 0 and deviation 1.

        HqcodecError if all values are one, as of digital silence.
        """
        values = torch.cat([spectrogram.flatten() for spectrogram in spectrograms]).double()
        deviation = float(values.std())
        if not deviation > 0:
            raise HqcodecError("all spectrograms are silent; training needs sound")
        return cls(float(values.mean()), deviation)

    def standardise(self, spectrogram: Tensor) -> Tensor:
        """Nats of any shape -> the same shape in deviations from the mean."""
        return (spectrogram - self.mean) / self.deviation

    def restore(self, values: Tensor) -> Tensor:
        """Inverse of `standardise`."""
        return values * self.deviation + self.mean
