"""The grids of a hierarchy's layers: strides, and how many layers each has."""

from collections.abc import Sequence

from hqcodec.errors import HqcodecError


def check_grids(strides: Sequence[int], chain: Sequence[int]) -> None:
    """Raise HqcodecError unless strides fall in powers of two and each has one layer or more."""
    powers = all(s >= 2 and s & (s - 1) == 0 for s in strides)
    if not powers or list(strides) != sorted(set(strides), reverse=True) or not strides:
        raise HqcodecError(f"resolutions {strides}; want falling powers of two, 2 or more")
    if len(chain) != len(strides) or min(chain) < 1:
        raise HqcodecError(f"chain {chain}; want one number >= 1 for each of {strides}")
