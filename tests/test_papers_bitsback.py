"""The script that measures bits-back coding."""

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from families import make
from hqcodec.benchmarks.papers import rrvq_bitsback
from hqcodec.benchmarks.results import read_result
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo


def sheet(folder: Path) -> Path:
    pixels = np.random.default_rng(4).integers(256, size=(16, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "sheet.png")
    return folder / "sheet.png"


def test_the_record_says_what_the_file_took_beside_the_bound(tmp_path: Path) -> None:
    weights, out = tmp_path / "tiny.safetensors", tmp_path / "out.json"
    zoo.save(make("RRVQ-VAE, learned priors"), weights, "tiny", "")
    app = typer.Typer()
    app.command()(rrvq_bitsback.rrvq_bitsback)
    arguments = ["--model", str(weights), "--test", str(sheet(tmp_path)), "--side", "8"]
    done = CliRunner().invoke(app, [*arguments, "--count", "6", "--out", str(out)])
    assert done.exit_code == 0 and "exact" in done.output
    (record,) = read_result(out)["records"]
    assert record["pictures"] == 6
    assert record["spent"] == pytest.approx(record["bound"], rel=0.05)
    assert record["whole"] == pytest.approx(8 * record["file_bytes"] / (6 * 3 * 64))
    assert record["excess"] == pytest.approx(record["whole"] / record["bound"] - 1, abs=1e-3)
    assert record["whole"] > record["spent"]


def test_pictures_that_come_back_otherwise_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr("hqcodec.bitsback.unpack", lambda blob, model: pictures + 1)
    with pytest.raises(HqcodecError, match="do not come back"):
        rrvq_bitsback.measure(pictures, make("rVQ-VAE"))


def test_other_families_are_refused() -> None:
    with pytest.raises(HqcodecError, match="want rrvq_vae"):
        rrvq_bitsback.measure(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), make("SQ-VAE"))
