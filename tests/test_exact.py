"""Exact arithmetic: no order of summation, no batching, no threads change a bit."""

import pytest
import torch
import torch.nn.functional as F

from hqcodec.models.base import TOTAL
from hqcodec.models.exact import (
    GRID,
    LIMIT,
    Conv,
    exact_copy,
    exponentials,
    odds_frequencies,
    snap,
    softmax_frequencies,
)


def on_grid(*shape: int) -> torch.Tensor:
    """Random activations on the grid."""
    return snap(torch.randn(*shape, dtype=torch.float64) * 20)


def test_exact_convolution_agrees_with_torch() -> None:
    for kernel in (1, 3):
        conv = Conv(5, 7, kernel)
        twin = exact_copy(conv)
        x = on_grid(2, 5, 6, 9)
        expected = F.conv2d(x, twin.weight, twin.bias, padding=kernel // 2)
        torch.testing.assert_close(twin(x), expected, rtol=0, atol=1e-9)


def test_sums_are_exact_whatever_their_order() -> None:
    conv = exact_copy(Conv(64, 4, 3))
    x = on_grid(1, 64, 5, 5)
    mirrored = exact_copy(conv)
    mirrored.weight.copy_(conv.weight.flip(1))  # the same sum, from the other end
    assert torch.equal(conv(x), mirrored(x.flip(1)))
    assert torch.equal(conv(x)[..., :3, :3], conv(x[..., :4, :4])[..., :3, :3])


def test_snap_only_touches_float64() -> None:
    x = torch.tensor([0.1, 1e6])
    assert snap(x) is x
    assert snap(x.double()).tolist() == [round(0.1 * GRID) / GRID, LIMIT]


def test_weights_that_could_leave_the_53_bits_are_refused() -> None:
    conv = Conv(64, 4, 3)
    torch.nn.init.constant_(conv.weight, 2.0**10)
    with pytest.raises(ValueError, match="too large"):
        exact_copy(conv)


def test_exponentials_are_whole_and_end_at_zero() -> None:
    table = exponentials()
    assert table[0] == 2**20 and table[-1] == 0 and torch.equal(table, table.round())
    torch.testing.assert_close(
        table[:300] / 2**20, torch.exp(-torch.arange(300.0).double() / 64), rtol=0, atol=2.0**-20
    )


def test_frequencies_are_whole_and_near_the_softmax() -> None:
    logits = snap(torch.randn(50, 32, dtype=torch.float64) * 3)
    f = softmax_frequencies(logits)
    assert torch.equal(f, f.round()) and bool((f >= 0).all())
    assert torch.equal(f.sum(1), torch.full((50,), TOTAL - 32.0, dtype=torch.float64))
    torch.testing.assert_close(f / TOTAL, logits.softmax(1), rtol=0.01, atol=1e-5)


def test_frequencies_of_odds_are_whole_near_the_sigmoid_and_never_leave_a_code_out() -> None:
    odds = torch.tensor([-99.0, -16.0, -3.3, -0.5, 0.0, 0.01, 2.0, 16.0, 99.0])
    f = odds_frequencies(odds)
    assert f.dtype == torch.float64 and torch.equal(f, f.round()) and f.min() >= 0
    assert bool((f.sum(1) == TOTAL - 2).all())
    p = (f + 1) / TOTAL
    expected = odds.clamp(-16, 16).double().mul(64).round().div(64).sigmoid()
    torch.testing.assert_close(p[:, 1], expected, rtol=0, atol=1e-7)
    assert float((p[0] - p[-1].flip(0)).abs().max()) <= 1 / TOTAL
