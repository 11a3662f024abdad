"""RRVQ-VAE's comparisons: what is trained, what is measured, and what the document says of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks.papers import document, rrvq_vae, rrvq_vae_report
from hqcodec.benchmarks.papers.rrvq_measure import bounds
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.rrvq_vae import RRVQVAE, RRVQConfig


def app() -> rrvq_vae.typer.Typer:
    made = rrvq_vae.typer.Typer()
    made.command()(rrvq_vae.rrvq_vae)
    return made


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What the script writes at its smallest size."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        np.save(folder / f"{name}.npy", rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8))
    args = ["--data", folder / "train.npy", "--test", folder / "test.npy", "--runs", folder]
    args += ["--size", "smoke", "--out", folder / "rrvq_vae.json"]
    done = CliRunner().invoke(app(), [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return read_result(folder / "rrvq_vae.json")


@pytest.mark.parametrize("name", rrvq_vae.SIZES)
def test_ablations_differ_in_what_is_ablated_alone(name: str) -> None:
    found = list(rrvq_vae.firsts(rrvq_vae.SIZES[name]))
    assert [v.method for v in found] == [
        rrvq_vae.FULL, "Embed-Cat, σ = 1", "Direct-Cat, σ learnt", "Direct-Cat, σ = 1",
        "rVQ-VAE", "RRVQ-VAE, L = 32",
    ]  # fmt: skip
    assert all(v.train == found[0].train for v in found)
    for v in found[1:4]:
        differ = {key for key in v.model if v.model[key] != found[0].model[key]}
        assert differ <= {"parameterisation", "sigma"} and differ
    configs = [zoo.from_dict(RRVQConfig, v.model) for v in found]
    deep = 8 if name == "smoke" else 32
    assert [len(c.codebook) for c in configs] == [5, 5, 5, 5, 1, deep]
    assert configs[4].sigma == "fixed" and configs[4].top == "uniform"


def test_every_model_has_its_bounds_and_rates(result: Result) -> None:
    assert len(result["records"]) == 6 and not result["failures"]
    for r in result["records"]:
        count = len(r["model"]["codebook"])
        assert len(r["kl_bits"]) == len(r["coded_bits"]) == count
        assert r["bpd"] == pytest.approx(r["bpd_given"] + sum(r["kl_bits"]) / 3072)
    text = rrvq_vae_report.table(result)
    assert f"| {result['records'][0]['bpd']:.3f} | 4.65 |" in text
    assert "2 steps of 4 pictures" in text and "4 test pictures" in text


def test_the_figure_has_rows_for_every_model(result: Result, tmp_path: Path) -> None:
    rrvq_vae_report.plot(result, tmp_path / "rrvq_vae.png")
    with Image.open(tmp_path / "rrvq_vae.png") as figure:
        assert min(figure.size) > 500


def test_a_model_that_is_missing_has_a_row_without_figures(result: Result) -> None:
    part = result | {"records": result["records"][:1]}
    text = rrvq_vae_report.table(part)
    assert "| rVQ-VAE | – | 4.77 | – |" in text


def test_importance_weighting_tightens_the_bound() -> None:
    torch.manual_seed(0)
    model = RRVQVAE(RRVQConfig((4, 2), (1, 1), (8, 8), dim=4, width=6, blocks=1, ladder_blocks=0))
    x = torch.rand(60, 3, 8, 8).mul(255).round() / 255
    found = bounds(model.eval(), x, 40)
    assert found["bpd_weighted"] < found["bpd_tested"]
    assert found["bpd"] == pytest.approx(found["bpd_tested"], rel=0.05)


def test_unknown_sizes_and_groups_say_what_there_is(tmp_path: Path) -> None:
    args = ["--data", "x", "--test", "y", "--runs", str(tmp_path)]
    error = CliRunner().invoke(app(), [*args, "--size", "huge"]).exception
    assert isinstance(error, HqcodecError) and "smoke, small" in str(error)
    error = CliRunner().invoke(app(), [*args, "--only", "width"]).exception
    assert isinstance(error, HqcodecError) and "ablation, depth" in str(error)


def test_the_document_has_a_block_for_it() -> None:
    assert document.REPORTS["rrvq_vae"].table is rrvq_vae_report.table
