"""Where a curve of distance over rate is below another, and at which rate it reaches a value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hqcodec.benchmarks.curves import Floats, pchip

Points = Sequence[tuple[float, float]]  # (kbit/s, distance)


@dataclass(frozen=True)
class Crossing:
    """Two curves between `low` and `high`, the rates in kbit/s that both have.

    rates: where they cross, rising. first: whether the first is the nearer one at `low`.
    """

    low: float
    high: float
    rates: tuple[float, ...]
    first: bool


def falling(points: Points) -> tuple[Floats, Floats]:
    """(log rates, distances) of a curve, of each rate the least distance: rising rates."""
    least: dict[float, float] = {}
    for rate, distance in points:
        least[rate] = min(distance, least.get(rate, math.inf))
    rates, distances = np.array(sorted(least.items()), dtype=np.float64).reshape(-1, 2).T
    return np.log(rates), distances


def crossing(a: Points, b: Points) -> Crossing | None:
    """How curve a compares with b, each PCHIP over log rate; None if no two rates are shared."""
    first, second = falling(a), falling(b)
    if min(len(first[0]), len(second[0])) < 2:
        return None
    low, high = max(first[0][0], second[0][0]), min(first[0][-1], second[0][-1])
    if not low < high:
        return None
    at = np.linspace(low, high, 2001)  # a crossing is within 0.2 % of its rate over a factor of 50
    gap = pchip(*first, at) - pchip(*second, at)
    turns = np.flatnonzero(np.sign(gap[:-1]) * np.sign(gap[1:]) < 0)
    share = gap[turns] / (gap[turns] - gap[turns + 1])
    rates = np.exp(at[turns] + share * (at[turns + 1] - at[turns]))
    return Crossing(math.exp(low), math.exp(high), tuple(rates.tolist()), bool(gap[0] < 0))


def rate_of(points: Points, distance: float) -> float | None:
    """The least rate in kbit/s at which a curve is as near as `distance`; None: never or always."""
    rates, distances = falling(points)
    if len(rates) < 2 or distances[0] <= distance:
        return None
    at = np.linspace(rates[0], rates[-1], 2001)
    near = np.flatnonzero(pchip(rates, distances, at) <= distance)
    return math.exp(at[near[0]]) if len(near) else None
