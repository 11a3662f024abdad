"""The command line on sounds: files, folders, pipes, formats, reports, and what goes wrong."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner, Result

from hqcodec import api, audio, container
from hqcodec.cli.main import app
from hqcodec.cli.progress import Bar
from hqcodec.content import Samples
from hqcodec.models import zoo
from photos import small_photo
from tones import file, noise, small_sound, sweep


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and small models in the places of the built-in ones."""
    weights = {"photo": small_photo(), "sound": small_sound()}
    for name, model in weights.items():
        zoo.save(model, tmp_path / f"{name}.safetensors", name, "a test")
    real_path = zoo.path
    monkeypatch.setattr(zoo, "names", lambda: list(weights))
    monkeypatch.setattr(
        zoo,
        "path",
        lambda name: tmp_path / f"{name}.safetensors" if name in weights else real_path(name),
    )
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def run(*args: object, **more: Any) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], **more)


def record(
    name: str = "a.wav", samples: int = 4_410, rate: int = 44_100, channels: int = 2
) -> Path:
    """Make a sound file."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.save(audio.Audio(sweep(samples, rate, channels), rate), path)
    return path


def paint(name: str = "p.png") -> Path:
    """Make a picture."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), "red").save(path)
    return path


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


def assert_one_line(result: Result, *parts: str) -> None:
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("hqcodec: ") and result.stderr.count("\n") == 1, result.stderr
    for part in parts:
        assert part in result.stderr


def test_a_sound_goes_to_its_sibling_and_back() -> None:
    record()
    there = run("compress", "a.wav", "--layers", 2)
    assert there.exit_code == 0, there.output
    size = Path("a.hqc").stat().st_size
    rate = f"{size} bytes, {8 * size / 100:.3f} kbit/s, {2 * 4_410 * 2 / size:.1f} : 1"
    assert there.stdout == f"a.wav -> a.hqc: 0.10 s stereo at 44100 Hz, 2 layers, {rate}\n"
    back = run("decompress", "a.hqc", "--force")
    assert back.stdout == f"a.hqc -> a.wav: 0.10 s stereo at 44100 Hz, 2 layers, {rate}\n"
    assert there.stderr == back.stderr == ""
    found = soundfile.info("a.wav")
    assert (found.frames, found.samplerate, found.channels) == (4_410, 44_100, 2)
    assert (found.format, found.subtype) == ("WAV", "PCM_16")
    expected = api.decompress(Path("a.hqc").read_bytes())
    assert isinstance(expected, audio.Audio)
    levels = soundfile.read("a.wav", dtype="int16")[0]
    assert np.array_equal(levels, audio.to_16_bits(expected.samples))
    assert files() == {"a.wav", "a.hqc"}


def test_folders_hold_both_kinds_and_each_gets_its_model() -> None:
    for name in ("in/a.wav", "in/deep/b.flac", "in/c.OGG"):
        record(name)
    paint("in/p.png")
    Path("in/notes.txt").write_text("neither")
    assert run("compress", "in", "-o", "out").exit_code == 0
    assert {name for name in files() if name.endswith("hqc")} == {
        "out/a.hqc", "out/deep/b.hqc", "out/c.hqc", "out/p.hqc"
    }  # fmt: skip
    models = {name: container.read(Path(f"out/{name}.hqc").read_bytes()).model for name in "ap"}
    assert models == {"a": "sound", "p": "photo"}
    assert run("decompress", "out", "-o", "back").exit_code == 0
    assert {"back/a.wav", "back/deep/b.wav", "back/c.wav", "back/p.png"} < files()


def test_the_suffix_of_the_output_or_an_option_chooses_the_format() -> None:
    record(rate=48_000)
    run("compress", "a.wav")
    for suffix, (form, subtype) in audio.FORMATS.items():
        assert run("decompress", "a.hqc", "-o", f"b{suffix}").exit_code == 0
        found = soundfile.info(f"b{suffix}")
        assert (found.format, found.subtype, found.samplerate) == (form, subtype, 48_000)
    assert run("decompress", "a.hqc", "--format", "flac").exit_code == 0
    assert Path("a.flac").read_bytes().startswith(b"fLaC")
    assert run("decompress", "a.hqc", "-o", "c.wav", "--format", "mp3").exit_code == 0
    assert soundfile.info("c.wav").format == "MP3"


def test_pipes_carry_only_data_and_the_report_goes_to_stderr() -> None:
    data = record().read_bytes()
    there = run("compress", "-", input=data)
    assert there.exit_code == 0
    assert there.stderr.startswith("<stdin> -> <stdout>: 0.10 s stereo at 44100 Hz, 3 layers")
    content = container.read(there.stdout_bytes).content
    assert content == Samples(2, 4_410, 44_100)
    back = run("decompress", "-", input=there.stdout_bytes)
    assert soundfile.info(io.BytesIO(back.stdout_bytes)).frames == 4_410
    assert run("compress", "a.wav", "-o", "-").stdout_bytes == there.stdout_bytes
    flac = run("decompress", "-", "--format", "flac", input=there.stdout_bytes)
    assert flac.stdout_bytes.startswith(b"fLaC")
    assert files() == {"a.wav"}


def test_info_and_reports_tell_seconds_channels_rate_and_kbps() -> None:
    record("a.wav", 24_000, 48_000, 5)
    facts = json.loads(run("compress", "a.wav", "--json").stdout)
    size = Path("a.hqc").stat().st_size
    assert facts["source_bytes"] == Path("a.wav").stat().st_size
    for found in (facts, json.loads(run("info", "a.hqc", "--json").stdout)):
        assert (found["kind"], found["seconds"], found["channels"]) == ("sound", 0.5, 5)
        assert (found["samples"], found["rate"], found["bytes"]) == (24_000, 48_000, size)
        assert found["kbps"] == pytest.approx(8 * size / 500)
        assert found["ratio"] == pytest.approx(2 * 24_000 * 5 / size, abs=1e-3)
        assert "bpp" not in found and "width" not in found
    each = json.loads(run("info", "a.hqc", "--json").stdout)["each_layer"]
    for keep, layer in enumerate(each, 1):
        run("truncate", "a.hqc", "-l", keep, "-o", "b.hqc", "--force")
        assert layer["bytes"] == Path("b.hqc").stat().st_size
        assert layer["kbps"] == pytest.approx(8 * layer["bytes"] / 500)
    page = run("info", "a.hqc").stdout
    assert page.startswith("a.hqc: 0.50 s 5 channels at 48000 Hz, 3 layers") and "kbit/s" in page
    assert "  codes sounds, family sound, 3 layers" in run("models").stdout


def test_a_cut_file_decodes_with_a_warning() -> None:
    record()
    run("compress", "a.wav")
    Path("cut.hqc").write_bytes(Path("a.hqc").read_bytes()[:-1])
    result = run("decompress", "cut.hqc")
    assert result.exit_code == 0
    assert result.stderr == "hqcodec: cut.hqc: the file was cut: 2 of 3 layers arrived\n"
    assert Path("cut.wav").exists()


@pytest.mark.parametrize("samples", [0, 1])
def test_none_and_one_sample_go_through(samples: int) -> None:
    record(samples=samples, channels=1)
    there = run("compress", "a.wav")
    assert there.exit_code == 0 and f"{samples} channels" not in there.stdout
    assert ("no kbit/s" in there.stdout) == (samples == 0)
    assert json.loads(run("info", "a.hqc", "--json").stdout)["samples"] == samples
    assert run("info", "a.hqc").exit_code == 0
    assert run("decompress", "a.hqc", "-o", "b.wav").exit_code == 0
    assert soundfile.info("b.wav").frames == samples
    if not samples:
        assert_one_line(run("decompress", "a.hqc", "-o", "b.mp3"), "mp3 cannot say so, a wav file")
        assert "b.mp3" not in files()


def test_targets_in_kbps_and_bytes_choose_the_layers() -> None:
    record("a.wav", 48_000)
    sizes = []
    for layers in (1, 2):
        run("compress", "a.wav", "-l", layers, "--force")
        sizes.append(Path("a.hqc").stat().st_size)
    facts = json.loads(run("compress", "a.wav", "-f", "--json", "--target-size", sizes[1]).stdout)
    assert facts["layers"] == 2
    kbps = 8 * sizes[0] * 44.1 / 48_000 + 0.01
    facts = json.loads(run("compress", "a.wav", "-f", "--json", "--target-kbps", kbps).stdout)
    assert facts["layers"] == 1 and facts["kbps"] <= kbps


MISTAKES = [
    (["compress", "a.wav", "--model", "photo"], "a.wav: model photo codes pictures, and this is a"),
    (["compress", "p.png", "--model", "sound"], "p.png: model sound codes sounds, and this is a p"),
    (["compress", "a.wav", "--layers", "4"], "--layers 4: model sound has 1 to 3"),
    (["compress", "a.wav", "--layers", "0"], "--layers 0: model sound has 1 to 3"),
    (["compress", "a.wav", "--target-bpp", "1"], "a.wav: a target in bpp or dB is for pictures"),
    (["compress", "a.wav", "--target-psnr", "30"], "a.wav: a target in bpp or dB is for pictures"),
    (["compress", "p.png", "--target-kbps", "3"], "p.png: a target in kbit/s is for sounds"),
    (["compress", "a.wav", "--target-kbps", "0"], "target kbps 0.0; it must be above 0"),
    (["compress", "a.wav", "--target-size", "9"], "a.wav: target of 9 bytes: this sound takes"),
    (["compress", "bad.wav"], "bad.wav: not a sound, or damaged (Format not recognised); readable"),
    (["compress", "nan.wav"], "nan.wav: sample 7 is infinite or not a number"),
    (["compress", "nine.wav"], "nine.wav: 9 channels; a sound has 1 to 8"),
    (["decompress", "s.hqc", "-o", "b.png"], "s.hqc: cannot write sounds as 'png'; known are wav"),
    (["decompress", "s.hqc", "--format", "jpg"], "s.hqc: cannot write sounds as 'jpg'; known are"),
    (["decompress", "q.hqc", "-o", "b.wav"], "q.hqc: cannot write pictures as 'wav'; known are"),
    (["decompress", "s.hqc", "-o", "b.xyz"], "cannot write files as 'xyz'; known are png, jpg"),
    (["decompress", "s.hqc", "--layers", "4"], "s.hqc: --layers 4: the file has 1 to 3"),
    (["decompress", "s.hqc", "--model", "photo"], "s.hqc: made by other weights of 'sound'"),
    (["decompress", "eight.hqc", "-o", "b.mp3"], "eight.hqc: 8 channels; an MP3 holds 1 or 2"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "part"), MISTAKES, ids=lambda v: v if isinstance(v, str) else "")
def test_mistakes_are_one_line_and_write_nothing(args: list[str], part: str) -> None:
    record()
    paint()
    Path("bad.wav").write_text("no sound")
    broken = noise(9, 1)
    broken[7] = np.nan
    Path("nan.wav").write_bytes(file(broken, 8_000, "WAV", "FLOAT"))
    Path("nine.wav").write_bytes(file(noise(9, 9), 8_000))
    run("compress", "a.wav", "-o", "s.hqc")
    run("compress", "p.png", "-o", "q.hqc")
    run("compress", record("eight.wav", 99, 8_000, 8))
    before = files()
    assert {"s.hqc", "q.hqc", "eight.hqc"} < before
    assert_one_line(run(*args, "--force"), part)
    assert files() == before


def test_a_disk_that_runs_full_leaves_the_old_file_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record()
    run("compress", "a.wav")
    Path("b.wav").write_text("precious")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    real = audio.Guarded

    def guarded(stream: Any) -> Any:
        made = real(stream)
        made._stream = type("Full", (), {"write": full, "seek": stream.seek, "tell": stream.tell})()
        return made

    monkeypatch.setattr(audio, "Guarded", guarded)
    done = run("decompress", "a.hqc", "-o", "b.wav", "--force")
    assert_one_line(done, "b.wav: No space left on device")
    assert Path("b.wav").read_text() == "precious"
    assert files() == {"a.wav", "a.hqc", "b.wav"}


def test_an_interrupt_between_blocks_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    record()
    run("compress", "a.wav")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audio.Writer, "write", interrupt)
    done = run("decompress", "a.hqc", "-o", "b.wav")
    assert (done.exit_code, done.stderr) == (130, "hqcodec: interrupted\n")
    assert files() == {"a.wav", "a.hqc"}


def test_a_bar_appears_within_a_long_file_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Bar(1, wanted=True) as bar:
        bar.tell(0.5)
        assert bar._bar is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Bar(1, wanted=False) as bar:
        bar.tell(0.5)
        assert bar._bar is None
    with Bar(1, wanted=True) as bar:
        bar.advance()
        assert bar._bar is None  # one short file needs none
    with Bar(2, wanted=True) as bar:
        bar.tell(0.5)
        assert bar._bar is not None and bar._bar.tasks[0].completed == 0.5
        bar.advance()
        bar.tell(0.25)
        assert (bar._bar.tasks[0].completed, bar._bar.tasks[0].total) == (1.25, 2)
