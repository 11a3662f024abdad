"""The one command that measures all again: what it runs, in which order, and where it stops."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hqcodec.benchmarks import numbers
from hqcodec.benchmarks.numbers import STEPS, Inputs, choose, commands
from hqcodec.errors import HqcodecError

ROOT = Path(__file__).parents[1]
ALL = Inputs(Path("kodak"), Path("w"), Path("tiles.webp"), Path("photos"), sounds=Path("sounds"))


def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(numbers.numbers)
    return made


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """An empty repository with a picture to measure; every command that is run, and none fails."""
    found: list[list[str]] = []

    def run(command: list[str]) -> Any:
        found.append(command)
        return SimpleNamespace(returncode=3 if command[2].endswith("effort") else 0)

    monkeypatch.setattr(numbers.subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").touch()
    for folder in ("benchmarks", "kodak"):
        (tmp_path / folder).mkdir()
    (tmp_path / "kodak" / "a.png").touch()
    return found


def test_every_block_of_the_readme_has_a_step_that_measures_it() -> None:
    assert set(numbers.tables()) <= set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_every_command_is_a_benchmark_that_takes_these_arguments(step: str) -> None:
    for module, *arguments in commands(step, ALL):
        made = typer.Typer()
        made.command()(getattr(importlib.import_module(f"hqcodec.benchmarks.{module}"), module))
        typer.main.get_command(made).make_context(module, arguments)  # raises if it does not


def test_steps_keep_their_order_and_training_has_to_be_asked_for() -> None:
    quick = [name for name in STEPS if name not in ("sound", "ablation")]
    assert choose([], None, Inputs(Path("k"))) == quick
    assert choose([], None, ALL) == list(STEPS)
    assert choose([], "speed", ALL) == list(STEPS)[list(STEPS).index("speed") :]
    assert choose(["small", "contexts"], None, ALL) == ["contexts", "small"]
    with pytest.raises(HqcodecError, match="step 'x'; there are kodak"):
        choose(["x"], None, ALL)
    with pytest.raises(HqcodecError, match="no step is left"):
        choose(["kodak"], "speed", ALL)


def test_without_tiles_or_lpips_their_arguments_are_left_out() -> None:
    bare = [command for step in list(STEPS)[:-2] for command in commands(step, Inputs(Path("k")))]
    assert not any("--lpips" in command for command in bare)
    assert len(commands("small", ALL)) == 1 + len(commands("small", Inputs(Path("k"))))


def test_a_step_that_fails_is_named_and_those_behind_it_do_not_run(ran: list[list[str]]) -> None:
    found = CliRunner().invoke(app(), ["kodak"])
    assert str(found.exception) == "effort failed with status 3; mend it and go on by --from effort"
    modules = [command[2].removeprefix("hqcodec.benchmarks.") for command in ran]
    assert modules == ["kodak", "contexts", "targets", "effort"]
    assert all(command[0] == sys.executable for command in ran)
    assert "targets: python -m hqcodec.benchmarks.targets kodak\n" in found.stdout
    assert "targets: done in 0 s\n" in found.stdout and "effort: done" not in found.stdout


def test_what_is_missing_is_said_before_anything_runs(ran: list[list[str]]) -> None:
    for arguments, why in (
        (["kodak", "--only", "kodak", "--only", "ablation"], "give --photos"),
        (["kodak", "--only", "sound"], "give --sounds"),
        (["nowhere"], "no folder nowhere"),
        ([], "no folder; name"),
    ):
        found = CliRunner().invoke(app(), arguments)
        assert why in str(found.exception)
    Path("README.md").unlink()
    assert "repository's root" in str(CliRunner().invoke(app(), ["kodak"]).exception)
    assert ran == []


def test_blocks_are_written_again_from_the_json_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    for path in (ROOT / "benchmarks").glob("*.json"):
        (tmp_path / "benchmarks" / path.name).write_bytes(path.read_bytes())
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    Path("README.md").write_text(text.replace("| 1 | ", "| one | "), encoding="utf-8")
    found = CliRunner().invoke(app(), ["--again"])
    assert found.exit_code == 0, found.output
    assert Path("README.md").read_text(encoding="utf-8") == text
