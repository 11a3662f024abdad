"""How far a decoded sound is from the original: spectra at several resolutions, and the waveform.

Every distance is of one sound, [B]; sounds are [B,T] float32.
"""

import torch
from torch import Tensor, nn

from hqcodec.models.mel import mel_filters

WINDOWS = 32, 64, 128, 256, 512, 1024, 2048  # samples; bands as Kumar et al. 2023 (DAC), App. A
MELS = 5, 10, 20, 40, 80, 160, 320
FLOOR = 1e-5  # of a band's magnitude before the logarithm, as there


def spectra(x: Tensor, window: Tensor) -> Tensor:
    """STFT [B,bins,frames] complex of x [B,T], a hop of a quarter window, silence at the ends."""
    size = len(window)
    return torch.stft(x, size, size // 4, window=window, pad_mode="constant", return_complex=True)


class SpectralLoss(nn.Module):
    """The terms of a sound codec's distortion that need no discriminator."""

    def __init__(self, rate: int) -> None:
        """For sounds of `rate` samples a second."""
        super().__init__()
        for size, bands in zip(WINDOWS, MELS, strict=True):
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)
            filters = mel_filters(rate, size, bands)
            self.register_buffer(f"filters_{size}", filters, persistent=False)

    def scale(self, x_hat: Tensor, x: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Distances [B] at one window: of log10 mel bands (mean), and of the complex spectrum.

        The second is |X_hat - X| / |X|, sums over the sound (spectral convergence with phase).
        """
        window, filters = self.get_buffer(f"window_{size}"), self.get_buffer(f"filters_{size}")
        both = spectra(torch.cat([x_hat, x]), window)
        bands = (filters @ both.abs()).clamp(min=FLOOR).log10()
        mel_hat, mel = bands.chunk(2)
        found, wanted = both.chunk(2)
        off = (found - wanted).abs().sum((1, 2)) / wanted.abs().sum((1, 2)).clamp(min=FLOOR)
        return (mel_hat - mel).abs().mean((1, 2)), off
