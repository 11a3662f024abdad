"""Tables, plot and README block from results that are made up, so that all is known beforehand."""

import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from hqcodec.benchmarks import report
from hqcodec.benchmarks.plot import plot
from hqcodec.benchmarks.report import at_rate, markers, readme_tables, update_readme
from hqcodec.benchmarks.results import (
    SCHEMA,
    Record,
    Result,
    as_dicts,
    environment,
    means,
    read_result,
    to_csv,
    to_json,
    write_result,
)
from hqcodec.errors import FormatError, HqcodecError


def record(codec: str, setting: int, picture: str) -> Record:
    """Twice the bytes a setting; JPEG takes half as many again as ours for the same quality."""
    size = 1000 * 2**setting * (3 if codec == "jpeg" else 2)
    bpp = 8 * size / (200 * 300)
    error = 20 / 1.5**setting + len(picture)
    quality = (error, 40 - error, None, None, None, None)
    rest = (180000 / size, bpp, *quality, 0.1, 0.2, "00ff")
    return Record(codec, setting, picture, 300, 200, size, None, *rest)


@pytest.fixture
def result() -> Result:
    records = [
        record(codec, setting, picture)
        for codec in ("hqcodec", "jpeg")
        for setting in (0, 1, 2)
        for picture in ("a.png", "bb.png")
    ]
    codecs = {
        "hqcodec": {"setting": "layers", "model": "m", "weights": "00ff", "settings": [0, 1, 2]},
        "jpeg": {"setting": "quality", "optimize": True, "settings": [0, 1, 2]},
    }
    why = ["not asked for"]
    return {
        "schema": SCHEMA,
        **environment(threads=1),
        "metrics": {"names": ["rmse", "psnr"], "lpips": None, "lpips_squeeze": None},
        "codecs": codecs,
        "pictures": [
            {"name": name, "sha256": "00ff", "width": 300, "height": 200}
            for name in ("a.png", "bb.png")
        ],
        "failures": ["c.png: broken"],
        "notes": {"ms_ssim": why, "lpips": why},
        "means": means(records),
        "records": as_dicts(records),
    }


def test_json_comes_back_as_it_was_written_and_leaves_nothing_else(
    result: Result, tmp_path: Path
) -> None:
    path = tmp_path / "out" / "result.json"
    path.parent.mkdir()
    write_result(path, result)
    write_result(path, result)  # and again over the first
    assert list(path.parent.iterdir()) == [path]
    back = read_result(path)
    assert back["means"][0]["psnr"] == pytest.approx(result["means"][0]["psnr"], rel=1e-5)
    assert to_json(back) == path.read_text() == to_json(result)
    assert set(back["versions"]) >= {"python", "torch", "pillow", "hqcodec"}


def test_a_file_that_is_no_result_is_a_format_error(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ("{", "[]", '{"schema": 99}'):
        path.write_text(text)
        with pytest.raises(FormatError):
            read_result(path)


def test_a_result_of_an_older_schema_says_so_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"schema": 1}')
    with pytest.raises(FormatError, match=r"schema 1 .* reads 2; measure again"):
        read_result(path)


def test_csv_has_a_line_a_record_with_the_names_and_values_of_the_json(result: Result) -> None:
    first, *others = csv.DictReader(to_csv(result).splitlines())
    assert len(others) + 1 == len(result["records"])
    assert list(first) == list(result["records"][0])
    assert first["ssim"] == ""  # None
    expected = json.loads(to_json(result))["records"][0]
    assert {k: v for k, v in first.items() if v} == {
        k: str(v) for k, v in expected.items() if v is not None
    }


def test_at_rate_interpolates_within_a_curve_and_never_beyond() -> None:
    points = [(0.1, 20.0), (0.4, 24.0), (1.6, 28.0)]  # a line in the log of the rate
    assert at_rate(points, 0.2) == pytest.approx(22)
    assert at_rate(points, 0.09) is None
    assert at_rate(points, 1.7) is None


def test_bd_rate_against_itself_is_0_and_against_twice_the_bits_minus_50() -> None:
    def rows(codec: str, factor: float) -> list[dict[str, object]]:
        quality = {0.1: 25.0, 0.2: 28.0, 0.4: 30.0, 0.8: 32.0}
        return [
            {"codec": codec, "bpp": r * factor, "psnr": q, "ms_ssim": 1 - 3 ** -(q / 10),
             "lpips": 5 / q**2} for r, q in quality.items()
        ]  # fmt: skip

    means = rows("hqcodec", 1) + rows("same", 1) + rows("double", 2)
    found = report.deltas({"means": means, "codecs": dict.fromkeys(["hqcodec", "same", "double"])})
    assert found["same"].rate == pytest.approx({"psnr": 0, "ms_ssim": 0, "lpips": 0})
    assert found["same"].quality == pytest.approx({"psnr": 0, "ms_ssim": 0, "lpips": 0})
    assert found["double"].rate == pytest.approx({"psnr": -50, "ms_ssim": -50, "lpips": -50})
    gain = found["double"].quality["psnr"]
    assert gain is not None and 2 < gain < 3  # an octave brings 3 dB, then twice 2


def test_terminal_tables_fit_into_80_columns_with_every_figure(result: Result) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report.bd_table(result))
    row = result["means"][0]
    row |= {"bpp": 12.345, "ratio": 1234.5, "rmse": 100.25, "ms_ssim": 0.9875}
    row |= {"lpips": 0.125, "encode_seconds": 12.125, "decode_seconds": 10.625}
    console.print(report.rich_table(result))
    text = console.export_text()
    shown = "hqcodec 0", "12.345", "1234.5", "100.25", "0.9875", "12.125", "10.625"
    assert all(figure in text for figure in shown)
    assert "…" not in text
    assert "−33.3 %" in text


def test_a_second_decoder_is_a_second_curve_of_ours_and_no_baseline(
    result: Result, tmp_path: Path
) -> None:
    name = "hqcodec (perceptual)"
    rows = [row | {"codec": name} for row in result["means"] if row["codec"] == "hqcodec"]
    result["means"] += rows
    result["codecs"][name] = result["codecs"]["hqcodec"]
    assert report.ours(result) == ["hqcodec", name]
    assert report.baselines(result) == ["jpeg"]
    assert report.deltas(result, name) == report.deltas(result)
    text = readme_tables(result)
    assert "The same files by the perceptual decoder:" in text
    assert "PSNR in dB, at equal rates" in text
    assert "| bpp | hqcodec | hqcodec (perceptual) | JPEG |" in text
    assert "| hqcodec (perceptual) against | BD-rate PSNR |" in text
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report.rich_table(result))
    console.print(report.bd_table(result, name))
    shown = console.export_text()
    assert "perceptual 2" in shown and "…" not in shown
    plot(result, tmp_path / "two.png")
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")


def test_readme_block_is_replaced_and_the_rest_kept(result: Result, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    begin, end = markers("kodak")
    readme.write_text(f"# Title\n\n{begin}\nold\n{end}\n\nend\n")
    update_readme(readme, result)
    update_readme(readme, result)
    text = readme.read_text()
    assert text == f"# Title\n\n{begin}\n{readme_tables(result)}\n{end}\n\nend\n"
    row = result["means"][0]
    assert f"| 0 | {row['bpp']:.3f} | 2,000 | 90.0 |" in text
    assert "| JPEG | −33.3 % | – | – | +" in text  # two thirds of the bits
    assert "No LPIPS: not asked for." in text
    assert "Left out: c.png: broken." in text


def test_readme_without_markers_is_an_error_and_stays_as_it_is(
    result: Result, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n")
    with pytest.raises(FormatError, match="no block"):
        update_readme(readme, result)
    assert readme.read_text() == "# Title\n"


def test_readme_tables_are_the_same_from_memory_and_from_json(
    result: Result, tmp_path: Path
) -> None:
    write_result(tmp_path / "r.json", result)
    assert readme_tables(read_result(tmp_path / "r.json")) == readme_tables(result)


def test_plot_is_a_png_with_a_panel_for_each_metric_that_has_values(
    result: Result, tmp_path: Path
) -> None:
    plot(result, tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as one:
        assert one.format == "PNG"
        for row in result["means"]:
            row["lpips"] = 1 / row["psnr"]
        plot(result, tmp_path / "two.png")
        with Image.open(tmp_path / "two.png") as two:
            assert two.width == 2 * one.width
    for row in result["means"]:
        row["lpips"] = row["psnr"] = None
    with pytest.raises(HqcodecError, match="nothing to plot"):
        plot(result, tmp_path / "three.png")
