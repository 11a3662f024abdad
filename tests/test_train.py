"""The training loop: configs, batches, resuming, export."""

import gzip
import json
import struct
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hqcodec.cli.main import app
from hqcodec.errors import HqcodecError
from hqcodec.models import data, train, zoo
from hqcodec.models.checkpoint import State
from hqcodec.models.run import Run, TrainConfig, read_config
from photos import SMALL, pictures

SHORT = TrainConfig(
    steps=6, batch=3, crop=32, warmup=2, validate_every=3, checkpoint_every=2, average=0.9,
    bf16=False,
)  # fmt: skip
RUN = Run("photo", asdict(SMALL), SHORT, "A test", "small")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    for i, x in enumerate(pictures(6, 96)):
        pixels = x.mul(255).byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


def weights(out: Path) -> dict[str, torch.Tensor]:
    return zoo.load(out / "small.safetensors").state_dict()


def test_a_killed_run_continues_as_if_it_had_not_stopped(folder: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, folder, tmp_path / "whole"):
        pass
    for count, _ in enumerate(train.train(RUN, folder, tmp_path / "broken")):
        if count == 4:  # killed behind the checkpoint at step 4
            break
    with (tmp_path / "broken" / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')  # while it wrote a line
    for _ in train.train(RUN, folder, tmp_path / "broken"):
        pass
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "broken")]
    steps, again = ([json.loads(line) for line in log.splitlines()] for log in logs)
    for record in steps + again:
        record.pop("seconds")
    assert steps == again
    assert "held_out_psnr_1" in steps[-1]


def test_another_config_does_not_continue_a_run(folder: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, folder, tmp_path):
        pass
    other = replace(RUN, train=replace(SHORT, lr=1e-3))
    with pytest.raises(HqcodecError, match="another run"):
        next(train.train(other, folder, tmp_path))


def test_frozen_parts_stay_as_they_are(folder: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, folder, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    model = zoo.load(start)
    model.encoder.linear.bias[0] = -0.0  # type: ignore[union-attr, operator, index]
    zoo.save(model, Path(start), "small", "with a negative zero")
    frozen = ("encoder.", "codebooks.", "contexts.")
    again = replace(RUN, train=replace(SHORT, start=start, freeze=frozen, lr=0.01))
    for _ in train.train(again, folder, tmp_path / "second"):
        pass
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    for key in before:
        same = torch.equal(before[key].view(torch.int32), after[key].view(torch.int32))
        assert same == key.startswith(frozen), key


def test_a_start_that_fits_in_part_gives_what_fits(folder: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, folder, tmp_path):
        pass
    start = replace(SHORT, start=str(tmp_path / "small.safetensors"))
    pixels = data.load(folder)
    wider = replace(RUN, model=RUN.model | {"context": 20}, train=start)
    before, after = weights(tmp_path), train.make_state(wider, pixels, "cpu").model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if "contexts" not in k)
    bias = after["contexts.0.out.0.bias"].view(SMALL.scalars, SMALL.codebook)
    assert bool((bias.logsumexp(1).abs() < 1e-5).all())  # probabilities counted under the start
    frozen = replace(wider, train=replace(start, freeze=("contexts.",)))
    with pytest.raises(HqcodecError, match="other shapes"):
        train.make_state(frozen, pixels, "cpu")


def test_training_lowers_the_loss(folder: Path, tmp_path: Path) -> None:
    run = replace(RUN, train=replace(SHORT, steps=60, validate_every=30, average=0.0, lr=2e-3))
    found = [r["held_out_loss"] for r in train.train(run, folder, tmp_path) if "held_out_loss" in r]
    assert found[-1] < found[0]


def test_the_rate_warms_up_holds_and_falls_to_zero() -> None:
    config = TrainConfig(steps=100, warmup=10, hold=0.3)
    factors = [train.rate_factor(config, step) for step in (0, 9, 30, 65, 100)]
    assert factors == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.0])


def test_every_stage_has_a_rate_and_an_optimizer_state_of_its_own(folder: Path) -> None:
    config = TrainConfig(steps=300, stages=3, warmup=10, hold=0.3)
    alone = TrainConfig(steps=100, warmup=10, hold=0.3)
    for step in (0, 9, 30, 65, 99):
        expected = train.rate_factor(alone, step)
        factors = [train.rate_factor(config, stage * 100 + step) for stage in range(3)]
        assert factors == pytest.approx([expected] * 3)
    assert train.rate_factor(config, 300) == pytest.approx(0)
    run, pixels = replace(RUN, train=replace(SHORT, stages=2)), data.load(folder)
    state, ages = train.make_state(run, pixels, "cpu"), []
    for step in range(6):
        train.train_step(state, run, data.crops(pixels.train, 3, 32, 0, step, 1.0))
        ages.append(max(float(slot["step"]) for slot in state.optimizer.state.values()))
    assert ages == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("family = 'photo'\n[train]\nstepps = 3", "no key 'stepps'"),
        ("family = 'photo'\n[trian]\nsteps = 3", "a config has"),
        ("[train]\nsteps = 3", "a config has"),
        ("family = ", "not TOML"),
        ("family = 'photo'\nname = 'My Model'", "1 to 32"),
        ("family = 'photo'\n[train]\nsteps = 'many'", "must be int"),
        ("family = 'photo'\ndecoder = 'fidelity'", "is not fidelity"),
        ("family = 'photo'\ndecoder = 'a.b'", "1 to 32"),
    ],
)
def test_bad_configs_are_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(HqcodecError, match=says) as caught:
        read_config(tmp_path / "c.toml")
    assert "\n" not in str(caught.value)


def test_every_built_in_config_builds_its_model() -> None:
    configs = sorted(p.stem for p in (Path(train.__file__).parent / "configs").glob("*.toml"))
    assert "photo" in configs
    for name in configs:
        run = read_config(name)
        assert zoo.build(run.family, run.model).family == run.family
    assert read_config("photo-perceptual").file == "photo.perceptual.safetensors"
    assert read_config("photo").file == "photo.safetensors"


def test_the_command_trains_and_its_weights_compress(folder: Path, tmp_path: Path) -> None:
    model = "\n".join(f"{key} = {json.dumps(value)}" for key, value in asdict(SMALL).items())
    config = f"family = 'photo'\ndescription = 'A test'\n[model]\n{model}\n[train]\n"
    config += "steps = 3\nbatch = 3\ncrop = 32\nbf16 = false\n"
    (tmp_path / "tiny.toml").write_text(config)
    out = tmp_path / "out"
    args = ["train", tmp_path / "tiny.toml", "--data", folder, "--out", out]
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    assert "held-out" in (out / "tiny.md").read_text()
    args = ["compress", folder / "0.png", "-o", tmp_path / "0.hqc", "-m", out / "tiny.safetensors"]
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    assert "96x96" in result.output


def test_a_run_for_a_decoder_exports_it_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in train.train(RUN, folder, tmp_path / "first"):
        pass
    start = tmp_path / "first" / "small.safetensors"
    frozen = ("encoder.", "codebooks.", "contexts.")
    tune = replace(SHORT, start=str(start), freeze=frozen, lr=0.01, lpips=100.0)
    sharp = replace(RUN, train=tune, decoder="sharp", description="Sharp")
    monkeypatch.setattr(train, "load_lpips", lambda net, file: Distance())
    out = tmp_path / "second"
    for _ in train.train(sharp, folder, out):
        pass
    exported = out / "small.sharp.safetensors"
    assert {path.name for path in out.glob("small*")} == {"small.sharp.md", exported.name}
    before, after = (zoo.load(start, decoder=x).state_dict() for x in ("fidelity", exported))
    for key in before:
        assert torch.equal(before[key], after[key]) != key.startswith("decoder."), key
    card = exported.with_suffix(".md").read_text()
    assert card.startswith("# small.sharp\n\nSharp.") and "## What it was started from" in card
    assert zoo.read_metadata(start)["hash"] in card and "lpips" in card


def test_a_decoder_may_be_wider_than_that_of_its_model(folder: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, folder, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "codebooks.", "contexts.")
    wide = {**RUN.model, "decoder_widths": (10, 9, 12)}
    run = replace(RUN, model=wide, train=replace(SHORT, start=start, freeze=frozen), decoder="wide")
    narrow, wider = zoo.load(start), zoo.build(run.family, run.model)
    assert len(train.load_fitting(wider, run.train)) == len(wider.state_dict())
    y = torch.randn(1, narrow.config.dim, 3, 2)
    torch.testing.assert_close(wider.decoder(y), narrow.decoder(y))  # it starts as the same map
    for _ in train.train(run, folder, tmp_path / "second"):
        pass
    loaded = zoo.load(start, decoder=tmp_path / "second" / "small.wide.safetensors")
    assert loaded.config.decoder_widths == (10, 9, 12)
    assert loaded.hash == narrow.hash
    codes = narrow.encode(torch.rand(1, 3, 32, 32))
    assert not torch.equal(loaded.decode(codes), narrow.decode(codes))


def test_a_decoder_may_go_on_from_one_that_is_there(folder: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, folder, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "codebooks.", "contexts.")
    t = replace(SHORT, start=start, freeze=frozen, lr=0.01)
    for _ in train.train(replace(RUN, train=t, decoder="sharp"), folder, tmp_path / "second"):
        pass
    (tmp_path / "second" / "small.sharp.safetensors").rename(
        tmp_path / "first" / "small.sharp.safetensors"
    )
    made = zoo.build(RUN.family, RUN.model)
    train.load_fitting(made, replace(t, start_decoder="sharp"))
    sharp, own = zoo.load(start, decoder="sharp"), zoo.load(start)
    for key, value in made.state_dict().items():
        assert torch.equal(value, sharp.state_dict()[key]), key
    assert not torch.equal(made.decoder.linear.weight, own.decoder.linear.weight)  # type: ignore[union-attr, arg-type]
    with pytest.raises(HqcodecError, match="'dull' is neither"):
        train.load_fitting(made, replace(t, start_decoder="dull"))


def test_the_plateau_halves_the_rate_when_nothing_gets_better(folder: Path, tmp_path: Path) -> None:
    t = replace(
        SHORT, steps=12, validate_every=2, schedule="plateau", patience=2, warmup=0, lr=1e-12
    )  # nothing learned, so after the first validation none is better
    run = replace(RUN, train=replace(t, average=0.0))
    rates = [record["lr"] for record in train.train(run, folder, tmp_path / "whole")]
    assert rates == pytest.approx([1e-12] * 6 + [5e-13] * 4 + [2.5e-13] * 2)
    for count, _ in enumerate(train.train(run, folder, tmp_path / "broken")):
        if count == 6:
            break
    again = [record["lr"] for record in train.train(run, folder, tmp_path / "broken")]
    assert again == rates[6:]  # a checkpoint keeps the schedule's state


def test_a_prior_is_trained_alone_while_moving_averages_stand_still(
    folder: Path, tmp_path: Path
) -> None:
    shape = {"resolutions": (4,), "chain": (2,), "codebook": (8, 8), "dim": 4, "width": 8}
    model = {**shape, "blocks": 1, "quantizer": "ema"}
    run = Run("hq_vae", model, replace(SHORT, average=0.0), "A test", "small")
    for _ in train.train(run, folder, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "quantizers.", "decoder.")
    later = replace(
        run,
        model=model | {"context": 8},
        train=replace(run.train, start=start, freeze=frozen, steps=40, lr=0.01),
    )
    records = list(train.train(later, folder, tmp_path / "second"))
    assert records[-1]["bpp_2"] < records[0]["bpp_2"]
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(after[k], v) for k, v in before.items() if not k.startswith("prior."))


class Distance(torch.nn.Module):
    """In the place of LPIPS."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x - y).abs().mean((1, 2, 3))


def test_a_decoder_is_trained_alone_and_for_a_model(folder: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, folder, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "codebooks.", "contexts.")
    tune = replace(SHORT, start=start, freeze=frozen)
    other = {**RUN.model, "rate_weight": 0.2}
    for bad, says in [
        (replace(RUN, decoder="x"), "name it by --start"),
        (replace(RUN, decoder="x", train=replace(tune, freeze=frozen[:2])), "add 'contexts"),
        (replace(RUN, decoder="x", train=tune, model=other), "is not the config of"),
    ]:
        with pytest.raises(HqcodecError, match=says):
            next(train.train(bad, folder, tmp_path / "second"))


def test_a_frozen_weight_that_moves_ends_the_run_at_its_first_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in train.train(RUN, folder, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    again = replace(RUN, train=replace(SHORT, start=start, freeze=("encoder.",)))
    steps = train.train(again, folder, tmp_path / "second")
    step = train.train_step

    def meddle(state: State, run: Run, x: torch.Tensor) -> dict[str, float]:
        state.model.state_dict()["encoder.linear.bias"].mul_(1.01)
        return step(state, run, x)

    monkeypatch.setattr(train, "train_step", meddle)
    with pytest.raises(HqcodecError, match=r"encoder\.linear\.bias was frozen"):
        for _ in range(SHORT.checkpoint_every + 1):
            next(steps)


def test_batches_are_a_function_of_seed_and_step(folder: Path) -> None:
    found = data.load(folder)
    first = data.crops(found.train, 4, 40, 0, 7, 0.5)
    assert first.shape == (4, 3, 40, 40) and 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, data.crops(found.train, 4, 40, 0, 7, 0.5))
    assert not torch.equal(first, data.crops(found.train, 4, 40, 0, 8, 0.5))


def test_half_of_the_crops_are_mirrored_unless_told_otherwise() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None], (32, 32, 3))
    for flip, share in ((True, 0.5), (False, 0.0)):
        x = data.crops([ramp], 200, 32, 0, 0, 1.0, flip)
        mirrored = (x[:, 0, 0, 0] > x[:, 0, 0, -1]).float().mean()
        assert float(mirrored) == pytest.approx(share, abs=0.15 if flip else 0)


def test_held_out_pictures_are_not_trained_on(folder: Path) -> None:
    for share, kept in ((0.5, 3), (0.34, 2), (0.01, 1)):
        found = data.load(folder, held_out=share)
        assert (len(found.train), len(found.held_out)) == (6 - kept, kept)
        assert not {x.tobytes() for x in found.train} & {x.tobytes() for x in found.held_out}


def test_crops_larger_than_a_picture_are_filled_by_reflection(folder: Path) -> None:
    found = data.load(folder)
    assert data.crops(found.train, 2, 128, 0, 0, 1.0).shape == (2, 3, 128, 128)


def test_sheets_arrays_and_idx_files_hold_the_same_pictures(tmp_path: Path) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)
    rgb = np.repeat(tiles[..., None], 3, 3)
    sheet = rgb.reshape(2, 3, 8, 8, 3).swapaxes(1, 2).reshape(16, 24, 3)
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    np.save(tmp_path / "a.npy", rgb)
    np.savez(tmp_path / "a.npz", tiles)
    idx = b"\0\0\x08\x03" + struct.pack(">3I", *tiles.shape) + tiles.tobytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx))
    for name in ("sheet.png", "a.npy", "a.npz", "a.gz"):
        found = data.load(tmp_path / name, tile=8 if name == "sheet.png" else 0, held_out=0.5)
        everything = [*found.train, *found.held_out]
        assert len(everything) == 6
        assert {x.tobytes() for x in everything} == {x.tobytes() for x in rgb}


def test_what_cannot_be_trained_on_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    np.save(tmp_path / "floats.npy", np.zeros((3, 8, 8)))
    for name in ("empty", "missing", "bad.png", "floats.npy"):
        with pytest.raises(HqcodecError) as caught:
            data.load(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
