"""Known curves against measured ones, all made up."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hqcodec.benchmarks import anchors
from hqcodec.benchmarks.published import from_rows, read_published
from hqcodec.benchmarks.results import SCHEMA, write_result
from hqcodec.errors import FormatError, HqcodecError

POINTS = [(0.1, 24.0), (0.2, 26.0), (0.4, 28.0), (0.8, 30.0)]  # two dB an octave


def measured(codecs: dict[str, float]) -> dict[str, Any]:
    """Codecs, each so many dB above POINTS."""
    means = [
        {"codec": codec, "bpp": bpp, "psnr": psnr + gain, "ms_ssim": 0.9, "lpips": None}
        for codec, gain in codecs.items()
        for bpp, psnr in POINTS
    ]
    return {"schema": SCHEMA, "codecs": {codec: {} for codec in codecs}, "means": means}


def test_a_curve_is_compared_at_the_published_points_that_it_reaches() -> None:
    rows = [[0.05, 22.0], [0.141421, 25.1, None], [0.5657, 28.9, 0.99]]
    published = {"jpeg": from_rows("jpeg", "", rows)}
    found = anchors.agreements(measured({"jpeg": 0}), published, {"jpeg": "jpeg"}, "psnr")
    assert [row.bpp for row in found] == [0.141421, 0.5657]
    assert [row.difference for row in found] == pytest.approx([-0.1, 0.1], abs=1e-3)
    (row,) = anchors.agreements(measured({"jpeg": 0}), published, {"jpeg": "jpeg"}, "ms_ssim")
    assert (row.bpp, row.measured, row.published) == pytest.approx((0.5657, 10, 20))


def test_both_curves_are_interpolated_at_rates_that_were_asked_for() -> None:
    published = {"AVIF": from_rows("AVIF", "", [[bpp / 2, psnr] for bpp, psnr in POINTS])}
    pairs = {"avif": "AVIF"}
    found = anchors.agreements(measured({"avif": 0}), published, pairs, "psnr", [0.09, 0.15, 0.5])
    assert [row.bpp for row in found] == [0.15]  # one of the curves ends before the others
    assert found[0].difference == pytest.approx(-2)  # half the bits on two dB an octave


@pytest.mark.parametrize("text", ["{", "[]", '{"a": [[0.1]]}', '{"a": 3}', '{"a": [[null, 30]]}'])
def test_a_file_without_curves_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "curves.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="bpp, PSNR, MS-SSIM"):
        read_published(path)


def test_pairs_name_codecs_that_are_there() -> None:
    result, published = (
        measured({"jpeg": 0, "avif": 0}),
        {x: from_rows(x, "", []) for x in ("jpeg", "AV1")},
    )
    assert anchors.find_pairs(result, published, []) == {"jpeg": "jpeg"}
    assert anchors.find_pairs(result, published, ["avif=AV1"]) == {"avif": "AV1"}
    with pytest.raises(HqcodecError, match="no codec is in both"):
        anchors.find_pairs(result, {"AV1": published["AV1"]}, [])
    for wrong, why in (("avif", "OURS=PUBLISHED"), ("x=AV1", "'x'"), ("avif=y", "'y'")):
        with pytest.raises(HqcodecError, match=why):
            anchors.find_pairs(result, published, [wrong])


def test_the_command_prints_differences_and_fails_on_those_beyond_the_bound(
    tmp_path: Path,
) -> None:
    write_result(tmp_path / "r.json", measured({"jpeg": 0.05, "webp": 0.0, "avif": 0.0}))
    far = [[bpp * 100, psnr] for bpp, psnr in POINTS]
    (tmp_path / "c.json").write_text(json.dumps({"jpeg": POINTS, "webp": POINTS, "avif": far}))
    app = typer.Typer()
    app.command()(anchors.anchors)
    files = [str(tmp_path / "r.json"), str(tmp_path / "c.json")]
    shown = CliRunner().invoke(app, files)
    assert shown.exit_code == 0
    assert "   0.200 bpp    26.05    26.00   +0.050" in shown.stdout
    assert "PSNR of avif against avif, dB: –" in shown.stdout
    near = ["--pair", "jpeg=jpeg", "--pair", "webp=webp", "--within"]
    assert CliRunner().invoke(app, [*files, *near, "0.1"]).exit_code == 0
    beyond = CliRunner().invoke(app, [*files, *near, "0.01"])
    assert str(beyond.exception) == "jpeg is off by 0.050 dB; at most 0.01 dB was allowed"
    unmet = CliRunner().invoke(app, [*files, "--within", "0.1"])
    assert "avif has no rate in common" in str(unmet.exception)
