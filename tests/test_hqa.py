"""HQA: a stack trained greedily, its stages, its prefixes, its files."""

import json
import math
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

import hqcodec
from hqcodec import container
from hqcodec.cli.main import app
from hqcodec.errors import CutFileWarning, HqcodecError
from hqcodec.models import train, zoo
from hqcodec.models.base import Layer
from hqcodec.models.hqa import HQA, HQAConfig
from hqcodec.models.run import Run, TrainConfig, read_config
from hqcodec.models.run_checks import check_stages
from stacks import SMALL, make

SHORT = TrainConfig(
    steps=12, stages=3, batch=3, crop=16, warmup=2, validate_every=6, checkpoint_every=1,
    bf16=False, optimizer="radam", lr=1e-2,
)  # fmt: skip


def pictures(n: int = 3) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (12, 16, 16), dtype=np.uint8))
    return path


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_step_trains_its_own_level_and_moves_nothing_else(level: int) -> None:
    model = make(dropout=(0.5, 0.5, 0.5)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.loss(pictures(), 4 * level + 1)["loss"].backward()  # type: ignore[no-untyped-call]
    own = f"encoder.{level}.", f"decoder.{level}.", f"quantizers.{level}."
    for name, p in model.named_parameters():
        assert (p.grad is not None) == name.startswith(own), name
    moved = {key for key, x in model.state_dict().items() if not torch.equal(x, before[key])}
    assert moved - {f"quantizers.{level}.uses"} == (
        {f"norms.{level}.{key}" for key in ("batches", "mean", "square")} if level else set()
    )


def test_lower_levels_give_what_the_codec_gives_whatever_their_dropout() -> None:
    model = make(dropout=(0.5, 0.5, 0.0)).train()
    torch.manual_seed(0)
    first = model._up(pictures(), 2, first=False)[1]
    expected = pictures()
    for level in range(3):
        expected = model.encoder[level].eval()(model.norms[level](expected))
    assert torch.allclose(first, expected, atol=0.1)  # but for statistics of one batch more
    assert model.train()._up(pictures(), 1, first=False)[1].requires_grad
    assert model.encoder[1].training and not model.encoder[0].training


def test_the_temperature_falls_linearly_within_every_level() -> None:
    model = make(level_steps=101)
    found = [model.temperature(step) for step in (0, 50, 100)]
    assert found == pytest.approx([0.66, 0.335, 0.01])


def test_codes_are_reset_every_20_steps_of_the_first_three_quarters() -> None:
    model = make(reset_every=20, level_steps=100)
    assert [step for step in range(100) if model._resets(step)] == [20, 40, 60]
    assert not any(make(reset_every=0)._resets(step) for step in range(4))


def test_a_dead_code_is_reset_in_training() -> None:
    model = make(reset_every=2, level_steps=20).train()
    model.quantizer(1).uses.copy_(torch.tensor([9999, 0, *[5000] * 5]))
    before = model.quantizer(1).codebook.detach().clone()
    model.loss(pictures(), 21)
    assert torch.equal(model.quantizer(1).codebook.detach(), before)
    model.loss(pictures(), 22)
    changed = (model.quantizer(1).codebook.detach() != before).any(2)[0]
    assert changed.tolist() == [False, True, False, False, False, False, False]


def test_layers_are_the_levels_from_the_top_and_their_codes_of_z_e_not_quantized() -> None:
    model, x = make(), pictures()
    assert model.layers == (Layer(8, 1, 8), Layer(4, 1, 7), Layer(2, 1, 6))
    codes = model.encode(x)
    assert [tuple(layer.shape) for layer in codes] == [(3, 1, 2, 2), (3, 1, 4, 4), (3, 1, 8, 8)]
    z = x
    for level in range(3):
        z = model.encoder[level](model.norms[level](z))
        assert torch.equal(codes[2 - level], model.quantizer(level).encode(z))


def test_a_prefix_decodes_from_its_finest_codes_down_the_stack() -> None:
    model = make()
    codes = model.encode(pictures())
    for kept in (1, 2, 3):
        current = codes[kept - 1]
        for level in range(3 - kept, -1, -1):
            y = model.decoder[level](model.quantizer(level).decode(current))
            if level:
                deviation = (model.norms[level].square - model.norms[level].mean ** 2).sqrt()
                y = y * deviation[:, None, None] + model.norms[level].mean[:, None, None]
                current = model.quantizer(level - 1).encode(y)
        assert torch.allclose(model.decode(codes[:kept]), y, atol=1e-6)
    with pytest.raises(HqcodecError, match="want 1 to 3"):
        model.decode([])


def test_finer_codes_take_the_place_of_what_coarser_ones_predict() -> None:
    model = make()
    codes, others = model.encode(pictures()), model.encode(1 - pictures())
    assert torch.equal(model.decode(codes), model.decode([*others[:2], codes[2]]))


def test_natural_nats_are_those_of_the_prediction_from_the_level_above() -> None:
    model = make()
    codes = model.encode(pictures(1))
    nats = [4 * math.log(8), 0.0, 0.0]
    for layer in (1, 2):
        level = 2 - layer
        z = model.predict(level + 1, codes[layer - 1]).detach()[0].movedim(0, -1).flatten(0, 1)
        book = model.quantizer(level).codebook.detach()[0].tolist()
        for vector, code in zip(z.tolist(), codes[layer].flatten().tolist(), strict=True):
            weights = [math.exp(-0.5 * math.dist(vector, entry) ** 2) for entry in book]
            nats[layer] -= math.log(weights[code] / math.fsum(weights))
    assert model.natural_nats(codes).tolist() == pytest.approx(nats, rel=1e-4)
    twice = [torch.cat([layer, layer]) for layer in codes]
    assert model.natural_nats(twice).tolist() == pytest.approx(nats, rel=1e-4)  # a picture's


def test_the_learned_prior_is_trained_last_and_alone() -> None:
    model = make(context=4).train()
    assert (model.stages, model.stage_steps) == (4, 4)
    terms = model.loss(pictures(), 12)
    terms["loss"].backward()  # type: ignore[no-untyped-call]
    trained = {key for key, p in model.named_parameters() if p.grad is not None}
    assert trained == {f"prior.{key}" for key, _ in model.prior.named_parameters()}
    codes = model.encode(pictures())
    expected = float(model.prior.nats(codes).sum().detach()) / (3 * 16 * 16)
    assert float(terms["loss"].detach()) == pytest.approx(expected)


@torch.no_grad()
def test_a_validation_is_of_the_level_that_was_trained_last() -> None:
    model, x = make(), pictures()
    levels = [float(model.loss(x, step)["level"]) for step in (0, 1, 4, 5, 8, 12)]
    assert levels == [1, 1, 1, 2, 2, 3]
    codes = model.encode(x)
    for step, kept in ((4, 3), (8, 2), (12, 1)):
        error = (model.decode(codes[:kept]) - x).square().mean()
        assert float(model.loss(x, step)["psnr"]) == pytest.approx(float(-10 * error.log10()))
    levels = [float(model.train().loss(x, step)["level"]) for step in (0, 3, 4, 8, 11)]
    assert levels == [1, 1, 2, 3, 3]


def test_a_few_steps_lower_the_loss_of_every_level() -> None:
    model = make(level_steps=80, dim=16).train()
    x = pictures(8)[:, :, :4, :4].repeat_interleave(4, 2).repeat_interleave(4, 3)
    for level in range(3):
        optimizer, found = torch.optim.Adam(model.parameters(), 1e-2), []
        for step in range(80):
            terms = model.loss(x, 80 * level + step)
            optimizer.zero_grad()
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            found.append(float(terms["distortion"].detach()))
        assert math.fsum(found[-10:]) / 10 < 0.7 * found[0]


@pytest.mark.parametrize("killed", [3, 4, 5, 9])
def test_a_run_killed_at_or_near_a_change_of_level_continues_exactly(
    source: Path, tmp_path: Path, killed: int
) -> None:
    model = {**asdict(SMALL), "reset_every": 2, "dropout": (0.0, 0.3, 0.3)}
    run = Run("hqa", model, SHORT, "A test", "small")
    for _ in train.train(run, source, tmp_path / "whole"):
        pass
    for count, _ in enumerate(train.train(run, source, tmp_path / "broken"), 1):
        if count == killed:
            break
    for _ in train.train(run, source, tmp_path / "broken"):
        pass
    whole, broken = (
        zoo.load(tmp_path / name / "small.safetensors").state_dict() for name in ("whole", "broken")
    )
    assert all(torch.equal(whole[key], broken[key]) for key in whole)


def test_steps_that_are_not_those_of_the_levels_are_one_clear_line(
    source: Path, tmp_path: Path
) -> None:
    for wrong, says in [
        ({"steps": 8, "stages": 2}, "the model takes 12 in 3"),
        ({"steps": 12, "stages": 1}, "the model takes 12 in 3"),
        ({"steps": 13, "stages": 3}, "want as many in each"),
        ({"stages": 0}, "want as many in each"),
    ]:
        run = Run("hqa", asdict(SMALL), replace(SHORT, **wrong))  # type: ignore[arg-type]
        with pytest.raises(HqcodecError, match=says):
            next(train.train(run, source, tmp_path))


@pytest.mark.parametrize("context", [0, 4])
def test_a_file_compresses_is_cut_and_decompresses(tmp_path: Path, context: int) -> None:
    zoo.save(make(context=context), tmp_path / "m.safetensors", "m", "a test")
    model = zoo.load(tmp_path / "m.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    blob = hqcodec.compress(Image.fromarray(pixels), model)
    (tmp_path / "x.hqc").write_bytes(blob)
    result = CliRunner().invoke(app, ["info", str(tmp_path / "x.hqc")])
    assert result.exit_code == 0 and "30x21" in result.output
    whole = container.read(blob)
    assert len(whole.payloads) == 3
    x = torch.from_numpy(pixels).movedim(-1, 0)[None] / 255
    codes = model.encode(x)
    sizes = []
    for kept in (1, 2, 3):
        expected = model.decode(codes[:kept], (21, 30))[0].mul(255).round().byte()
        cut = container.write(container.truncate(whole, kept))
        sizes.append(len(cut))
        picture = np.asarray(hqcodec.decompress(cut, model))
        assert np.array_equal(picture, expected.movedim(0, -1).numpy())
    assert sizes[0] < sizes[1] < sizes[2] == len(blob)
    with pytest.warns(CutFileWarning):
        hqcodec.decompress(blob[:-1], model)


def test_the_counters_of_training_do_not_change_the_hash(tmp_path: Path) -> None:
    model = make()
    first = zoo.save(model, tmp_path / "a.safetensors", "m", "a test")["hash"]
    model.quantizer(1).uses += 3
    assert zoo.save(model, tmp_path / "b.safetensors", "m", "a test")["hash"] == first
    model.norms[1].get_buffer("mean")[0] += 1
    assert zoo.save(model, tmp_path / "c.safetensors", "m", "a test")["hash"] != first


def test_every_config_file_of_the_family_names_every_field_and_fits_its_steps() -> None:
    files = [p for p in (resources.files("hqcodec.models") / "configs").iterdir()]
    names = {p.name.removesuffix(".toml") for p in files if 'family = "hqa"' in p.read_text()}
    assert names == {"hqa", "hqa-cifar10"}
    for name in names:
        run = read_config(name)
        assert run.model.keys() == asdict(HQAConfig()).keys()
        model = zoo.build(run.family, run.model)
        assert isinstance(model, HQA) and run.train.crop == 32
        check_stages(run.train, model)
        assert zoo.from_dict(HQAConfig, json.loads(json.dumps(asdict(model.config)))) == (
            model.config
        )


def test_the_mnist_stack_has_the_rates_of_the_paper() -> None:
    run = read_config("hqa")
    model = zoo.build(run.family, run.model)
    shapes = [model.code_shape(layer, (32, 32)) for layer in range(5)]
    bits = [
        math.prod(shape) * math.log2(layer.codebook)
        for shape, layer in zip(shapes, model.layers, strict=True)
    ]
    assert bits == [8, 32, 128, 512, 2048]


@pytest.mark.parametrize(
    "wrong",
    [
        {"codebook": ()},
        {"codebook": (6, 7, 1)},
        {"encoder_width": (8, 8)},
        {"decoder_width": (8, 8, 0)},
        {"dropout": (0.0, 0.0, 1.0)},
        {"encoder_layers": 1},
        {"decoder_layers": 2},
        {"temperature": 0.001},
        {"level_steps": 0},
        {"reset_every": -1},
    ],
)
def test_a_stack_that_does_not_fit_together_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(HqcodecError):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_dilated_convolutions_keep_the_sizes() -> None:
    model = make(decoder_layers=6, encoder_layers=4, dilated=True)
    assert [m.dilation[0] for m in model.decoder[1] if isinstance(m, torch.nn.Conv2d)] == [
        1, 2, 4, 8, 1, 1,
    ]  # fmt: skip
    assert model.decode(model.encode(pictures())[:1]).shape == (3, 3, 16, 16)
