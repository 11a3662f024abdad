"""Growing convolutions: the same map in a wider network, and new channels that can learn."""

import torch

from hqcodec.models.exact import Conv
from hqcodec.models.widen import widen


def grow(old: Conv, fresh: Conv) -> None:
    state = old.state_dict()
    fresh.load_state_dict({k: widen(state[k], fresh.state_dict()[k]) for k in state})


def test_a_wider_network_computes_the_same_and_its_new_channels_learn() -> None:
    torch.manual_seed(0)
    narrow = torch.nn.Sequential(Conv(3, 4, 3), torch.nn.PixelShuffle(2), Conv(1, 2))
    wide = torch.nn.Sequential(Conv(3, 12, 3), torch.nn.PixelShuffle(2), Conv(3, 2))
    for old, fresh in zip(narrow, wide, strict=True):
        if isinstance(old, Conv) and isinstance(fresh, Conv):
            grow(old, fresh)
    x = torch.randn(2, 3, 5, 6)
    torch.testing.assert_close(wide(x), narrow(x))
    wide(x).square().sum().backward()
    gradient = wide[2].weight.grad
    assert gradient is not None and bool((gradient[:, 1:] != 0).all())


def test_what_does_not_fit_as_a_corner_stays_as_it_is() -> None:
    old = torch.randn(4, 3, 3, 3)
    for shape in ((4, 3, 3, 3), (3, 9, 3, 3), (8, 8, 1, 1), (8, 8)):
        assert widen(old, torch.randn(shape)) is old
    assert torch.equal(widen(torch.ones(2), torch.full((3,), 5.0)), torch.tensor([1.0, 1.0, 5.0]))
