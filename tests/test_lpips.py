"""LPIPS on random weights: what must hold of the metric and of the loss, whatever was trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hqcodec.errors import FormatError, HqcodecError, UnknownModelError
from hqcodec.models import lpips
from hqcodec.models.lpips import (
    BACKBONES,
    CHANNELS,
    SMALLEST,
    Lpips,
    find_weights,
    load_lpips,
    shift,
)

NETS = ("alex", "squeeze")


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights of this machine: neither the variable, nor torch.hub's cache, nor `lpips`."""
    monkeypatch.delenv(lpips.VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def write_npz(path: Path, net: str) -> Path:
    """Random weights in a file as the metric reads it."""
    torch.manual_seed(0)
    state = {name: value.numpy() for name, value in Lpips(net).state_dict().items()}
    np.savez(path, **state)
    return path


def metric(net: str) -> Lpips:
    torch.manual_seed(0)
    return Lpips(net)


@pytest.mark.parametrize("net", NETS)
def test_identical_pictures_have_distance_0(net: str) -> None:
    x = torch.rand(2, 3, 48, 40)
    assert metric(net)(x, x).tolist() == [0, 0]


@pytest.mark.parametrize("net", NETS)
def test_distance_is_one_number_a_pair_and_grows_with_the_noise(net: str) -> None:
    x = torch.rand(1, 3, 64, 64).expand(3, -1, -1, -1)
    noise = torch.randn(1, 3, 64, 64) * torch.tensor([0.01, 0.05, 0.3]).view(3, 1, 1, 1)
    found = metric(net)(x, x + noise)
    assert found.shape == (3,)
    assert 0 < found[0] < found[1] < found[2]


@pytest.mark.parametrize("net", NETS)
def test_gradient_is_finite_where_the_pictures_are_equal_and_where_features_vanish(
    net: str,
) -> None:
    for x in (torch.rand(1, 3, 40, 40), torch.zeros(1, 3, 40, 40)):
        x.requires_grad_()
        gradient = torch.autograd.grad(metric(net)(x, x.detach()).sum(), x)[0]
        assert gradient.isfinite().all()
    silent = metric(net)
    for parameter in silent.features.parameters():
        parameter.zero_()  # all features are 0, where a bare root has an infinite slope
    gradient = torch.autograd.grad(silent(x, x.detach() + 0.1).sum(), x)[0]
    assert gradient.isfinite().all()


def test_a_step_against_the_gradient_lowers_the_distance() -> None:
    d, y = metric("alex"), torch.rand(1, 3, 64, 64)
    x = (y + 0.2 * torch.randn_like(y)).requires_grad_()
    before = d(x, y).sum()
    slope = torch.autograd.grad(before, x)[0]
    assert slope.abs().max() > 0
    assert d(x - 0.05 * slope / slope.norm(), y).sum() < before


def test_the_metric_itself_has_nothing_to_train() -> None:
    assert not any(p.requires_grad for p in metric("alex").parameters())
    assert not metric("alex").training


@pytest.mark.parametrize("net", NETS)
def test_pictures_of_the_smallest_side_work_and_smaller_ones_are_refused(net: str) -> None:
    side = SMALLEST[net]
    x = torch.rand(1, 3, side, 64)
    assert metric(net)(x, 1 - x).isfinite().all()
    with pytest.raises(HqcodecError, match=f"needs {side}"):
        metric(net)(x[..., 1:, :], x[..., 1:, :])


@pytest.mark.parametrize("net", NETS)
def test_distance_is_the_weighted_gap_of_unit_features(net: str) -> None:
    """Against the definition, written out with the reference's epsilon outside the root."""
    d, x, y = metric(net), torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    heads = [torch.rand(channels) for channels in CHANNELS[net]]
    for i, head in enumerate(heads):
        d.get_buffer(f"lin{i}").copy_(head.view(1, -1, 1, 1))
    state = d.state_dict()

    def conv(h: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = (state[f"features.{name}.{part}"] for part in ("weight", "bias"))
        return torch.relu(torch.conv2d(h, weight, bias, stride, padding))

    def alex(h: Tensor) -> list[Tensor]:
        taps = [conv(h, "0", 4, 2)]
        taps.append(conv(torch.max_pool2d(taps[-1], 3, 2), "3", padding=2))
        taps.append(conv(torch.max_pool2d(taps[-1], 3, 2), "6", padding=1))
        taps.append(conv(taps[-1], "8", padding=1))
        return [*taps, conv(taps[-1], "10", padding=1)]

    def squeeze(h: Tensor) -> list[Tensor]:
        h = conv(h, "0", 2)
        taps = [h]
        for fire in (3, 4, 6, 7, 9, 10, 11, 12):
            if fire in (3, 6, 9):  # what is missing in between are these pools
                h = torch.max_pool2d(h, 3, 2, ceil_mode=True)
            thin = conv(h, f"{fire}.squeeze")
            wide = [conv(thin, f"{fire}.expand1x1"), conv(thin, f"{fire}.expand3x3", padding=1)]
            h = torch.cat(wide, 1)
            if fire in (4, 7, 9, 10, 11, 12):
                taps.append(h)
        return taps

    def unit(picture: Tensor) -> list[Tensor]:
        mean = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
        h = (2 * picture - 1 - mean) / torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
        return [f / (f.norm(dim=1, keepdim=True) + 1e-10) for f in NETWORK[net](h)]

    NETWORK = {"alex": alex, "squeeze": squeeze}
    gaps = [
        torch.einsum("c,bchw->bhw", head, (u - v).square()).mean().item()
        for head, u, v in zip(heads, unit(x), unit(y), strict=True)
    ]
    assert d(x, y).item() == pytest.approx(sum(gaps), rel=1e-3)


@pytest.mark.parametrize("net", NETS)
def test_weights_are_found_as_a_file_in_a_folder_and_through_the_variable(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_npz(tmp_path / f"lpips_{net}_v0.1.npz", net)
    assert find_weights(net, path) == find_weights(net, tmp_path) == path
    monkeypatch.setenv(lpips.VARIABLE, str(tmp_path))
    assert find_weights(net) == path
    x = torch.rand(1, 3, 40, 40)
    assert torch.equal(load_lpips(net)(x, 1 - x), metric(net)(x, 1 - x))


@pytest.mark.parametrize("net", NETS)
def test_backbone_of_torchvision_and_heads_of_lpips_are_found_in_the_cache(
    net: str, tmp_path: Path
) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    state = metric(net).state_dict()
    backbone = {name: value for name, value in state.items() if not name.startswith("lin")}
    torch.save(backbone | {"classifier.1.weight": torch.ones(1)}, cache / BACKBONES[net])
    with pytest.raises(UnknownModelError, match=rf"no LPIPS heads and {net}\.pth"):
        load_lpips(net)
    heads = {f"{n}.model.1.weight": v for n, v in state.items() if n.startswith("lin")}
    torch.save(heads, cache / f"{net}.pth")
    loaded = load_lpips(net).state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_missing_weights_are_one_line_that_says_where_and_what(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_weights("alex", tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "lpips_alex_v0.1.npz" in message
    assert "\n" not in message


def test_weights_of_the_other_backbone_and_damaged_files_are_format_errors(tmp_path: Path) -> None:
    other = write_npz(tmp_path / "lpips_squeeze_v0.1.npz", "squeeze")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(other.read_bytes()[:1000])
    text = tmp_path / "text.npz"
    text.write_text("no weights")
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, lin0=np.array([{}], dtype=object))
    for path in (other, cut, text, pickled):
        with pytest.raises(FormatError, match="does not hold") as caught:
            load_lpips("alex", path)
        assert "\n" not in str(caught.value)


def test_an_unknown_backbone_is_named_with_the_known_ones() -> None:
    with pytest.raises(HqcodecError, match="'vgg'; there are alex, squeeze"):
        load_lpips("vgg")


def test_shift_cuts_both_pictures_alike_at_random_and_leaves_enough_to_judge() -> None:
    x = torch.rand(2, 3, 40, 56)
    shapes = set()
    for _ in range(400):
        first, second = shift(x, x)
        assert torch.equal(first, second)
        height, width = first.shape[-2:]
        assert torch.equal(first, x[..., 40 - height :, 56 - width :])
        shapes.add((height, width))
    assert {height for height, _ in shapes} == set(range(32, 41))  # 32 pixels always stay
    assert {41, 56} <= {width for _, width in shapes} <= set(range(41, 57))
    small = torch.rand(1, 3, 8, 8)
    assert shift(small, small)[0].shape == small.shape
