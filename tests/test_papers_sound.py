"""RSQ-VAE against RQ-VAE on spectrograms: what is read, trained, shown and said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks.papers import document, hq_vae_sound, hq_vae_sound_report, spectrograms
from hqcodec.benchmarks.papers.hq_vae_sound import SIZES, variants
from hqcodec.benchmarks.papers.spectrogram_pictures import pack, unpack
from hqcodec.benchmarks.papers.spectrogram_training import train
from hqcodec.benchmarks.results import SCHEMA, Result, read_result
from hqcodec.errors import HqcodecError

SMOKE = SIZES["smoke"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ with a sweep and noise, test/ with a tone, of other rates and numbers of channels."""
    made = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    t = np.arange(5 * 16_000) / 16_000
    sounds = {
        "train/sweep.wav": (0.5 * np.sin(300 * t * t), 16_000),
        "train/deeper/noise.flac": (0.1 * rng.standard_normal((3 * 24_000, 2)), 24_000),
        "test/tone.wav": (0.4 * np.sin(2 * np.pi * 500 * t), 16_000),
    }
    for name, (samples, rate) in sounds.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(made / name, samples, rate)
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> spectrograms.Spectrograms:
    return spectrograms.load(folder / "train", folder / "test")


def call(*args: str | Path) -> Any:
    app = hq_vae_sound.typer.Typer()
    app.command()(hq_vae_sound.hq_vae_sound)
    return CliRunner().invoke(app, [str(arg) for arg in args])


def result() -> Result:
    """Two seeds of every variant of `small`: RSQ-VAE has RMSE 0.2 and 0.3, all others 0.4."""
    records = []
    for variant in variants(SIZES["small"]):
        layers = len(variant.model["codebook"])
        rmse = 20.0 + 10 * variant.seed if variant.method == "RSQ-VAE" else 40.0
        keys = "group", "name", "method", "setting", "seed", "model", "train"
        rows = {f"variance_{n + 1}": [4.0, 2.0] for n in range(layers)}
        records.append(
            {key: getattr(variant, key) for key in keys}
            | {"rmse": rmse, "prefix_rmse": [60.0] * (layers - 1) + [rmse]}
            | {"perplexity": [5.25] * layers, "bits": 5160.0 * layers, "seconds": 90.0}
            | {"curves": {"step": [1.0, 2.0], **rows}}
        )
    return {
        "schema": SCHEMA,
        "size": "small",
        "train_sounds": 75,
        "test_sounds": 17,
        "scale": {"mean": -5.0, "deviation": 3.0},
        "machine": {"torch_threads": 1, "platform": "linux x86_64"},
        "failures": [{"name": "odd-seed0", "error": "the loss is nan at step 3"}],
        "records": records,
        "spectrograms": pack(torch.rand(3, 2, 80, 20)),
        "shown": ["deeper/bark", "rain"],
        "reconstructed": [["RSQ-VAE", "L = 4, K = 8"], ["RQ-VAE", "L = 4, K = 8"]],
    }


def test_sounds_of_any_rate_and_channels_are_standardised_together(
    found: spectrograms.Spectrograms,
) -> None:
    # 3 seconds are padded to 4, 5 seconds stay: 4 * 22050 / 256 and 5 * 22050 / 256 frames
    assert [x.shape for x in found.train] == [(80, 344), (80, 430)]
    assert found.test.shape == (1, 1, 80, 344) and found.names == ["tone"]
    joined = torch.cat(found.train, 1)
    assert float(joined.mean()) == pytest.approx(0, abs=1e-4)
    assert float(joined.std()) == pytest.approx(1, abs=1e-4)
    mel_of_500_hz = 500 / (200 / 3)
    highest = 15 + 27 * np.log(11.025) / np.log(6.4)
    loudest = int(found.test[0, 0].mean(1).argmax())
    assert loudest == pytest.approx(mel_of_500_hz / highest * 81 - 1, abs=1)


def test_a_folder_without_sounds_or_with_a_broken_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HqcodecError, match="no sound files"):
        spectrograms.read(tmp_path)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(HqcodecError, match=r"broken\.wav: not a sound"):
        spectrograms.read(tmp_path)


def test_test_sounds_must_not_be_trained_on(folder: Path) -> None:
    for data, test in (("train", "train"), ("train", "train/deeper"), (".", "test")):
        with pytest.raises(HqcodecError, match="share files"):
            spectrograms.load(folder / data, folder / test)


def test_crops_follow_from_seed_and_step_and_come_from_the_spectrograms(
    found: spectrograms.Spectrograms,
) -> None:
    x = spectrograms.crops(found.train, 6, 16, 1, 2)
    assert x.shape == (6, 1, 80, 16)
    assert torch.equal(x, spectrograms.crops(found.train, 6, 16, 1, 2))
    assert not torch.equal(x, spectrograms.crops(found.train, 6, 16, 1, 3))
    windows = torch.cat([whole.unfold(1, 16, 1).movedim(1, 0) for whole in found.train])
    assert all((windows == crop[0]).flatten(1).all(1).any() for crop in x)
    with pytest.raises(HqcodecError, match="344 frames; crops have 345"):
        spectrograms.crops(found.train, 1, 345, 0, 0)


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_models_differ_in_method_layers_and_seed_alone(size: hq_vae_sound.Size) -> None:
    made = variants(size)
    assert len({v.run().name for v in made}) == len(made) == 6 * size.seeds
    assert len({str(sorted(v.train.items())) for v in made}) == 1
    apart = {"chain", "codebook", "quantizer", "reset", "temperature_decay", "soft"}
    assert len({str(sorted((v.model | dict.fromkeys(apart)).items())) for v in made}) == 1
    assert [v.seed for v in made] == sorted(v.seed for v in made)
    for v in made:
        assert v.model["codebook"] == [8] * v.model["chain"][0] and v.model["shared_codebook"]
        cools = v.model["temperature_decay"] * v.train["steps"] if v.name[:3] == "rsq" else None
        assert cools in (None, pytest.approx(size.cooling))
    if size is SIZES["full"]:
        assert size.cooling == pytest.approx(0.218)  # 21,800 steps, 1e-5 each


def test_a_killed_training_ends_as_an_unbroken_one(
    found: spectrograms.Spectrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = variants(replace(SMOKE, steps=4))[0].run()
    run = replace(run, train=replace(run.train, checkpoint_every=2))
    whole = train(run, found.train, tmp_path / "whole", print)
    drawn = spectrograms.crops

    def killed(*args: Any) -> torch.Tensor:
        if args[-1] == 3:
            raise KeyboardInterrupt
        return drawn(*args)

    module = "hqcodec.benchmarks.papers.spectrogram_training"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f"{module}.crops", killed)
        train(run, found.train, tmp_path / "killed", print)
    again = train(run, found.train, tmp_path / "killed", print)
    logged = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in logged] == [0, 1, 2, 3]
    assert all(torch.equal(x, again.state_dict()[k]) for k, x in whole.state_dict().items())


def test_a_folder_with_a_run_of_other_settings_is_refused(
    found: spectrograms.Spectrograms, tmp_path: Path
) -> None:
    first, second = variants(SMOKE)[:2]
    train(first.run(), found.train, tmp_path, print)
    with pytest.raises(HqcodecError, match="holds another run"):
        train(second.run(), found.train, tmp_path, print)


def test_the_command_trains_every_variant_and_writes_what_the_report_needs(
    folder: Path, tmp_path: Path
) -> None:
    paths = ["--data", folder / "train", "--test", folder / "test", "--runs", tmp_path]
    done = call(*paths, "--size", "smoke", "--out", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    written = read_result(tmp_path / "out.json")
    assert [len(r["perplexity"]) for r in written["records"]] == [4, 4, 4, 8, 8, 8]
    assert {r["steps"] for r in written["records"]} == {SMOKE.steps}
    assert written["shown"] == ["tone"] and len(written["reconstructed"]) == 4
    assert written["records"][0]["bits"] == 4 * 3 * 20 * 86
    hq_vae_sound_report.plot(written, tmp_path / "figure.png")
    assert "| L = 8, K = 8 | RQ-VAE with reset |" in hq_vae_sound_report.table(written)


def test_the_command_refuses_a_size_it_does_not_have(tmp_path: Path) -> None:
    error = call("--data", "x", "--test", "y", "--runs", tmp_path, "--size", "huge").exception
    assert isinstance(error, HqcodecError) and "smoke, small" in str(error)


def test_the_table_has_means_and_spread_of_the_seeds() -> None:
    text = hq_vae_sound_report.table(result())
    used = " / ".join(["5.2"] * 4)
    assert f"| L = 4, K = 8 | RSQ-VAE | 0.250 ± 0.071 | 0.75 ± 0.21 | {used} | 20,640 | 2 |" in text
    assert f"| L = 4, K = 8 | RQ-VAE | 0.400 ± 0.000 | 1.20 ± 0.00 | {used} | 20,640 | 2 |" in text
    assert "odd-seed0 has no figure: the loss is nan at step 3." in text
    assert "75 sounds" in text and "17 other sounds" in text and "18 minutes" in text


def test_the_figure_shows_curves_and_spectrograms(tmp_path: Path) -> None:
    hq_vae_sound_report.plot(result(), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as figure:
        assert min(figure.size) > 500


def test_a_comparison_that_was_stopped_early_has_a_table_and_a_figure(tmp_path: Path) -> None:
    early = result() | {"records": result()["records"][:1], "failures": []}
    early |= {"spectrograms": pack(torch.rand(2, 2, 80, 20)), "reconstructed": [["RSQ-VAE", "L"]]}
    assert "RQ-VAE |" not in hq_vae_sound_report.table(early)
    hq_vae_sound_report.plot(early, tmp_path / "figure.png")


def test_spectrograms_are_kept_with_low_bins_at_the_bottom() -> None:
    grey = torch.arange(24.0).view(2, 1, 4, 3) / 255
    kept = unpack(pack(grey), 2, 1)
    assert kept.shape == (2, 1, 4, 3)
    assert torch.equal(torch.from_numpy(kept.copy()).float(), grey.flip(2) * 255)


def test_the_document_has_a_block_for_it() -> None:
    assert document.REPORTS["hq_vae_sound"].table is hq_vae_sound_report.table
