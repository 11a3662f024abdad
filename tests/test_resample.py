"""Sample rates: the number of samples is exact, time does not shift, blocks do not matter."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hqcodec.resample import Resampler, resampled
from tones import noise, sweep

RATES = [1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000, 768_000]


def run(x: NDArray[np.float32], source: int, target: int, block: int) -> NDArray[np.float32]:
    resampler = Resampler(source, target, x.shape[1])
    parts = [resampler.push(x[start : start + block]) for start in range(0, len(x), block)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 319, 5_001])
def test_n_samples_become_exactly_as_many_as_they_should_and_come_back(
    rate: int, samples: int
) -> None:
    there = run(noise(samples, 2), rate, 24_000, 1_000)
    assert len(there) == resampled(samples, rate, 24_000) == -(-samples * 24_000 // rate)
    back = run(there, 24_000, rate, 777)
    assert len(back) == resampled(len(there), 24_000, rate) >= samples


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_blocks_of_any_size_give_the_same_samples(rate: int) -> None:
    x = noise(4_001, 2)
    whole = run(x, rate, 24_000, len(x))
    for block in (1, 7, 1_000):
        assert np.array_equal(run(x, rate, 24_000, block), whole)


@pytest.mark.parametrize("rate", [11_025, 44_100, 48_000, 96_000])
def test_a_tone_is_the_same_tone_at_the_same_time(rate: int) -> None:
    for source, target in ((rate, 24_000), (24_000, rate)):
        t = np.arange(source) / source
        x = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[:, None]
        found = run(x, source, target, 1_000)[:, 0]
        expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(target) / target)
        inside = slice(target // 10, -target // 10)
        assert np.abs(found - expected)[inside].max() < 1e-3


def test_what_is_certain_is_given_before_the_end() -> None:
    resampler = Resampler(48_000, 24_000, 1)
    given = sum(len(resampler.push(sweep(4_800, 48_000))) for _ in range(10))
    assert 23_000 < given < 24_000
    assert given + len(resampler.finish()) == 24_000


def test_one_rate_is_left_alone() -> None:
    x = noise(100)
    assert np.array_equal(run(x, 24_000, 24_000, 7), x)
