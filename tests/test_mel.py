"""The mel filter bank against values worked out by hand and another implementation."""

import math
import warnings
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.mel import hertz_from_mel, mel_filters, mel_from_hertz


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_scale_is_linear_to_1_khz_and_logarithmic_above() -> None:
    found = mel_from_hertz(doubles(0, 200, 1000, 6400, 6400 * 6.4))
    assert torch.allclose(found, doubles(0, 3, 15, 42, 69), rtol=0, atol=1e-12)


@given(st.floats(0, 96_000))
def test_the_scale_is_undone_by_its_inverse(frequency: float) -> None:
    back = hertz_from_mel(mel_from_hertz(doubles(frequency)))
    assert math.isclose(float(back[0]), frequency, rel_tol=1e-12, abs_tol=1e-9)


def test_two_bands_below_1_khz_are_the_triangles_drawn_by_hand() -> None:
    """Corners at 0, 300, 600 and 900 Hz, bins at 0, 250, 500 ... Hz, area 1 over 600 Hz."""
    found = mel_filters(rate=4000, n_fft=16, n_mels=2, fmax=900)
    first = [0, 250 / 300, 100 / 300, 0, 0, 0, 0, 0, 0]
    second = [0, 0, 200 / 300, 150 / 300, 0, 0, 0, 0, 0]
    assert torch.allclose(found, torch.tensor([first, second]) * (2 / 600), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), [(24_000, 2048, 80), (16_000, 4096, 40)])
def test_every_band_has_unit_area_over_frequency(rate: int, n_fft: int, n_mels: int) -> None:
    area = mel_filters(rate, n_fft, n_mels).sum(1) * rate / n_fft
    assert torch.allclose(area, torch.ones(n_mels), atol=0.02)


def test_bands_have_the_shape_the_stft_needs_and_no_negative_weight() -> None:
    found = mel_filters(24_000, 512, 80)
    assert found.shape == (80, 257)
    assert found.dtype == torch.float32
    assert (found >= 0).all()


def test_bands_narrower_than_the_bins_may_be_empty_but_are_finite() -> None:
    found = mel_filters(24_000, 32, 320)
    assert torch.isfinite(found).all()
    assert (found.sum(1) == 0).any()


@pytest.mark.parametrize(("n_mels", "fmin", "fmax"), [(0, 0, None), (4, 500, 500), (4, -1, None)])
def test_a_bank_of_nothing_is_an_error(n_mels: int, fmin: float, fmax: float | None) -> None:
    with pytest.raises(HqcodecError, match="mel bands"):
        mel_filters(24_000, 512, n_mels, fmin, fmax)


def other_bank(rate: int, n_fft: int, n_mels: int) -> Tensor:
    """torchaudio's bank where it is installed, else the formula on single numbers."""
    if find_spec("torchaudio") is not None:
        try:
            from torchaudio.functional import melscale_fbanks
        except (ImportError, OSError):  # built for another torch
            pass
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about bands without bins
                bank = melscale_fbanks(
                    n_fft // 2 + 1, 0.0, rate / 2, n_mels, rate, norm="slaney", mel_scale="slaney"
                )
            return bank.T
    found = torch.zeros(n_mels, n_fft // 2 + 1)
    top = 15 + 27 * math.log(rate / 2000) / math.log(6.4)
    mels = [top * i / (n_mels + 1) for i in range(n_mels + 2)]
    corners = [m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27) for m in mels]
    for i in range(n_mels):
        low, centre, high = corners[i : i + 3]
        for k in range(n_fft // 2 + 1):
            f = k * rate / n_fft
            if low < f <= centre:
                found[i, k] = 2 / (high - low) * (f - low) / (centre - low)
            elif centre < f < high:
                found[i, k] = 2 / (high - low) * (high - f) / (high - centre)
    return found


@pytest.mark.parametrize(("n_fft", "n_mels"), [(32, 5), (512, 80), (2048, 320)])
def test_the_bank_is_that_of_another_implementation(n_fft: int, n_mels: int) -> None:
    ours, other = mel_filters(24_000, n_fft, n_mels), other_bank(24_000, n_fft, n_mels)
    # Corners that torchaudio computes in float32 are worth about 1e-5 of a weight of .02.
    assert torch.allclose(ours, other, rtol=0, atol=1e-6)
