"""HR-VQVAE's comparisons: what is trained, what its searches find, and what the document says."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks.papers import hr_vqvae, hr_vqvae_report
from hqcodec.benchmarks.papers.search import last_perplexity, search
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.hr_vqvae import HRVQVAE


def app() -> hr_vqvae.typer.Typer:
    made = hr_vqvae.typer.Typer()
    made.command()(hr_vqvae.hr_vqvae)
    return made


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What the script writes at its smallest size, of the depths alone."""
    folder = tmp_path_factory.mktemp("sheets")
    rng = np.random.default_rng(0)
    (folder / "train").mkdir()
    for name, shape in {"train/a": (128, 160, 3), "test": (64, 96, 3)}.items():
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{name}.png")
    args = ["--data", folder / "train", "--test", folder / "test.png", "--runs", folder]
    args += ["--size", "smoke", "--only", "depth", "--out", folder / "hr_vqvae.json"]
    done = CliRunner().invoke(app(), [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return read_result(folder / "hr_vqvae.json")


def small() -> HRVQVAE:
    torch.manual_seed(0)
    shape = {"codebook": [4, 3, 2], "dim": 3, "width": 8, "blocks": 1}
    model = zoo.build("hr_vqvae", shape)
    assert isinstance(model, HRVQVAE)
    model.initialize(torch.rand(8, 3, 16, 16))
    return model.eval()


@pytest.mark.parametrize("name", hr_vqvae.SIZES)
def test_what_is_compared_has_equal_code_vectors_networks_and_steps(name: str) -> None:
    size = hr_vqvae.SIZES[name]
    found = hr_vqvae.variants(size)
    assert len({(v.name, v.seed) for v in found}) == len(found) == 25 * size.seeds
    for variant in found:
        assert variant.train == found[0].train
        same = "width", "dim", "blocks"
        assert [variant.model[k] for k in same] == [found[0].model[k] for k in same]
        model = zoo.build(variant.family, variant.model)
        last = model.layers[-1].codebook
        if isinstance(model, HRVQVAE):
            last = math.prod(model.config.codebook)
        assert last == (int(variant.setting.replace(",", "")) if variant.group == "growth" else 64)
        assert model.layers[-1].stride == 2


def test_light_commitments_weigh_together_what_vq_vaes_does() -> None:
    for variant in hr_vqvae.variants(hr_vqvae.SIZES["smoke"]):
        if variant.name.endswith("-light"):
            c = zoo.build(variant.family, variant.model).config
            assert c.commitment + len(c.codebook) * c.layer_commitment == pytest.approx(0.25)


def test_the_last_layers_use_is_that_of_its_paths() -> None:
    model, x = small(), torch.rand(3, 3, 16, 16)
    used, size = last_perplexity(model, x)
    rows = list(zip(*(layer.flatten().tolist() for layer in model.encode(x)), strict=True))
    shares = [rows.count(row) / len(rows) for row in set(rows)]
    assert size == 24
    assert used == pytest.approx(math.exp(-math.fsum(p * math.log(p) for p in shares)), rel=1e-4)
    single = zoo.build("hq_vae", {"codebook": [5, 7], "width": 8, "dim": 3, "blocks": 1})
    used, size = last_perplexity(single, x)
    assert size == 7 and 1 <= used <= 7


def test_the_searches_are_of_the_same_latents_and_the_exhaustive_one_is_never_worse() -> None:
    model, x = small(), torch.rand(4, 3, 16, 16)
    found = search(model, x)
    z = model.latent(x)
    linked = (z - model.codebooks.decode(model.encode(x))).square().mean() / z.var()
    assert found["linked_error"] == pytest.approx(linked.item(), rel=1e-4)
    assert 0 < found["exhaustive_error"] <= found["linked_error"]
    assert (found["linked_searched"], found["exhaustive_searched"]) == (9, 24)
    assert found["latents"] == 4 * 64
    assert found["linked_seconds"] > 0 and found["exhaustive_seconds"] > 0


def test_every_depth_has_its_error_use_and_search_in_the_json(result: Result) -> None:
    assert [len(r["model"]["codebook"]) for r in result["records"]] == [1, 2, 4, 5, 6]
    for record in result["records"]:
        assert record["mse"] == pytest.approx((record["rmse"] / 100) ** 2, rel=1e-4)
        assert record["codewords"] == 64 and 1 <= record["used"] <= 64
        assert record["search"]["exhaustive_searched"] == 64


def test_the_table_has_what_was_trained_and_leaves_the_rest_open(result: Result) -> None:
    text = hr_vqvae_report.table(result)
    mse = 1000 * result["records"][1]["mse"]
    assert f"| 2 (8, 8) | {mse:.2f} |" in text
    assert "| 3 (4, 4, 4) | – | – | – | – | – | – |" in text
    assert "| 8, 8 | 16 of 64 |" in text and "collapse" not in text


def test_growth_stands_beside_the_papers_figures(result: Result) -> None:
    records = [
        result["records"][0]
        | {"group": "growth", "method": v.method, "setting": v.setting, "seed": v.seed}
        | {"mse": (2 + v.seed) / 1000}
        for v in hr_vqvae.variants(hr_vqvae.SIZES["small"])
        if v.group == "growth"
    ]
    text = hr_vqvae_report.table({**result, "records": records})
    assert "| 4,096 | HR-VQVAE, β/4 | 2.50 ± 0.71 | – |" in text
    assert "| 512 | VQ-VAE | 2.50 ± 0.71 | 0.92 |" in text
    assert "| 64 | VQ-VAE-2 | 2.50 ± 0.71 | – |" in text
    assert text.index("| 64 | HR-VQVAE") < text.index("| 4,096 | HR-VQVAE")


def test_the_figure_is_drawn_from_whatever_there_is(result: Result, tmp_path: Path) -> None:
    hr_vqvae_report.plot(result, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as figure:
        assert min(figure.size) > 400


@pytest.mark.parametrize("wrong", [["--size", "huge"], ["--only", "breadth"]])
def test_an_unknown_size_or_group_says_what_there_is(wrong: list[str], tmp_path: Path) -> None:
    args = ["--data", "x", "--test", "y", "--runs", str(tmp_path), *wrong]
    error = CliRunner().invoke(app(), args).exception
    assert isinstance(error, HqcodecError) and "there are" in str(error)
