"""HQA against VQ-VAE: what is trained, what its files take, and what the document says of it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks.papers import document, hqa, hqa_report
from hqcodec.benchmarks.papers.rates import rates
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from stacks import make


def app() -> hqa.typer.Typer:
    made = hqa.typer.Typer()
    made.command()(hqa.hqa)
    return made


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What the script writes at its smallest size."""
    folder = tmp_path_factory.mktemp("digits")
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        np.save(folder / f"{name}.npy", rng.integers(0, 256, (14, 28, 28), dtype=np.uint8))
    args = ["--data", folder / "train.npy", "--test", folder / "test.npy", "--runs", folder]
    args += ["--size", "smoke", "--out", folder / "hqa.json"]
    done = CliRunner().invoke(app(), [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return read_result(folder / "hqa.json")


@pytest.mark.parametrize("name", hqa.SIZES)
def test_the_stack_and_the_vq_vaes_have_equal_bits_steps_and_settings(name: str) -> None:
    stack, *others = hqa.firsts(hqa.SIZES[name])
    models = [zoo.build(v.family, v.model) for v in (stack, *others)]
    for baseline in (models[1::2], models[2::2]):  # without resetting, with it
        assert models[0].layers == tuple(model.layers[0] for model in baseline)
    assert [v.model["reset"] for v in others] == [False, True] * 5
    differs = {"steps", "stages"}
    for other in others:
        assert stack.train["steps"] == stack.train["stages"] * other.train["steps"]
        keys = set(stack.train) - differs
        assert {key: stack.train[key] for key in keys} == {key: other.train[key] for key in keys}


def test_every_rate_has_all_methods_in_the_json_and_in_the_table(result: Result) -> None:
    assert [r["method"] for r in result["records"]] == ["HQA", *["VQ-VAE", "VQ-VAE with reset"] * 5]
    found = hqa_report.by_rate(result)
    assert list(found) == [2048, 512, 128, 32, 8]
    assert all(set(methods) == set(hqa.METHODS) for methods in found.values())
    text = hqa_report.table(result)
    assert sum(line.startswith("| 2,048 |") for line in text.splitlines()) == 1
    assert "14 test pictures" in text and "Size `smoke`: 2 steps of 4 pictures" in text


def test_the_figure_has_a_row_of_pictures_for_every_rate_and_method(
    result: Result, tmp_path: Path
) -> None:
    assert len(result["reconstructed"]) == 15
    hqa_report.plot(result, tmp_path / "hqa.png")
    with Image.open(tmp_path / "hqa.png") as figure:
        assert min(figure.size) > 500


def test_what_a_layer_takes_is_what_its_tables_say_and_little_more() -> None:
    model, x = make(), torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    x = x.mul(255).round() / 255
    model.calibrate(torch.rand(4, 3, 16, 16))
    found = rates(model, x)
    for n, layer in enumerate(model.encode(x)):
        counts = model.prior.static.counts(n)[0] if model.prior.static else torch.ones(0)
        bits = -(counts[layer] / counts.sum()).log2().sum() / len(x)
        assert found["coded_bits"][n] == pytest.approx(float(bits), rel=1e-4)
        assert 0 <= found["payload_bits"][n] - found["coded_bits"][n] < 64
    nats = (model.natural_nats(model.encode(x)) / math.log(2)).tolist()
    assert found["natural_bits"] == pytest.approx(nats)
    assert found["file_bytes"] == sorted(found["file_bytes"])


def test_an_unknown_size_says_what_there_is(tmp_path: Path) -> None:
    args = ["--data", "x", "--test", "y", "--runs", str(tmp_path), "--size", "huge"]
    error = CliRunner().invoke(app(), args).exception
    assert isinstance(error, HqcodecError) and "smoke, small" in str(error)


def test_the_document_has_a_block_for_it() -> None:
    assert document.REPORTS["hqa"].table is hqa_report.table
