"""`python -m hqcodec.benchmarks.sound`: what it writes, and what it needs."""

from pathlib import Path
from typing import Any

import pytest

import hqcodec
from hqcodec.benchmarks import (
    sound,
    sound_baselines,
    sound_codes,
    sound_metrics,
    sound_plan,
    sound_speed,
    speed,
)
from hqcodec.benchmarks.results import read_result
from hqcodec.errors import HqcodecError
from waves import codec, noise, save, sine

README = "before\n<!-- sound:begin -->\nold\n<!-- sound:end -->\nafter\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository's root with two sounds beside it, and a toy in the place of the networks."""
    (tmp_path / "root" / "benchmarks").mkdir(parents=True)
    (tmp_path / "root" / "README.md").write_text(README)
    save(tmp_path / "sounds" / "speech" / "a.wav", noise(0.4))
    save(tmp_path / "sounds" / "music" / "b.wav", sine(440, 0.3))
    monkeypatch.chdir(tmp_path / "root")
    monkeypatch.setattr(sound_baselines, "ours", lambda model: codec("hqcodec"))
    monkeypatch.setattr(sound_baselines, "BASELINES", {})
    monkeypatch.setattr(sound_plan, "USUAL", ("mel",))
    monkeypatch.setattr(sound_metrics, "find_spec", lambda name: None)
    monkeypatch.setattr(sound_plan, "peaks", lambda *given: {"codecs": {}})
    monkeypatch.setattr(sound_speed, "SECONDS", 0.1)
    monkeypatch.setattr(hqcodec, "load", lambda model: None)
    monkeypatch.setattr(sound_codes, "survey", survey)
    monkeypatch.setattr(speed, "measure", lambda command, runs: (3.0, 512.0))
    return tmp_path / "root"


def survey(m: Any, codec: Any, paths: list[Path]) -> dict[str, Any]:
    row = {"layer": 1, "raw": 0.75, "static": 0.5, "coded": 0.25 * len(paths)}
    return {"layers": [row]}


def test_everything_is_written_and_the_block_of_the_readme_replaced(root: Path) -> None:
    sound.sound(Path("../sounds"), "sound", None, None, 1.0, False)
    result = read_result(sound.JSON)
    assert [row["what"] for row in result["commands"]["records"]] == ["compress", "decompress"]
    assert {row["times_real_time"] for row in result["commands"]["records"]} == {20}
    text = Path("README.md").read_text()
    assert text.startswith("before\n<!-- sound:begin -->\n**music: 1 sound, 0 s**")
    assert text.endswith("<!-- sound:end -->\nafter\n")
    assert "| 1 | 0.75 | 0.50 | 0.50 | 0.0 % |" in text.replace("+0.0", "0.0")
    assert "| compress 1 minutes | 3.0 | 20 | 512 |" in text
    assert sound.PNG.read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in Path("benchmarks").iterdir()} == {"sound.json", "sound.png"}


def test_the_blocks_are_written_again_from_the_json(root: Path) -> None:
    sound.sound(Path("../sounds"), "sound", 1, None, 1.0, False)
    text = Path("README.md").read_text()
    Path("README.md").write_text(README)
    sound.sound(None, "sound", None, None, 1.0, True)
    assert Path("README.md").read_text() == text


def test_without_a_folder_or_away_from_the_root_nothing_is_measured(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HqcodecError, match="no folder; name one with sounds, or give --again"):
        sound.sound(None, "sound", None, None, 1.0, False)
    monkeypatch.chdir(root.parent)
    with pytest.raises(HqcodecError, match=r"no README.md and benchmarks/ here"):
        sound.sound(Path("sounds"), "sound", None, None, 1.0, False)


def test_the_spectrograms_are_of_the_sound_that_was_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(root)
    monkeypatch.setattr(sound_baselines, "ours", lambda model: codec("hqcodec"))
    sound.draw_view(Path("../sounds/speech/a.wav"), "sound")
    assert sound.VIEW.read_bytes().startswith(b"\x89PNG")
