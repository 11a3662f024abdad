"""Encoder effort: better files for the same decoder, and nothing left behind."""

import pytest
import torch
from PIL import Image
from torch import Tensor

import hqcodec
from hqcodec import image
from hqcodec.errors import HqcodecError
from hqcodec.limits import EFFORTS
from hqcodec.models import refine
from hqcodec.models.photo import Photo
from photos import SMALL, pictures, small_photo


@pytest.fixture(scope="module")
def model() -> Photo:
    return small_photo()


def lagrangian(model: Photo, x: Tensor, z: Tensor, layers: int) -> float:
    """J of refine.py with the exact decoder."""
    codes: list[Tensor] = []
    for _ in range(layers):
        codes.append(model.choose(z, codes))
    error = float((model.decode(codes, (x.shape[2], x.shape[3])) - x).square().sum())
    with torch.no_grad():
        return error / SMALL.rate_lambda(layers - 1) + model.quantized(z, layers)[1]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_more_effort_gives_a_lower_lagrangian(model: Photo, layers: int) -> None:
    x = pictures(1, 90)
    costs = [
        lagrangian(model, x, model.analyze(x, effort, layers), layers)
        for effort in range(1, EFFORTS + 1)
    ]
    assert costs[2] <= costs[1] < costs[0]


def test_the_start_is_kept_if_no_step_is_better(
    model: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refine, "PULL", -3.0)  # away from where it is better
    x = pictures(1, 64)
    assert torch.equal(model.analyze(x, 2), model.analyze(x))


def test_tiles_lower_the_lagrangian_too(model: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    x = pictures(1, 400)
    before = lagrangian(model, x, model.analyze(x), 3)
    whole = lagrangian(model, x, model.analyze(x, 2), 3)
    monkeypatch.setattr(refine, "TILE", 8)
    tiles = lagrangian(model, x, model.analyze(x, 2), 3)
    assert tiles < before and tiles != whole
    assert before - tiles == pytest.approx(before - whole, rel=0.1)


def test_refining_again_gives_the_same_bits(model: Photo) -> None:
    x = pictures(1, 64)
    assert torch.equal(model.analyze(x, 2), model.analyze(x, 2))


def test_pictures_of_a_batch_are_refined_one_by_one(model: Photo) -> None:
    x = pictures(2, 64)
    alone = torch.cat([model.analyze(picture[None], 2) for picture in x])
    torch.testing.assert_close(model.analyze(x, 2), alone, rtol=0, atol=1e-3)


def test_what_pads_the_picture_does_not_count(model: Photo) -> None:
    y = model.quantized(model.analyze(pictures(1, 33)), 1)[0]  # 3x3 positions
    error = refine.distortion(model, pictures(1, 16), y.requires_grad_())  # one is the picture
    (gradient,) = torch.autograd.grad(error, y)
    assert gradient[..., :1, :1].any()
    assert float(gradient[..., 0, 0].norm()) > 10 * float(gradient[..., 2, 2].norm())


def test_nothing_is_left_behind(model: Photo) -> None:
    x = pictures(1, 48)
    expected = model.encode(x)
    for p in model.parameters():
        p.grad = None
    for training in (True, False):
        model.train(training)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with torch.no_grad():
            assert not model.analyze(x, 2).requires_grad
            assert not torch.is_grad_enabled()
        assert model.training is training
        assert all(torch.equal(before[name], v) for name, v in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())
        assert not (training and model._exact)  # which the next step of training would belie
    assert all(torch.equal(a, b) for a, b in zip(model.encode(x), expected, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (17, 40)])
def test_files_of_every_effort_and_all_their_prefixes_decode(
    model: Photo, size: tuple[int, int]
) -> None:
    height, width = size
    rgb = pictures(1, 48)[0, :, :height, :width].mul(255).byte().movedim(0, -1).numpy()
    picture = image.from_pillow(Image.fromarray(rgb))
    for effort in range(1, EFFORTS + 1):
        blob = hqcodec.compress(picture, model, 3, effort=effort)
        for layers in (1, 2, 3):
            assert hqcodec.decompress(blob, model, layers).size == (width, height)


@pytest.mark.parametrize("effort", [0, EFFORTS + 1])
def test_a_bad_effort_is_one_line(model: Photo, effort: int) -> None:
    with pytest.raises(HqcodecError, match=rf"^effort {effort}; there are 1 to 3$"):
        hqcodec.compress(Image.new("RGB", (8, 8)), model, effort=effort)


def test_every_effort_has_its_steps() -> None:
    assert list(refine.STEPS) == list(range(1, EFFORTS + 1))
