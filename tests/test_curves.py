"""Bjontegaard's deltas: by hand, and against SciPy's interpolation and quadrature."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import PchipInterpolator

from hqcodec.benchmarks.curves import bd_quality, bd_rate, decibels

CURVE = [(0.12, 25.0), (0.2, 27.0), (0.35, 29.5), (0.6, 31.5), (0.9, 33.0)]


def random_curve(seed: int, count: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    rates = 0.05 * np.exp(rng.uniform(0.1, 0.6, count).cumsum())
    qualities = 24 + rng.uniform(0.3, 2.5, count).cumsum()
    return list(zip(rates.tolist(), qualities.tolist(), strict=True))


def mean_difference(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Of two interpolated curves (x, y), over the x that both have, by adaptive quadrature."""
    low, high = max(a[0][0], b[0][0]), min(a[0][-1], b[0][-1])
    f, g = PchipInterpolator(*a), PchipInterpolator(*b)
    knots = [x for x in [*a[0], *b[0]] if low < x < high]
    area = quad(lambda x: f(x) - g(x), low, high, points=knots, limit=200)[0]
    return float(area / (high - low))


@pytest.mark.parametrize("seed", range(8))
def test_both_deltas_are_what_scipy_makes_of_the_same_curves(seed: int) -> None:
    curve, anchor = random_curve(seed, 5 + seed), random_curve(100 + seed, 9)
    (r1, q1), (r2, q2) = (
        (np.log([r for r, _ in points]), np.array([q for _, q in points]))
        for points in (curve, anchor)
    )
    percent = 100 * math.expm1(mean_difference((q1, r1), (q2, r2)))
    assert bd_rate(curve, anchor) == pytest.approx(percent, rel=1e-7)
    assert bd_quality(curve, anchor) == pytest.approx(mean_difference((r1, q1), (r2, q2)), rel=1e-7)


def test_equal_curves_differ_by_nothing() -> None:
    assert bd_rate(CURVE, CURVE) == pytest.approx(0, abs=1e-12)
    assert bd_quality(CURVE, CURVE) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("gain", [1.0, -0.25])
def test_a_curve_that_is_higher_by_some_dB_has_that_bd_quality(gain: float) -> None:  # noqa: N802
    better = [(rate, quality + gain) for rate, quality in CURVE]
    assert bd_quality(better, CURVE) == pytest.approx(gain)
    assert bd_quality(CURVE, better) == pytest.approx(-gain)


def test_half_the_rate_on_a_slope_of_3_dB_an_octave_is_worth_3_dB() -> None:  # noqa: N802
    anchor = [(2.0**octave, 3.0 * octave) for octave in range(-4, 2)]
    half = [(rate / 2, quality) for rate, quality in anchor]
    assert bd_rate(half, anchor) == pytest.approx(-50)
    assert bd_quality(half, anchor) == pytest.approx(3)


def test_bd_quality_keeps_to_the_rates_that_were_asked_for() -> None:
    """Equal up to rate 1, one dB better from rate 2 on."""
    anchor = [(2.0**e, float(e)) for e in range(-4, 5)]
    curve = [(r, q + (q >= 1)) for r, q in anchor]
    assert bd_quality(curve, anchor, (0, 0.5)) == pytest.approx(0)
    assert bd_quality(curve, anchor, (4.0, math.inf)) == pytest.approx(1)
    whole = bd_quality(curve, anchor)
    assert whole is not None and 0.4 < whole < 0.6


def test_curves_without_common_rates_have_no_bd_quality() -> None:
    assert bd_quality(CURVE, [(rate * 10, quality) for rate, quality in CURVE]) is None
    assert bd_quality(CURVE, CURVE, (2.0, 3.0)) is None
    assert bd_quality(CURVE[:1], CURVE) is None
    assert bd_quality([], CURVE) is None


@pytest.mark.parametrize(("first", "second"), [("ms_ssim", "ssim"), ("lpips", "lpips_squeeze")])
def test_metrics_of_a_kind_are_put_on_the_same_scale(first: str, second: str) -> None:
    assert decibels(first, 0.3) == decibels(second, 0.3) > 0
