"""Comparisons of the papers: what is trained, resumed and measured."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hierarchies import make
from hqcodec.benchmarks.papers import hq_vae, runner
from hqcodec.benchmarks.papers.measure import curves, load_test, measure, seconds
from hqcodec.benchmarks.papers.runner import Sources, Variant, compare
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.errors import HqcodecError

SMOKE = hq_vae.SIZES["smoke"]
FIRST = [v for v in hq_vae.variants(SMOKE) if v.name in ("rsq-2x32", "rq-2x32")]


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder train/ with a sheet of 4 x 5 tiles, and test.png with 2 x 3."""
    folder = tmp_path_factory.mktemp("sheets")
    rng = np.random.default_rng(0)
    (folder / "train").mkdir()
    for name, shape in {"train/a": (128, 160, 3), "test": (64, 96, 3)}.items():
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def sources(sheets: Path, tmp_path: Path) -> Sources:
    return Sources(sheets / "train", sheets / "test.png", tmp_path / "runs", 32)


def both(sources: Sources, target: Path, variants: list[Variant] = FIRST) -> tuple[Result, str]:
    shown: list[str] = []
    result = compare(variants, sources, {"paper": "p"}, target, ["residual"], shown.append)
    return result, "\n".join(shown)


def test_a_comparison_trains_every_variant_and_keeps_its_figures(
    sources: Sources, tmp_path: Path
) -> None:
    _, shown = both(sources, tmp_path / "out.json")
    result = read_result(tmp_path / "out.json")
    assert [record["method"] for record in result["records"]] == ["RSQ-VAE", "RQ-VAE"]
    assert result["test_pictures"] == 6 and result["failures"] == []
    for record in result["records"]:
        assert record["steps"] == SMOKE.steps and len(record["perplexity"]) == 2
        assert record["rmse"] == record["prefix_rmse"][-1] >= record["mean_rmse"]
        assert record["bits"] == 2 * 64 * 5
    assert "variance_1" in result["records"][0]["curves"]
    assert shown.count("RMSE x100") == 2


def test_what_is_finished_is_neither_trained_nor_measured_again(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = both(sources, tmp_path / "out.json")
    monkeypatch.setattr(runner, "train", None)
    monkeypatch.setattr(runner, "measure", None)
    after, _ = both(sources, tmp_path / "again.json")
    assert after["records"] == before["records"]


def test_groups_that_were_not_asked_for_are_reported_once_they_are_there(
    sources: Sources, tmp_path: Path
) -> None:
    both(sources, tmp_path / "out.json", FIRST[:1])
    result = compare(FIRST, sources, {}, tmp_path / "out.json", [], lambda _: None)
    assert [record["name"] for record in result["records"]] == ["rsq-2x32"]


def test_a_killed_training_continues(sources: Sources, tmp_path: Path) -> None:
    run = FIRST[0].run()
    for _, _ in zip(
        range(2), runner.train(run, sources.data, sources.runs / run.name), strict=False
    ):
        pass
    result, _ = both(sources, tmp_path / "out.json", FIRST[:1])
    assert result["records"][0]["steps"] == SMOKE.steps


def test_a_folder_with_a_run_of_other_settings_is_an_error(
    sources: Sources, tmp_path: Path
) -> None:
    both(sources, tmp_path / "out.json", FIRST[:1])
    other = replace(FIRST[0], train=FIRST[0].train | {"lr": 0.5})
    with pytest.raises(HqcodecError, match="holds another run"):
        both(sources, tmp_path / "out.json", [other])


def test_a_training_that_breaks_off_is_noted_and_the_next_begins(
    sources: Sources, tmp_path: Path
) -> None:
    broken = replace(FIRST[0], train=FIRST[0].train | {"lr": 1e30, "warmup": 0})
    result, _ = both(sources, tmp_path / "out.json", [broken, FIRST[1]])
    assert [failure["name"] for failure in result["failures"]] == ["rsq-2x32-seed0"]
    assert [record["name"] for record in result["records"]] == ["rq-2x32"]


def test_test_pictures_are_never_trained_on(sources: Sources, tmp_path: Path) -> None:
    inside = replace(sources, test=sources.data / "a.png")
    with pytest.raises(HqcodecError, match="give a --data without it"):
        both(inside, tmp_path / "out.json")


def test_small_test_pictures_are_mirrored_to_the_crop_and_large_ones_refused(
    tmp_path: Path,
) -> None:
    np.save(tmp_path / "digits.npy", np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28))
    x = load_test(tmp_path / "digits.npy", 0, 32)
    assert x.shape == (2, 3, 32, 32)
    assert torch.equal(x[..., 28:, :], x[..., 24:28, :].flip(2))
    with pytest.raises(HqcodecError, match="28x28; the models take 16x16"):
        load_test(tmp_path / "digits.npy", 0, 16)


@torch.no_grad()
def test_figures_are_what_their_definitions_say() -> None:
    model = make().eval()
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found, codes = measure(model, x), model.encode(x)
    mse = [(model.decode(codes[:n]) - x).square().mean((1, 2, 3)) for n in (1, 2, 3)]
    assert found["prefix_rmse"] == pytest.approx([100 * float(e.mean().sqrt()) for e in mse])
    assert found["mean_rmse"] == pytest.approx(100 * float(mse[-1].sqrt().mean()))
    assert found["psnr"] == pytest.approx(float(-10 * mse[-1].log10().mean()))
    assert found["bits"] == 2 * 3 * (2 * 8 * 8 + 16 * 16)
    assert all(1 <= used <= 8 for used in found["perplexity"])


def test_seconds_count_every_time_a_run_was_taken_up() -> None:
    assert seconds([{"seconds": s} for s in (1.0, 2.0, 0.5, 3.0)]) == 5.0


def test_curves_are_means_of_windows_that_cover_all_steps() -> None:
    records = [{"step": float(n), "psnr": 2.0 * n, "loss": 0.0} for n in range(100)]
    found = curves(records)
    assert set(found) == {"step", "psnr"} and len(found["step"]) == 40
    assert found["psnr"] == pytest.approx([2 * step for step in found["step"]])


@pytest.mark.parametrize("size", hq_vae.SIZES.values(), ids=list(hq_vae.SIZES))
def test_variants_of_a_group_differ_in_method_and_seed_alone(size: hq_vae.Size) -> None:
    found = hq_vae.variants(size)
    assert len({v.run().name for v in found}) == len(found)
    for v in found:
        end = v.model["temperature_decay"] * v.train["steps"]
        assert v.group == "temperature" or end == pytest.approx(1.25)
    same = [v for v in found if v.group != "long"]
    assert {str(sorted(v.train.items())) for v in same} == {str(sorted(found[0].train.items()))}
    longer = set() if size is hq_vae.SIZES["full"] else {"long"}
    assert {v.group for v in found} == {v.group for v in same} | longer
    assert {v.group for v in same} | {"long"} == set(hq_vae.GROUPS)


def test_the_first_seed_of_everything_comes_before_the_second() -> None:
    seeds = [v.seed for v in hq_vae.variants(hq_vae.SIZES["small"])]
    assert seeds == sorted(seeds) and math.prod(seeds) == 0 and max(seeds) == 1


def test_the_command_refuses_a_size_or_group_it_does_not_have(sheets: Path) -> None:
    app = hq_vae.typer.Typer()
    app.command()(hq_vae.hq_vae)
    paths = ["--data", str(sheets), "--test", str(sheets), "--runs", str(sheets / "runs")]
    for option, there in {"--size": "smoke, small", "--only": "residual, injected"}.items():
        ran = CliRunner().invoke(app, [*paths, option, "all"])
        assert isinstance(ran.exception, HqcodecError) and there in str(ran.exception)
