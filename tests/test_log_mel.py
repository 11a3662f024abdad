"""Log-mel spectrograms: where a tone lies, how loud it is, and how they are standardised."""

import math

import pytest
import torch
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.log_mel import BINS, EDGE, FLOOR, FRAME, HOP, RATE, Scale, log_mel
from hqcodec.models.mel import mel_filters


def tone(frequency: float, amplitude: float, samples: int = RATE) -> Tensor:
    return amplitude * torch.sin(2 * math.pi * frequency / RATE * torch.arange(samples))


def test_four_seconds_have_344_frames_of_80_bins() -> None:
    assert log_mel(torch.zeros(4 * RATE)).shape == (80, 344)
    assert log_mel(torch.zeros(2, 3, HOP * 5)).shape == (2, 3, 80, 5)


def test_a_tone_has_the_magnitude_that_its_window_and_filter_give_it() -> None:
    # On a bin's frequency the Hann window's transform is FRAME / 4 of the amplitude there, half
    # of that at both neighbours, and nothing elsewhere.
    number, amplitude = 100, 0.5
    filters = mel_filters(RATE, FRAME, BINS)
    weights = filters[:, number - 1] / 2 + filters[:, number] + filters[:, number + 1] / 2
    expected = amplitude * FRAME / 4 * weights
    found = log_mel(tone(number * RATE / FRAME, amplitude))[:, 10:-10]  # [BINS,frames]
    loud = expected > 1e-3
    assert 1 <= int(loud.sum()) <= 4
    assert torch.allclose(found[loud].exp(), expected[loud, None].expand(-1, found.shape[1]), 1e-3)
    assert float(found[~loud].max()) < math.log(float(expected.max())) - 5


def test_twice_the_amplitude_is_the_logarithm_of_two_more() -> None:
    quiet, loud = (log_mel(tone(440, a)).max() for a in (0.25, 0.5))
    assert float(loud - quiet) == pytest.approx(math.log(2), abs=1e-5)


def test_silence_lies_at_the_floor() -> None:
    assert torch.equal(log_mel(torch.zeros(RATE)).unique(), torch.tensor([math.log(FLOOR)]))


def test_a_sound_too_short_to_be_mirrored_is_refused() -> None:
    assert log_mel(torch.zeros(EDGE + 1)).shape == (80, 1)
    with pytest.raises(HqcodecError, match=f"{EDGE} samples; want more than {EDGE}"):
        log_mel(torch.zeros(EDGE))


def test_standardised_values_have_mean_0_and_deviation_1_together() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [3 * torch.randn(80, n, generator=generator) - 5 for n in (10, 40)]
    scale = Scale.of(parts)
    joined = torch.cat([scale.standardise(part) for part in parts], 1)
    assert float(joined.mean()) == pytest.approx(0, abs=1e-5)
    assert float(joined.std()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(scale.restore(scale.standardise(parts[0])), parts[0], atol=1e-5)


def test_silence_alone_has_no_scale() -> None:
    with pytest.raises(HqcodecError, match="silent"):
        Scale.of([torch.zeros(80, 4)])
