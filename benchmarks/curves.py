"""How two rate curves compare: interpolation and the Bjontegaard delta."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def decibels(name: str, value: float) -> float:
    """A metric as a quality where more is better, about linear in the logarithm of the rate."""
    if name in ("ssim", "ms_ssim"):
        return -10 * math.log10(max(1 - value, 1e-12))
    if name.startswith("lpips"):
        return -10 * math.log10(max(value, 1e-12))
    return value


def bd_rate(
    curve: Sequence[tuple[float, float]],
    anchor: Sequence[tuple[float, float]],
    rates: tuple[float, float] = (0.0, math.inf),
) -> float | None:
    """Bits that `curve` takes more than `anchor` at equal quality, in percent; negative is fewer.

    Bjontegaard's delta rate (VCEG-M33) with monotone cubic pieces (PCHIP) for log rate over
    quality, integrated exactly over the qualities that both curves reach within `rates`; nothing
    is extrapolated. Points are (rate, quality), more quality is better. None: no overlap.
    """
    both = [ascending(points) for points in (curve, anchor)]
    if any(len(q) < 2 for _, q in both):
        return None
    ends = [quality_within(r, q, rates) for r, q in both]
    low, high = max(e[0] for e in ends), min(e[1] for e in ends)
    if not low < high:
        return None
    (r1, q1), (r2, q2) = both
    return 100 * math.expm1(mean_gap((q1, r1), (q2, r2), low, high))


def bd_quality(
    curve: Sequence[tuple[float, float]],
    anchor: Sequence[tuple[float, float]],
    rates: tuple[float, float] = (0.0, math.inf),
) -> float | None:
    """Quality that `curve` has more than `anchor` at equal rate, in the unit of the qualities.

    Bjontegaard's delta PSNR (VCEG-M33), or that of another metric: like `bd_rate`, but with PCHIP
    for quality over log rate, and the mean over the log rates that both curves have within
    `rates`. None: no overlap.
    """
    both = [ascending(points) for points in (curve, anchor)]
    if any(len(r) < 2 for r, _ in both):
        return None
    low, high = log_rates(rates)
    low, high = max(low, *(r[0] for r, _ in both)), min(high, *(r[-1] for r, _ in both))
    return mean_gap(both[0], both[1], low, high) if low < high else None


def mean_gap(a: tuple[Floats, Floats], b: tuple[Floats, Floats], low: float, high: float) -> float:
    """Mean over low..high of a - b, each (x rising, y) interpolated by PCHIP; exact."""
    knots = np.concatenate([[low, high], a[0], b[0]])
    knots = np.unique(knots.clip(low, high))
    middles = (knots[:-1] + knots[1:]) / 2

    def gap(at: Floats) -> Floats:
        return pchip(*a, at) - pchip(*b, at)

    # Simpson's rule is exact here: between two knots the gap is one cubic.
    area = np.diff(knots) * (gap(knots[:-1]) + 4 * gap(middles) + gap(knots[1:])) / 6
    return float(area.sum()) / (high - low)


def ascending(points: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    """(log rates, qualities), both rising; points that cost more and give less are left out."""
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(points):
        if not kept or (quality > kept[-1][1] and rate > kept[-1][0]):
            kept.append((rate, quality))
    rates, qualities = np.array(kept, dtype=np.float64).reshape(-1, 2).T
    return np.log(rates), qualities


def quality_within(r: Floats, q: Floats, rates: tuple[float, float]) -> tuple[float, float]:
    """The lowest and highest quality of a curve between two rates (log rates r, qualities q)."""
    low, high = pchip(r, q, np.array(log_rates(rates)).clip(r[0], r[-1]))
    return float(low), float(high)


def log_rates(rates: tuple[float, float]) -> tuple[float, float]:
    """The logarithms of two rates, of which the first may be 0."""
    low, high = rates
    return math.log(low) if low > 0 else -math.inf, math.log(high)


def pchip(x: Floats, y: Floats, at: Floats) -> Floats:
    """Monotone cubic interpolation of points (x rising, y) [N], N >= 2, at `at` [M] -> [M].

    Slopes after Fritsch and Butland 1984, ends by the three-point formula, as SciPy has them.
    """
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    m = np.full_like(y, d[0])
    if len(x) > 2:
        same = d[:-1] * d[1:] > 0  # else a turning point: slope 0
        w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            m[1:-1] = np.where(same, (w1 + w2) / (w1 / d[:-1] + w2 / d[1:]), 0)
        m[0] = end_slope(h[0], h[1], d[0], d[1])
        m[-1] = end_slope(h[-1], h[-2], d[-1], d[-2])
    i = np.searchsorted(x, at, side="right").clip(1, len(x) - 1) - 1
    t = (at - x[i]) / h[i]
    start = (1 + 2 * t) * (1 - t) ** 2 * y[i] + t * (1 - t) ** 2 * h[i] * m[i]
    stop = t**2 * (3 - 2 * t) * y[i + 1] + t**2 * (t - 1) * h[i] * m[i + 1]
    value: Floats = start + stop
    return value


def end_slope(h0: float, h1: float, d0: float, d1: float) -> float:
    """Slope at an end from its two intervals (widths h, secants d), limited to stay monotone."""
    m = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if m * d0 <= 0:
        return 0.0
    return 3 * d0 if d0 * d1 < 0 and abs(m) > 3 * abs(d0) else m
