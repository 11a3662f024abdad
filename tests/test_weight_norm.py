"""Weight-normalised convolutions and their data-dependent start."""

import pytest
import torch
import torch.nn.functional as F

from families import make, pictures
from hqcodec.models.weight_norm import BRANCH, Block, Conv, Up, start


@pytest.mark.parametrize("kind", [Conv, Up])
def test_the_length_of_a_direction_does_not_matter_and_the_gain_is_linear(
    kind: type[Conv] | type[Up],
) -> None:
    torch.manual_seed(0)
    layer, x = kind(3, 4), torch.randn(2, 3, 5, 6)
    before = layer(x)
    with torch.no_grad():
        layer.weight.mul_(torch.rand(()) + 3)
        assert torch.allclose(layer(x), before, atol=1e-5)
        assert layer.bias is not None
        layer.bias.zero_()
        plain = layer(x)
        layer.gain.mul_(2)
        assert torch.allclose(layer(x), 2 * plain, atol=1e-5)


def test_convolutions_begin_as_torchs_own_do() -> None:
    torch.manual_seed(0)
    same, grown, x = Conv(3, 4), Up(3, 4), torch.randn(2, 3, 5, 6)
    expected = F.conv2d(x, same.weight, same.bias, padding=1)
    assert torch.allclose(same(x), expected, atol=1e-5)
    expected = F.conv_transpose2d(x, grown.weight, grown.bias, stride=2, padding=1)
    assert torch.allclose(grown(x), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [-1, 0, 1])
def test_after_the_start_a_block_is_near_the_identity(scale: int) -> None:
    torch.manual_seed(0)
    block, x = Block(6, scale), 5 + 3 * torch.randn(16, 6, 8, 8)
    hooks = [part.register_forward_hook(start) for part in (block.first, block.second)]
    with torch.no_grad():
        block(x)
        for hook in hooks:
            hook.remove()
        y = block(x)
        same = F.avg_pool2d(x, 2) if scale < 0 else F.interpolate(x, scale_factor=2.0**scale)
        deviation, mean = torch.std_mean(y - same, (0, 2, 3), correction=0)
    assert deviation.tolist() == pytest.approx([BRANCH] * 6, rel=1e-3)
    assert mean.tolist() == pytest.approx([0.0] * 6, abs=1e-4)


def test_the_start_leaves_channels_alone_that_do_not_vary() -> None:
    layer, x = Conv(2, 3, 1), torch.ones(4, 2, 3, 3)
    before = layer(x)
    handle = layer.register_forward_hook(start)
    with torch.no_grad():
        layer(x)
    handle.remove()
    assert torch.equal(layer(x), before)


def test_weights_that_were_loaded_are_not_started_anew() -> None:
    model = make("RRVQ-VAE, five grids")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.initialize(pictures(4, (64, 64)), ("encoder.stem.weight",))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    model.initialize(pictures(4, (64, 64)))
    assert not torch.equal(before["encoder.stem.gain"], model.state_dict()["encoder.stem.gain"])
