"""The script that sets RRVQ-VAE's codes of small photographs beside JPEG at equal bits."""

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from families import make
from hqcodec.benchmarks.papers import rrvq_ratio
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.models import zoo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(5)
    for name in "ab":
        rough = Image.fromarray(rng.integers(256, size=(9, 12, 3), dtype=np.uint8))
        rough.resize((96, 72), Image.Resampling.BICUBIC).save(made / f"{name}.png")
    zoo.save(make("RRVQ-VAE, learned priors"), made / "tiny.safetensors", "tiny", "")
    return made


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    app = typer.Typer()
    app.command()(rrvq_ratio.rrvq_ratio)
    args = [folder, "--model", folder / "tiny.safetensors", "--out", folder / "out.json"]
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return read_result(folder / "out.json")


def test_jpeg_has_no_more_bits_than_it_is_allowed(result: Result) -> None:
    assert len(result["records"]) == len(result["whole"]) == 2
    for record in result["records"]:
        ours = record[rrvq_ratio.OURS]
        for name, budget in ((rrvq_ratio.RAW, ours["raw_bits"]), (rrvq_ratio.CODED, ours["bits"])):
            assert record[name]["bits"] <= budget or record[name]["over"]
        assert 8 * ours["file_bytes"] > ours["bits"]


def test_raw_bits_are_those_of_all_codes() -> None:
    # strides 8 and 2 with two and three layers, codebooks of 3 to 7
    expected = 64 * np.log2([3, 4]).sum() + 1024 * np.log2([5, 6, 7]).sum()
    found = rrvq_ratio.raw_bits(make("RRVQ-VAE, learned priors"), (64, 64))
    assert found == pytest.approx(expected)


def test_payloads_hold_little_more_than_the_cross_entropy(result: Result) -> None:
    for whole in result["whole"]:
        extra = whole["payload_bits"] - whole["coded_bits"]
        assert 0 < extra < 5 * 64 and whole["file_bytes"] * 8 > whole["payload_bits"]


def test_the_table_and_the_picture_show_all_three(result: Result, folder: Path) -> None:
    text = rrvq_ratio.table(result)
    for name in (rrvq_ratio.OURS, rrvq_ratio.RAW, rrvq_ratio.CODED):
        assert f"| {name} | " in text
    assert "Means over 2 photographs" in text
    rrvq_ratio.plot(result, folder / "out.png")
    with Image.open(folder / "out.png") as drawn:
        assert drawn.width > 3 * 3 * 64
