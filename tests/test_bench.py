"""`hqcodec bench` from its options to its files, with a toy in the place of the networks."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks import baselines
from hqcodec.benchmarks.baselines import BASELINES, Codec, codec_from
from hqcodec.benchmarks.memory import high_water, peaks
from hqcodec.benchmarks.plan import Plan
from hqcodec.benchmarks.results import read_result
from hqcodec.cli.bench import bench
from hqcodec.errors import HqcodecError
from toycodec import codec

JPEG = replace(BASELINES["jpeg"], settings=(10, 50, 90))
ABSENT = replace(BASELINES["jpeg"], name="absent", library=lambda: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two smooth pictures of different sizes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, (height, width) in {"a.png": (40, 56), "b.png": (48, 32)}.items():
        y, x = np.mgrid[:height, :width]
        pixels = np.stack([x * 4, y * 4, x + y], -1).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command with the stub in place of the model."""
    monkeypatch.setattr(baselines, "ours", lambda model: codec("hqcodec"))
    monkeypatch.setattr(baselines, "BASELINES", {"jpeg": JPEG, "absent": ABSENT})
    app = typer.Typer()
    app.command()(bench)
    return app


def test_bench_prints_a_table_and_writes_json_and_plot(
    app: typer.Typer, folder: Path, tmp_path: Path
) -> None:
    out, png = tmp_path / "out.json", tmp_path / "out.png"
    arguments = [str(folder), "--codecs", "jpeg", "--metrics", "rmse,psnr"]
    arguments.append("--no-memory")
    done = CliRunner().invoke(app, [*arguments, "-o", str(out), "--plot", str(png)])
    assert done.exit_code == 0, done.output
    assert "means over 2 pictures" in done.output
    assert [picture["name"] for picture in read_result(out)["pictures"]] == ["a.png", "b.png"]
    assert png.read_bytes().startswith(b"\x89PNG")


def test_bench_json_is_all_that_stands_on_standard_output(app: typer.Typer, folder: Path) -> None:
    arguments = [str(folder), "--codecs", "none", "--metrics", "psnr", "--json"]
    arguments.append("--no-memory")
    done = CliRunner().invoke(app, [*arguments, "--limit", "1"])
    assert done.exit_code == 0, done.output
    assert [picture["name"] for picture in json.loads(done.stdout)["pictures"]] == ["a.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--codecs", "bpg"], "codec 'bpg'; there are jpeg"),
        (["--codecs", "none", "--metrics", "vmaf"], "metric 'vmaf'"),
        (["-o", "no/such/folder/x.json"], "no folder no/such/folder"),
    ],
)
def test_bench_refuses_bad_input_before_it_runs(
    app: typer.Typer, folder: Path, arguments: list[str], message: str
) -> None:
    done = CliRunner().invoke(app, [str(folder), *arguments])
    assert isinstance(done.exception, HqcodecError)
    assert message in str(done.exception)


def test_csv_and_json_have_the_same_records_and_the_journal_is_gone(
    app: typer.Typer, folder: Path, tmp_path: Path
) -> None:
    out, table = tmp_path / "out.json", tmp_path / "out.csv"
    arguments = [str(folder), "--metrics", "psnr", "--no-memory", "-o", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--csv", str(table)])
    assert done.exit_code == 0, done.output
    records = read_result(out)["records"]
    lines = csv.DictReader(table.read_text().splitlines())
    assert [r["file_sha256"] for r in lines] == [r["file_sha256"] for r in records]
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "out.json", "out.csv"}


def test_what_is_not_installed_costs_a_line_unless_it_was_named(
    app: typer.Typer, folder: Path
) -> None:
    arguments = [str(folder), "--metrics", "psnr", "--no-memory", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert list(json.loads(done.stdout)["codecs"]) == ["hqcodec", "jpeg"]
    assert "without absent: pip install" in done.stderr
    named = CliRunner().invoke(app, [*arguments, "--codecs", "absent"])
    assert isinstance(named.exception, HqcodecError)
    assert "no codec absent here; pip install" in str(named.exception)


def test_another_codec_joins_by_a_function_and_is_measured_like_the_others(
    app: typer.Typer, folder: Path
) -> None:
    arguments = [str(folder), "--codecs", "none", "--metrics", "psnr", "--no-memory", "--json"]
    done = CliRunner().invoke(app, [*arguments, "--codec-from", "toycodec:codec"])
    assert done.exit_code == 0, done.output
    ours, theirs = (
        [row["psnr"] for row in json.loads(done.stdout)["means"] if row["codec"] == name]
        for name in ("hqcodec", "toy")
    )
    assert ours == theirs and len(theirs) == 3


def test_a_module_in_the_current_folder_may_bring_a_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nearby_codec.py").write_text("from toycodec import codec as make\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    assert codec_from("nearby_codec:make", Codec).name == "toy"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:codec", "No module named 'no_such_module'; say package.module:function"),
        ("toycodec", "say package.module:function"),
        ("toycodec:nothing", "no attribute 'nothing'"),
        ("toycodec:not_a_codec", "returned int, not a hqcodec.benchmarks.baselines.Codec"),
    ],
)
def test_a_reference_that_gives_no_codec_is_one_line(reference: str, message: str) -> None:
    with pytest.raises(HqcodecError) as caught:
        codec_from(reference, Codec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_memory_is_of_fresh_processes_and_a_failure_is_a_line(folder: Path) -> None:
    hungry = Plan(joined=("toycodec:hungry",))
    found = peaks(hungry.codec_list()[1:], hungry.codec, folder / "a.png")
    row = found["codecs"]["hungry"]
    assert row["setting"] == 2
    assert row["encode"] - row["start"] > 190  # MiB, which its encoder takes
    assert abs(row["decode"] - row["start"]) < 100
    broken = peaks([codec()], Plan().codec, folder / "a.png")
    assert "failure" in broken["codecs"]["toy"]


def test_where_nobody_tells_memory_there_is_a_note(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqcodec.benchmarks.memory.high_water", lambda: None)
    assert "does not tell" in peaks([codec()], Plan().codec, folder / "a.png")["note"]
    monkeypatch.undo()
    assert (high_water() or 0) > 10
