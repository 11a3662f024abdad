"""A sweep over two kinds of sound with a toy and MP3."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hqcodec.audio import Audio
from hqcodec.benchmarks.results import Result, to_json
from hqcodec.benchmarks.sound_baselines import BASELINES
from hqcodec.benchmarks.sound_metrics import SoundJudge
from hqcodec.benchmarks.sound_sweep import sweep
from hqcodec.benchmarks.sounds import find_sounds, kind_of, load_sound
from hqcodec.errors import HqcodecError
from waves import codec, encode, noise, save, sine

JUDGE = SoundJudge(("mel", "stft", "si_sdr"))
MP3 = replace(BASELINES["mp3"], settings=(16, 32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Speech of two rates, music, and a file that is no sound."""
    save(tmp_path / "speech" / "one" / "a.wav", noise(0.5, seed=1))
    save(tmp_path / "speech" / "two" / "a.flac", noise(1.0, 24_000, seed=2))
    save(tmp_path / "music" / "b.wav", sine(440, 0.5))
    return tmp_path


def run(folder: Path) -> Result:
    return sweep(find_sounds(folder), folder, [codec("hqcodec"), MP3], JUDGE, quiet())


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_sounds_are_found_below_the_folder_and_their_kind_is_the_first_folder(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in find_sounds(folder)]
    assert found == ["music/b.wav", "speech/one/a.wav", "speech/two/a.flac"]
    assert [kind_of(path, folder) for path in find_sounds(folder)] == ["music", "speech", "speech"]
    inside = folder / "speech" / "one"
    assert [kind_of(path, inside) for path in find_sounds(inside)] == ["one"]
    assert len(find_sounds(folder, limit=1)) == 2  # one of each kind
    assert find_sounds(folder / "music" / "b.wav") == [folder / "music" / "b.wav"]


def test_a_folder_without_sounds_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HqcodecError, match=r"no sounds in .*; looked for .aif"):
        find_sounds(tmp_path)
    with pytest.raises(HqcodecError, match="no folder"):
        find_sounds(tmp_path / "absent")


def test_every_point_is_a_record_and_every_kind_has_its_means(folder: Path) -> None:
    result = run(folder)
    assert len(result["records"]) == 3 * (3 + 2)
    assert [sound["name"] for sound in result["sounds"]] == [
        "music/b.wav",
        "speech/one/a.wav",
        "speech/two/a.flac",
    ]
    assert [(row["kind"], row["codec"], row["setting"]) for row in result["means"]][:5] == [
        ("music", "hqcodec", 2),
        ("music", "hqcodec", 4),
        ("music", "hqcodec", 8),
        ("music", "mp3", 16),
        ("music", "mp3", 32),
    ]
    assert {row["kind"] for row in result["means"]} == {"music", "speech", "all"}


def test_the_rate_of_a_mean_is_all_bytes_over_all_seconds(folder: Path) -> None:
    result = run(folder)
    sizes = [len(encode(load_sound(path), 4)) for path in find_sounds(folder)]
    row = next(r for r in result["means"] if (r["kind"], r["setting"]) == ("all", 4))
    assert row["seconds"] == pytest.approx(2.0)
    assert row["kbps"] == pytest.approx(8e-3 * sum(sizes) / 2.0)
    assert row["payload_kbps"] == pytest.approx(8e-3 * (sum(sizes) - 3 * 5) / 2.0)
    mels = [r["mel"] for r in result["records"] if (r["codec"], r["setting"]) == ("hqcodec", 4)]
    assert row["mel"] == pytest.approx(sum(mels) / 3)


def test_more_bits_are_nearer_to_the_original(folder: Path) -> None:
    rows = [r for r in run(folder)["means"] if (r["kind"], r["codec"]) == ("speech", "hqcodec")]
    assert [r["mel"] for r in rows] == sorted((r["mel"] for r in rows), reverse=True)
    assert [r["si_sdr"] for r in rows] == sorted(r["si_sdr"] for r in rows)


def test_the_result_is_json_with_versions_machine_and_settings(folder: Path) -> None:
    read = json.loads(to_json(run(folder)))
    assert read["content"] == "sound"
    assert {"soundfile", "soxr", "torch", "hqcodec"} <= set(read["versions"])
    assert read["codecs"]["mp3"]["settings"] == [16, 32]
    assert read["notes"] == {key: ["not asked for"] for key in ("pesq", "stoi", "visqol")}
    assert read["machine"]["cpus"] >= 1
    assert str(folder) not in to_json(read)


def test_a_metric_is_averaged_over_sounds_that_have_it_everywhere(folder: Path) -> None:
    """A sine on the toy's grid comes back as it was, so its SI-SDR is infinite at 8 bits."""
    square = sine(500, 0.5)
    save(folder / "music" / "b.wav", replace(square, samples=square.samples.round(1) // 0.25 / 4))
    result = run(folder)
    rows = {(r["kind"], r["codec"], r["setting"]): r for r in result["means"]}
    assert all(rows["music", "mp3", setting]["si_sdr"] is None for setting in (16, 32))
    assert rows["all", "mp3", 16]["si_sdr"] == rows["speech", "mp3", 16]["si_sdr"]
    assert rows["all", "mp3", 16]["mel"] != rows["speech", "mp3", 16]["mel"]
    assert result["notes"]["si_sdr"] == ["infinite: the sounds are identical"]


def test_a_sound_that_fails_is_left_out_everywhere_and_costs_a_line(folder: Path) -> None:
    (folder / "speech" / "broken.wav").write_bytes(b"RIFF and no more")
    save(folder / "speech" / "empty.wav", sine(440, 0))

    def picky(x: Audio, bits: int) -> bytes:
        if x.rate == 24_000 and bits == 8:
            raise ValueError("two lines\nof trouble")
        return encode(x, bits)

    out, mine = io.StringIO(), replace(codec("hqcodec"), encode=picky)
    result = sweep(find_sounds(folder), folder, [mine, MP3], JUDGE, Console(file=out, width=200))
    assert {record["sound"] for record in result["records"]} == {"music/b.wav", "speech/one/a.wav"}
    assert "speech/two/a.flac: hqcodec 8: two lines of trouble" in result["failures"]
    assert "speech/empty.wav: no samples" in result["failures"]
    assert any(line.startswith("speech/broken.wav: ") for line in result["failures"])
    assert out.getvalue().count("left out: ") == 3
    assert str(folder) not in "".join(result["failures"])


def test_no_sound_that_comes_through_and_two_codecs_of_a_name_are_errors(folder: Path) -> None:
    broken = replace(codec(), decode=lambda data: noise(0.1, channels=2))
    with pytest.raises(HqcodecError, match="no sound came through; the first: music/b"):
        sweep(find_sounds(folder), folder, [broken], JUDGE, quiet())
    with pytest.raises(HqcodecError, match="two codecs are called 'toy'"):
        sweep(find_sounds(folder), folder, [codec(), codec()], JUDGE, quiet())
