"""Exact arithmetic in float32: sums that cannot round, and a way out where float32 is not kept."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from hqcodec.models import narrow
from hqcodec.models.narrow import GRID, LIMIT, Conv, Linear, Narrow, bits_behind, fix, snap


class Net(Narrow):
    """One of each layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Conv(12, 24, 3, dilation=2)
        self.second = Linear(24, 40)
        self.scale = torch.nn.Parameter(torch.randn(40))

    @narrow.exactly
    def forward(self, x: Tensor, where: Tensor | slice = narrow.EVERYWHERE) -> Tensor:
        """[B,h,w,12] -> [n,40]."""
        return self.second(self.rectify(self.first(self.enter(x), where))) + self.scale


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_the_twin_follows_the_network_and_does_not_depend_on_the_order_of_sums(net: Net) -> None:
    x = torch.randn(2, 9, 7, 12) * 3
    exact = fix(net)(x)
    torch.testing.assert_close(exact, net(x), rtol=0.02, atol=0.1)
    shuffled = fix(net)
    order = torch.randperm(12)
    shuffled.first.weight.copy_(shuffled.first.weight[:, order])
    assert torch.equal(shuffled(x[..., order]), exact)


def test_sums_at_their_bound_are_still_whole(net: Net) -> None:
    twin = fix(net)
    for sign in (-1.0, 1.0):  # inputs that drive every sum of a row to its greatest
        row = LIMIT * sign * twin.second.weight.sign()
        wide = row.double() @ twin.second.weight.double().T + twin.second.bias.double()
        assert torch.equal(twin.second(row).double(), wide)


@pytest.mark.parametrize("size", [1e-4, 0.1, 3.0, 50.0])
def test_the_finest_grid_is_chosen_that_leaves_every_sum_its_24_bits(size: float) -> None:
    torch.manual_seed(2)
    weight, bias = torch.randn(8, 300) * size, torch.randn(8) * size
    bits = bits_behind(weight, bias)

    def worst(bits: int) -> float:
        step = 2.0**-bits
        rounded = (weight.double() / step).round().abs().sum(1) * (LIMIT * GRID)
        return float((rounded + (bias.double() / step * GRID).abs()).max())

    assert 0 <= bits <= narrow.FINEST and worst(bits) < 2**24
    assert bits == narrow.FINEST or worst(bits + 1) * 1.1 > 2**24


def test_weights_beyond_any_grid_are_refused(net: Net) -> None:
    with torch.no_grad():
        net.second.weight.mul_(1e7)
    with pytest.raises(ValueError, match="weights of second are too large"):
        fix(net)


def test_some_positions_give_the_rows_of_all(net: Net) -> None:
    x, where = torch.randn(3, 5, 6, 12), torch.tensor([0, 7, 29, 30, 59, 88, 89])
    for module in (net, fix(net)):
        found, expected = module(x, where), module(x)[where]
        torch.testing.assert_close(found, expected, rtol=0, atol=0 if module.fixed else 1e-5)


def test_large_pictures_are_summed_in_blocks(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    x, twin = torch.randn(2, 11, 6, 12), fix(net)
    whole = twin(x), twin(x, torch.arange(5, 130, 3))
    monkeypatch.setattr(narrow, "BLOCK", 7)
    assert torch.equal(twin(x), whole[0])
    assert torch.equal(twin(x, torch.arange(5, 130, 3)), whole[1])


def test_what_lowers_the_precision_of_products_changes_nothing(net: Net, precision: None) -> None:
    x, narrow_net = torch.randn(1, 30, 30, 12), fix(net)
    assert all(p.dtype == torch.float32 for p in narrow_net.parameters())
    before = narrow_net(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fix(net)(x), before)
    torch.set_float32_matmul_precision("medium")
    twin = fix(net)  # its products go through float64
    assert twin.first.weight.dtype == twin.second.weight.dtype == torch.float64
    assert torch.equal(twin(x), before)
    where = torch.arange(3, 800, 7)
    assert torch.equal(twin(x, where), before[where])


def test_snap_keeps_to_the_grid_and_the_limit() -> None:
    x = torch.tensor([0.01, 0.02, -1.99, 15.99, 99.0, -99.0])
    assert snap(x).tolist() == [0.0, 1 / 32, -2.0, 16.0, 16.0, -16.0]
