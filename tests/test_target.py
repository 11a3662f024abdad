"""The search for a size or a quality, without a network."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hqcodec.errors import HqcodecError
from hqcodec.target import LAVISH, THRIFTIEST, Goal, Target, Thrifts, ends, search

LAYERS = 5


def size(thrifts: Thrifts) -> float:
    """Bytes as photographs have them: 100 for the header, layers that double, fewer if thrifty."""
    return 100 + sum(500 * 2**n * t**-0.6 for n, t in enumerate(thrifts))


SMALLEST, LARGEST = (size(end) for end in ends(LAYERS, True))


def below(most: float) -> Goal:
    return Target(size=round(most)).goal(1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(SMALLEST * 1.02, LARGEST * 1.5))
def test_a_size_within_reach_is_never_passed_and_missed_by_one_percent(most: float) -> None:
    asked: list[Thrifts] = []

    def measure(thrifts: Thrifts) -> float:
        asked.append(thrifts)
        return size(thrifts)

    found = search(measure, below(most), LAYERS, True)
    assert found is not None
    assert 0.99 * min(round(most), LARGEST) <= size(found) <= round(most)
    assert len(asked) == len(set(asked)) <= 20


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(10, 49))
def test_a_quality_within_reach_is_reached_and_hardly_passed(least: float) -> None:
    def quality(thrifts: Thrifts) -> float:
        return 14 * math.log10(size(thrifts))

    assert quality(ends(LAYERS, True)[0]) > 10
    found = search(quality, Target(psnr=least).goal(1), LAYERS, True)
    lowest, highest = (quality(end) for end in ends(LAYERS, True))
    if least > highest:
        assert found is None
    else:
        assert found is not None
        assert least <= quality(found) <= max(least, lowest) + 0.05


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(1, 2 * LARGEST), st.integers(1, 3000))
def test_a_size_that_moves_in_jumps_is_never_passed(most: float, jump: int) -> None:
    found = search(lambda t: size(t) // jump * jump, below(most), LAYERS, True)
    if found is not None:
        assert size(found) // jump * jump <= round(most)
    else:
        assert size((THRIFTIEST,)) // jump * jump > round(most)


def test_without_thrift_the_layers_alone_are_searched() -> None:
    sizes = [size((1.0,) * count) for count in range(1, LAYERS + 1)]
    for count, exact in enumerate(sizes, 1):
        assert search(size, below(exact + 1), LAYERS, False) == (1.0,) * count
    assert search(size, below(sizes[0] - 1), LAYERS, False) is None
    assert search(size, below(2 * sizes[-1]), LAYERS, False) == (1.0,) * LAYERS
    assert search(size, Goal(sizes[2] - 1, sizes[2] - 1, False), LAYERS, False) == (1.0,) * 3


def test_from_a_rung_upwards_first_its_last_layer_spends_more() -> None:
    two = size((1.0, 1.0))
    found = search(size, below(1.05 * two), LAYERS, True)
    assert found is not None and found[0] == 1.0 and LAVISH < found[1] < 1.0


def test_shortly_below_a_rung_all_its_layers_save_and_the_coarser_ones_less() -> None:
    three = size((1.0, 1.0, 1.0))
    found = search(size, below(0.9 * three), LAYERS, True)
    assert found is not None and 1.0 < found[0] == found[1] < found[2]


@pytest.mark.parametrize(
    ("given_", "part"),
    [
        ({}, "given: none"),
        ({"bpp": 0.3, "psnr": 30.0}, "given: bpp, psnr"),
        ({"bpp": 0.0}, "target bpp 0.0; it must be above 0"),
        ({"size": -4}, "target size -4"),
        ({"psnr": math.nan}, "target psnr nan"),
        ({"psnr": math.inf}, "target psnr inf"),
    ],
)
def test_a_target_is_one_number_above_zero(given_: dict[str, float], part: str) -> None:
    with pytest.raises(HqcodecError, match=part):
        Target(**given_)  # type: ignore[arg-type]


def test_what_is_missed_is_one_line_with_the_range() -> None:
    for target, line in [
        (Target(bpp=0.01), "target 0.01 bpp: this picture takes 0.0358 to 1.62 bpp with model m"),
        (Target(size=7), "target 7 bytes: this picture takes 358 to 16200 bytes with model m"),
        (
            Target(psnr=900),
            "target 900 dB: this picture reaches 358.00 to 16200.00 dB with model m",
        ),
    ]:
        assert str(target.missed(358, 16200, 80000, "m")) == line
