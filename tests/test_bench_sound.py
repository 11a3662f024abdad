"""`hqcodec bench` on a folder of sounds, with a toy in the place of the networks."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from hqcodec.benchmarks import sound_baselines, sound_speed
from hqcodec.benchmarks.content import kind_of
from hqcodec.benchmarks.results import SCHEMA, read_result
from hqcodec.benchmarks.sound_baselines import BASELINES
from hqcodec.cli.bench import bench
from hqcodec.errors import HqcodecError
from waves import codec, noise, save, sine

OPUS = replace(BASELINES["opus"], settings=(8, 32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two short sounds, each of another kind."""
    save(tmp_path / "sounds" / "speech" / "a.wav", noise(0.6))
    save(tmp_path / "sounds" / "music" / "b.flac", sine(440, 0.5, 24_000))
    return tmp_path / "sounds"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that are asked for, in whose place the toy stands."""
    found: list[str] = []

    def ours(model: str) -> sound_baselines.SoundCodec:
        found.append(model)
        return codec("hqcodec")

    monkeypatch.setattr(sound_baselines, "ours", ours)
    monkeypatch.setattr(sound_baselines, "BASELINES", {"opus": OPUS})
    monkeypatch.setattr(sound_speed, "SECONDS", 0.5)
    return found


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(bench)
    return CliRunner().invoke(app, [str(a) for a in arguments] + ["--no-memory"])


def test_bench_of_sounds_prints_a_table_a_kind_and_where_the_curves_cross(
    asked: list[str], folder: Path
) -> None:
    done = run(folder, "--metrics", "mel,si_sdr")
    assert done.exit_code == 0, done.output
    for title in ("music: 1 sound", "speech: 1 sound", "all: 2 sounds"):
        assert title in done.stdout
    assert "all: " in done.stdout and "Opus begins at" in done.stdout
    assert "speed of hqcodec 8, times real time on one thread: " in done.stdout
    assert "not all have stft: not asked for" in done.stdout
    assert asked == ["sound"]


def test_json_csv_and_plot_are_written_and_read_again(
    asked: list[str], folder: Path, tmp_path: Path
) -> None:
    out, table, png = (tmp_path / name for name in ("out.json", "out.csv", "out.png"))
    done = run(folder, "--metrics", "mel", "--model", "mine", "-o", out, "--csv", table)
    assert done.exit_code == 0, done.output
    assert asked == ["mine"]
    records = read_result(out)["records"]
    lines = csv.DictReader(table.read_text().splitlines())
    assert [row["file_sha256"] for row in lines] == [r["file_sha256"] for r in records]
    again = run(folder, "--from", out, "--plot", png, "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["records"] == records
    assert png.read_bytes().startswith(b"\x89PNG")
    assert asked == ["mine"]


def test_a_result_of_pictures_is_not_one_of_sounds(
    asked: list[str], folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pictures.json"
    path.write_text(json.dumps({"schema": SCHEMA, "means": []}))
    done = run(folder, "--from", path)
    assert "pictures.json is of pictures, the folder of sounds" in str(done.exception)


def test_limit_takes_so_many_of_each_kind(asked: list[str], folder: Path) -> None:
    save(folder / "music" / "c.wav", noise(0.2))
    done = run(folder, "--limit", 1, "--metrics", "mel", "--codecs", "none", "--json")
    names = [sound["name"] for sound in json.loads(done.stdout)["sounds"]]
    assert names == ["music/b.flac", "speech/a.wav"]


def test_another_codec_of_sound_joins_by_a_function(asked: list[str], folder: Path) -> None:
    done = run(
        folder, "--codecs", "opus", "--codec-from", "waves:codec", "--metrics", "mel", "--json"
    )
    assert list(json.loads(done.stdout)["codecs"]) == ["hqcodec", "opus", "toy"]


def test_one_sound_may_be_named_in_place_of_a_folder(asked: list[str], folder: Path) -> None:
    done = run(folder / "music" / "b.flac", "--metrics", "mel", "--codecs", "none", "--json")
    assert done.exit_code == 0, done.output
    assert [s["name"] for s in json.loads(done.stdout)["sounds"]] == ["b.flac"]


def test_a_folder_with_both_is_one_line_that_asks_which(asked: list[str], folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "cover.png")
    done = run(folder)
    assert isinstance(done.exception, HqcodecError)
    assert "has pictures and sounds; say --kind picture or --kind sound" in str(done.exception)
    again = run(folder, "--kind", "sound", "--metrics", "mel", "--json")
    assert json.loads(again.stdout)["content"] == "sound"


def test_a_folder_is_of_the_kind_of_its_files(tmp_path: Path, folder: Path) -> None:
    assert kind_of(folder) == kind_of(folder / "music" / "b.flac") == "sound"
    assert kind_of(tmp_path / "absent") == "picture"
    (tmp_path / "p").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "p" / "a.png")
    assert kind_of(tmp_path / "p") == kind_of(tmp_path / "p" / "a.png") == "picture"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report", "x.html"], "--report is for pictures"),
        (["--jobs", "2"], "--jobs is for pictures"),
        (["--fresh"], "--fresh is for pictures"),
        (["--codecs", "jpeg"], "codec 'jpeg'; there are opus"),
        (["--metrics", "psnr"], "metric 'psnr'; there are mel"),
        (["--kind", "film"], "kind 'film'; there are picture, sound"),
        (["--codec-from", "toycodec:codec"], "returned Codec, not a hqcodec.benchmarks.sound_ba"),
        (["-o", "no/such/folder/x.json"], "no folder no/such/folder"),
    ],
)
def test_bench_of_sounds_refuses_bad_input_before_it_runs(
    asked: list[str], folder: Path, arguments: list[str], message: str
) -> None:
    done = run(folder, *arguments)
    assert isinstance(done.exception, HqcodecError)
    assert message in str(done.exception)
