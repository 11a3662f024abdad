"""The training loop: configs, rates, resuming, export."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hqcodec.cli.main import app
from hqcodec.errors import HqcodecError
from hqcodec.models import data, train, zoo
from hqcodec.models.checkpoint import load_checkpoint, save_checkpoint
from hqcodec.models.run import TrainConfig, read_config
from photos import SMALL
from short_runs import RUN, SHORT, weights


def test_a_killed_run_continues_as_if_it_had_not_stopped(photographs: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, photographs, tmp_path / "whole"):
        pass
    for count, _ in enumerate(train.train(RUN, photographs, tmp_path / "broken")):
        if count == 4:  # killed behind the checkpoint at step 4
            break
    with (tmp_path / "broken" / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')  # while it wrote a line
    for _ in train.train(RUN, photographs, tmp_path / "broken"):
        pass
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "broken")]
    steps, again = ([json.loads(line) for line in log.splitlines()] for log in logs)
    for record in steps + again:
        record.pop("seconds")
    assert steps == again
    assert "held_out_psnr_1" in steps[-1]


def test_another_config_does_not_continue_a_run(photographs: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, photographs, tmp_path):
        pass
    other = replace(RUN, train=replace(SHORT, lr=1e-3))
    with pytest.raises(HqcodecError, match="another run"):
        next(train.train(other, photographs, tmp_path))


def test_frozen_parts_stay_as_they_are(photographs: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, photographs, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    model = zoo.load(start)
    model.encoder.linear.bias[0] = -0.0  # type: ignore[union-attr, operator, index]
    zoo.save(model, Path(start), "small", "with a negative zero")
    frozen = ("encoder.", "codebooks.", "contexts.")
    again = replace(RUN, train=replace(SHORT, start=start, freeze=frozen, lr=0.01))
    for _ in train.train(again, photographs, tmp_path / "second"):
        pass
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    for key in before:
        same = torch.equal(before[key].view(torch.int32), after[key].view(torch.int32))
        assert same == key.startswith(frozen), key


def test_a_start_that_fits_in_part_gives_what_fits(photographs: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, photographs, tmp_path):
        pass
    start = replace(SHORT, start=str(tmp_path / "small.safetensors"))
    pixels = data.load(photographs)
    wider = replace(RUN, model=RUN.model | {"first_context": 20}, train=start)
    before, after = weights(tmp_path), train.make_state(wider, pixels, "cpu").model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if "contexts" not in k)
    # probabilities are counted anew: of codes that are not 0, and around a mean of which they are
    assert bool((after["contexts.0.some.bias"] != 0).all())
    which = after["contexts.0.which.bias"].view(-1, SMALL.codebook - 1)
    assert bool((which.mean(1).abs() < 1e-5).all()) and float(which.std(1).median()) > 0.1
    frozen = replace(wider, train=replace(start, freeze=("contexts.",)))
    with pytest.raises(HqcodecError, match="other shapes"):
        train.make_state(frozen, pixels, "cpu")


def test_training_lowers_the_loss(photographs: Path, tmp_path: Path) -> None:
    run = replace(RUN, train=replace(SHORT, steps=60, validate_every=30, average=0.0, lr=2e-3))
    found = [
        r["held_out_loss"] for r in train.train(run, photographs, tmp_path) if "held_out_loss" in r
    ]
    assert found[-1] < found[0]


def test_the_rate_warms_up_holds_and_falls_to_zero() -> None:
    config = TrainConfig(steps=100, warmup=10, hold=0.3)
    factors = [train.rate_factor(config, step) for step in (0, 9, 30, 65, 100)]
    assert factors == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.0])


def test_every_stage_has_a_rate_and_an_optimizer_state_of_its_own(photographs: Path) -> None:
    config = TrainConfig(steps=300, stages=3, warmup=10, hold=0.3)
    alone = TrainConfig(steps=100, warmup=10, hold=0.3)
    for step in (0, 9, 30, 65, 99):
        expected = train.rate_factor(alone, step)
        factors = [train.rate_factor(config, stage * 100 + step) for stage in range(3)]
        assert factors == pytest.approx([expected] * 3)
    assert train.rate_factor(config, 300) == pytest.approx(0)
    run, pixels = replace(RUN, train=replace(SHORT, stages=2)), data.load(photographs)
    state, ages = train.make_state(run, pixels, "cpu"), []
    for step in range(6):
        train.train_step(state, run, data.crops(pixels.train, 3, 32, 0, step, 1.0))
        ages.append(max(float(slot["step"]) for slot in state.optimizer.state.values()))
    assert ages == [1, 2, 3, 1, 2, 3]


def test_a_model_in_channels_last_is_kept_and_continues(photographs: Path, tmp_path: Path) -> None:
    pixels = data.load(photographs)
    first, second = (train.make_state(RUN, pixels, "cpu") for _ in range(2))
    first.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train.train_step(first, RUN, data.crops(pixels.train, 3, 32, 0, 0, 1.0))
    save_checkpoint(first, tmp_path / "kept")
    load_checkpoint(second, tmp_path / "kept")
    ours, theirs = (state.model.state_dict() for state in (first, second))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    slots = [state.optimizer.state_dict()["state"] for state in (first, second)]
    for index, kept in slots[0].items():
        assert all(torch.equal(kept[key], slots[1][index][key]) for key in kept)


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


def test_the_command_trains_and_its_weights_compress(photographs: Path, tmp_path: Path) -> None:
    model = "\n".join(f"{key} = {json.dumps(value)}" for key, value in asdict(SMALL).items())
    config = f"family = 'photo'\ndescription = 'A test'\n[model]\n{model}\n[train]\n"
    config += "steps = 3\nbatch = 3\ncrop = 32\nbf16 = false\n"
    (tmp_path / "tiny.toml").write_text(config)
    out = tmp_path / "out"
    args = ["train", tmp_path / "tiny.toml", "--data", photographs, "--out", out]
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    assert "held-out" in (out / "tiny.md").read_text()
    args = [
        "compress",
        photographs / "0.png",
        "-o",
        tmp_path / "0.hqc",
        "-m",
        out / "tiny.safetensors",
    ]
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    assert "96x96" in result.output


def test_the_plateau_halves_the_rate_when_nothing_gets_better(
    photographs: Path, tmp_path: Path
) -> None:
    t = replace(
        SHORT, steps=12, validate_every=2, schedule="plateau", patience=2, warmup=0, lr=1e-12
    )  # nothing learned, so after the first validation none is better
    run = replace(RUN, train=replace(t, average=0.0))
    rates = [record["lr"] for record in train.train(run, photographs, tmp_path / "whole")]
    assert rates == pytest.approx([1e-12] * 6 + [5e-13] * 4 + [2.5e-13] * 2)
    for count, _ in enumerate(train.train(run, photographs, tmp_path / "broken")):
        if count == 6:
            break
    again = [record["lr"] for record in train.train(run, photographs, tmp_path / "broken")]
    assert again == rates[6:]  # a checkpoint keeps the schedule's state
