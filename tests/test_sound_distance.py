"""The distances of sound against another library and against values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import ShortTimeFFT, get_window

from hqcodec.audio import Audio
from hqcodec.benchmarks.alignment import align, delay, si_sdr
from hqcodec.benchmarks.sound_distance import (
    FLOOR,
    MELS,
    SHORTEST,
    Spectra,
    mel_distance,
    spectra,
    stft_distance,
)
from hqcodec.models.mel import mel_filters
from waves import noise, sine

RATE = 24_000


def of(x: Audio) -> Spectra:
    return spectra(torch.from_numpy(x.samples.T.copy()), x.rate)


def magnitudes(x: np.ndarray, window: int) -> np.ndarray:
    """[window//2+1, frames] by scipy, of x [T]."""
    padded = np.pad(x.astype(np.float64), window // 2, mode="reflect")
    hann = get_window("hann", window)
    transform = ShortTimeFFT(hann, window // 4, fs=1, phase_shift=None)
    frames = (len(padded) - window) // (window // 4) + 1
    first = window // 2 // (window // 4)  # scipy's slices are centred, these begin at 0
    return np.abs(transform.stft(padded, first, first + frames))


def test_both_distances_are_those_of_the_published_definition_computed_by_scipy() -> None:
    x, y = noise(0.3, RATE, 1), noise(0.3, RATE, 2)
    mel = stft = 0.0
    for window, bands in MELS.items():
        a, b = (magnitudes(s.samples[:, 0], window) for s in (x, y))
        bank = mel_filters(RATE, window, bands).double().numpy()
        pair = [np.log10(np.maximum(bank @ m, 1e-5)) for m in (a, b)]
        mel += np.abs(pair[0] - pair[1]).mean()
        if window in (2048, 512):
            squares = [np.log10(np.maximum(m, 1e-5) ** 2) for m in (a, b)]
            stft += np.abs(squares[0] - squares[1]).mean() + np.abs(a - b).mean()
    assert mel_distance(of(x), of(y)) == pytest.approx(mel, rel=1e-4)
    assert stft_distance(of(x), of(y)) == pytest.approx(stft, rel=1e-4)


def test_distances_of_a_sound_from_itself_are_zero() -> None:
    x = of(noise())
    assert mel_distance(x, x) == stft_distance(x, x) == 0


def test_a_tenth_of_the_level_is_a_decade_in_every_band() -> None:
    """7 windows of 1 decade each; the STFT's squares have 2, in 2 windows, plus the magnitudes."""
    x = Audio(np.random.default_rng(0).normal(0, 0.2, (RATE, 1)).astype(np.float32), RATE)
    y = Audio(x.samples / 10, RATE)
    a, b = of(x), of(y)
    # Bands too narrow to hold a bin are at the floor in both.
    empty = [float((mel_filters(RATE, w, n).sum(1) == 0).float().mean()) for w, n in MELS.items()]
    assert mel_distance(a, b) == pytest.approx(7 - sum(empty), rel=1e-3)
    plain = sum(0.9 * float(m.mean()) for m in a.magnitudes)
    assert stft_distance(a, b) == pytest.approx(4 + plain, rel=1e-3)


def test_silence_is_at_the_floor_and_short_sounds_are_filled_up_with_it() -> None:
    for count in (1, SHORTEST - 1):
        silence = of(Audio(np.zeros((count, 1), np.float32), RATE))
        assert all(float(m.max()) == pytest.approx(math.log10(FLOOR)) for m in silence.mels)
        assert mel_distance(silence, silence) == 0


def test_channels_are_averaged() -> None:
    x, y = noise(0.2, RATE, 1, channels=2), noise(0.2, RATE, 2, channels=2)
    one = [mel_distance(of(Audio(x.samples[:, [c]], RATE)), of(Audio(y.samples[:, [c]], RATE)))
           for c in (0, 1)]  # fmt: skip
    assert mel_distance(of(x), of(y)) == pytest.approx(sum(one) / 2, rel=1e-5)


@pytest.mark.parametrize("lag", [-700, -1, 0, 1, 37, 1105])
@pytest.mark.parametrize("sound", [noise(), sine(200)])
def test_a_delay_is_found_and_undone(sound: Audio, lag: int) -> None:
    longer = np.pad(sound.samples, ((3000, 3000), (0, 0)))
    x, y = longer[1500:-1500], longer[1500 - lag : len(longer) - 1500 - lag]
    assert delay(x, y, sound.rate) == lag
    a, b = align(x, y, lag)
    assert len(a) == len(x) - abs(lag)
    assert np.array_equal(a, b)


def test_noise_that_has_nothing_in_common_with_the_original_keeps_its_place() -> None:
    assert delay(noise(seed=1).samples, noise(seed=2).samples, 16_000) == 0
    assert delay(np.zeros((100, 1), np.float32), noise(0.01).samples[:100], 16_000) == 0
    assert delay(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), 16_000) == 0


def test_a_hum_whose_phase_is_turned_is_no_delay() -> None:
    """A hum of 100 Hz a quarter of a period early, with clicks that are in their place."""
    t = np.arange(16_000)[:, None] / 16_000
    hums = [np.sin(2 * np.pi * 100 * t + phase).astype(np.float32) for phase in (0, np.pi / 2)]
    clicks = np.zeros_like(hums[0])
    clicks[::2500] = 1  # farther apart than any delay
    assert delay(hums[0] + clicks, hums[1] + clicks, 16_000) == 0
    assert delay(hums[0], hums[1], 16_000) == -40


def test_a_delay_that_is_longer_than_a_tenth_of_a_second_is_no_delay() -> None:
    longer = np.pad(noise().samples, ((3000, 3000), (0, 0)))
    assert delay(longer[3000:], longer[: len(longer) - 3000], 16_000) != 3000


def test_si_sdr_of_orthogonal_noise_is_the_ratio_of_the_energies() -> None:
    t = np.arange(1000) / 1000
    x = np.sin(2 * np.pi * 10 * t)[:, None].astype(np.float32)
    y = x + 0.1 * np.cos(2 * np.pi * 10 * t)[:, None].astype(np.float32)
    assert si_sdr(x, y) == pytest.approx(20, abs=1e-3)
    assert si_sdr(x, 0.3 * y + 0.2) == pytest.approx(20, abs=1e-3)


def test_si_sdr_of_a_scaled_sound_is_infinite_and_of_silence_has_no_value() -> None:
    x = noise().samples
    assert si_sdr(x, x) == si_sdr(x, np.float32(0.3) * x) == math.inf
    assert si_sdr(x, np.zeros_like(x)) == -math.inf
    assert math.isnan(si_sdr(np.zeros_like(x), x))
