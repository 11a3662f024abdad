"""A file of a wanted size or quality: what to ask for, and the search for it.

The files of 1, 2, ... layers are rungs. What lies between is reached by `thrift`, the factor on the
price of a bit under which a layer's codes are chosen. Measured on photographs, these are the best
ways there: from a rung upwards, less thrift in its last layer, as far as LAVISH; beyond that, one
layer more under more thrift, of which the coarser layers get the square root.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hqcodec.errors import HqcodecError

Thrifts = tuple[float, ...]  # of each layer, coarse to fine

LAVISH = 0.25  # below it bytes still rise, quality hardly
THRIFTIEST = 64.0  # beyond it a layer has nothing left to save
TRIALS = 8  # at most, once the thrift is known to lie between two
BYTES_NEAR = 0.99  # of the bytes allowed: near enough
DB_NEAR = 0.02  # above the PSNR asked for: near enough


@dataclass(frozen=True)
class Target:
    """What a file is to reach, one of four.

    bpp: at most so many bits of the whole file a pixel. size: at most so many bytes. psnr: at least
    so many dB in 8-bit RGB, in as few bytes as that takes. kbps: at most so many kbit of the whole
    file a second. Pictures have no kbps; sounds have neither bpp nor psnr.

    >>> Target(size=40_000)
    Target(bpp=None, size=40000, psnr=None, kbps=None)
    """

    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None
    kbps: float | None = None

    def __post_init__(self) -> None:
        """Raise HqcodecError unless exactly one is given, above zero and finite."""
        given = [(k, v) for k, v in vars(self).items() if v is not None]
        if len(given) != 1:
            found = ", ".join(name for name, _ in given) or "none"
            raise HqcodecError(f"a target is one of bpp, size, psnr and kbps; given: {found}")
        name, value = given[0]
        if not 0 < value < math.inf:
            raise HqcodecError(f"target {name} {value}; it must be above 0 and finite")

    def goal(self, pixels: int) -> "Goal":
        """What the search is to find for a picture of so many pixels, in bytes or dB."""
        if self.psnr is not None:
            return Goal(self.psnr, self.psnr + DB_NEAR, at_most=False)
        most = self.size if self.bpp is None else self.bpp * pixels / 8
        assert most is not None
        return Goal(most * BYTES_NEAR, most, at_most=True)

    def bytes_of(self, seconds: float) -> float:
        """The most that a sound's file may take, in bytes."""
        most = self.size if self.kbps is None else self.kbps * 125 * seconds
        assert most is not None
        return most

    def missed(self, low: float, high: float, pixels: int, model: str) -> HqcodecError:
        """The error for a picture whose bytes, or dB, range from `low` to `high`."""
        if self.psnr is not None:
            wanted, span = f"{self.psnr:g} dB", f"reaches {low:.2f} to {high:.2f} dB"
        elif self.size is not None:
            wanted, span = f"{self.size} bytes", f"takes {low:.0f} to {high:.0f} bytes"
        else:
            least, most = math.ceil(8e4 * low / pixels) / 1e4, 8 * high / pixels
            wanted, span = f"{self.bpp:g} bpp", f"takes {least:g} to {most:.3g} bpp"
        return HqcodecError(f"target {wanted}: this picture {span} with model {model}")


@dataclass(frozen=True)
class Goal:
    """Measures from `low` to `high` are near enough; outside of them only one side is allowed."""

    low: float
    high: float
    at_most: bool  # else: at least

    def near(self, value: float) -> bool:
        """Whether there is nothing left to search for."""
        return self.low <= value <= self.high

    def best(self, tried: dict[Thrifts, float]) -> Thrifts | None:
        """The nearest on the side that is allowed."""
        if self.at_most:
            allowed = {thrifts: -value for thrifts, value in tried.items() if value <= self.high}
        else:
            allowed = {thrifts: value for thrifts, value in tried.items() if value >= self.low}
        return min(allowed, key=lambda thrifts: allowed[thrifts], default=None)


def search(
    measure: Callable[[Thrifts], float], goal: Goal, layers: int, tunable: bool
) -> Thrifts | None:
    """The thrift of each layer of the file that comes nearest to the goal; None: out of reach.

    measure: bytes or dB of the file with these thrifts; rises with layers and falls with thrift.
    layers: how many the model has. tunable: whether thrift changes anything.
    """
    tried: dict[Thrifts, float] = {}

    def value(thrifts: Thrifts) -> float:
        if thrifts not in tried:
            tried[thrifts] = measure(thrifts)
        return tried[thrifts]

    count = 1
    while value(rung(count)) < goal.low and count < layers:
        count += 1
    top = value(rung(count))
    if tunable and not goal.near(top):
        fewer = count if top < goal.low else count - 1  # the last rung below the goal
        if fewer and value(lavish(fewer)) >= goal.low:
            approach(lambda t: value((*rung(fewer - 1), t)), goal, LAVISH, 1.0)
        elif fewer < count:
            base = value(rung(fewer)) if fewer else 0.0
            # to go a whole rung down takes about e times the thrift in all layers
            thrift = math.exp((top - (goal.low + goal.high) / 2) / (top - base))
            coarser = (math.sqrt(thrift),) * fewer
            approach(lambda t: value((*coarser, t)), goal, thrift, thrift)
    return goal.best(tried)


def rung(count: int) -> Thrifts:
    """So many layers as the model was trained to code them."""
    return (1.0,) * count


def lavish(count: int) -> Thrifts:
    """The most that so many layers can be made to take."""
    return (*rung(count - 1), LAVISH)


def ends(layers: int, tunable: bool) -> tuple[Thrifts, Thrifts]:
    """The smallest and the largest file of a model with so many layers."""
    return ((THRIFTIEST,), lavish(layers)) if tunable else (rung(1), rung(layers))


def approach(value: Callable[[float], float], goal: Goal, a: float, b: float) -> None:
    """Try thrifts, at first from `a` up to `b`, until `value`, which falls with them, is near."""
    while value(a) < goal.low and a > LAVISH:
        a, b = max(LAVISH, a / 1.5), a
    while value(b) > goal.high and b < THRIFTIEST:
        a, b = b, min(THRIFTIEST, b * 1.5)
    for _ in range(TRIALS):
        over, under = value(a), value(b)
        if goal.near(over) or goal.near(under) or not over > goal.high > goal.low > under:
            return
        share = (over - (goal.low + goal.high) / 2) / (over - under)  # of the way from a to b
        t = a * (b / a) ** min(0.9, max(0.1, share))
        a, b = (t, b) if value(t) > goal.high else (a, t)
