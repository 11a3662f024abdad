"""The benchmark of efforts: its curves, and a run on a small model."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from hqcodec import api
from hqcodec.benchmarks import effort
from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.results import read_result
from photos import small_photo


def mean(name: str, bpp: float, psnr: float) -> dict[str, Any]:
    return {"codec": name, "bpp": bpp, "psnr": psnr, "lpips": None}


def test_half_the_bits_at_equal_quality_are_a_gain_of_fifty_percent() -> None:
    ladder = [(0.2, 26.0), (0.4, 29.0), (0.9, 32.0)]
    means = [mean("effort 1", bpp, psnr) for bpp, psnr in ladder]
    means += [mean("effort 2", bpp / 2, psnr) for bpp, psnr in ladder]
    result = {"codecs": {"effort 1": {}, "effort 2": {}}, "means": means}
    found = effort.gains(result, "psnr")
    assert found == pytest.approx({"effort 1": 0, "effort 2": -50})
    assert effort.gains(result, "lpips") == {"effort 1": None, "effort 2": None}


def test_a_further_decoders_curve_is_compared_with_effort_1_by_that_decoder() -> None:
    ladder = [(0.2, 26.0), (0.4, 29.0), (0.9, 32.0)]
    names = "effort 1", "effort 1 (kind)", "effort 2", "effort 2 (kind)"
    factors = 1.0, 1.0, 0.8, 1.25
    means = [
        mean(name, factor * bpp, psnr)
        for name, factor in zip(names, factors, strict=True)
        for bpp, psnr in ladder
    ]
    found = effort.gains({"codecs": {key: {} for key in names}, "means": means}, "psnr")
    assert [found[name] for name in names] == pytest.approx([0, 0, -20, 25])


def test_the_benchmark_measures_whole_files_at_every_effort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_photo()
    codec = Codec(
        "hqcodec",
        ".hqc",
        (1, 2, 3),
        lambda _p, _n: b"",
        lambda b: api.decompress(b, model),
        others={"hqcodec (kind)": lambda b: api.decompress(b, model)},
    )
    monkeypatch.setattr(effort, "ours", lambda _: codec)
    monkeypatch.setattr(effort.hqcodec, "load", lambda _: model)
    folder, out = tmp_path / "pictures", tmp_path / "effort.json"
    folder.mkdir()
    Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(folder / "a.png")
    app = effort.typer.Typer()
    app.command()(effort.effort)
    run = CliRunner().invoke(app, [str(folder), "--out", str(out)])
    assert run.exit_code == 0, run.output
    result = read_result(out)
    assert [(m["codec"], m["setting"]) for m in result["means"]] == [
        (f"effort {e}{decoder}", layers)
        for e in (1, 2, 3)
        for decoder in ("", " (kind)")
        for layers in (1, 2, 3)
    ]
    assert result["bd_rate"]["psnr"]["effort 1"] == 0
    assert "| bits at equal PSNR | bits at equal PSNR (kind) |" in run.stdout
    assert "| effort 3 | " in run.stdout and "Means over 1 picture, " in run.stdout
