"""Measure again every number and draw again every figure of the README.

Run from the root of the repository, with the 24 pictures of the Kodak suite in DIR:

    python -m hqcodec.benchmarks.numbers DIR --lpips WEIGHTS

Each step is a benchmark of its own that writes its JSON and its block of the README, so whatever is
done stays done. --only and --from run some of the steps; --again writes the README's blocks from
the JSON that is there.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError

README = Path("README.md")
FOLDER = Path("benchmarks")
# What each is for: a line for --help and for those who watch.
STEPS = {
    "kodak": "rate and quality beside the baselines, and their plot",
    "contexts": "what the context models save",
    "targets": "how near files come to a target",
    "effort": "what searching longer brings",
    "speed": "seconds and memory of the command line",
    "small": "pictures of 32x32 and 64x64",
    "example": "the picture at the top",
    "sound": "rate and quality of sound beside Opus and MP3; only with --sounds",
    "ablation": "what each part brings; trains for an hour, so only with --photos",
}
NEEDS = {"sound": "sounds", "ablation": "photos"}  # step -> input without which it is left out
Command = list[str]  # a module of this package and its arguments


@dataclass(frozen=True)
class Inputs:
    """What the measurements read. All but kodak: without it, what needs it is left out."""

    kodak: Path
    lpips: Path | None = None
    tiles: Path | None = None
    photos: Path | None = None
    runs: Path = Path("runs")
    sounds: Path | None = None


def tables() -> dict[str, Callable[[Any], str]]:
    """Block of the README, and of the same name a JSON in benchmarks/ -> what makes one of it."""
    from hqcodec.benchmarks import (
        ablation,
        contexts,
        effort,
        report,
        small,
        sound_report,
        speed,
        targets,
    )

    return {
        "kodak": report.readme_tables,
        "contexts": contexts.table,
        "ablation": ablation.table,
        "targets": targets.table,
        "effort": effort.table,
        "speed": speed.table,
        "small": small.table,
        "sound": sound_report.readme_tables,
    }


def commands(step: str, inputs: Inputs) -> list[Command]:
    """What a step runs."""
    kodak = str(inputs.kodak)
    lpips = [] if inputs.lpips is None else ["--lpips", str(inputs.lpips)]
    if step == "kodak":
        return [["kodak", kodak, *lpips]]
    if step == "effort":  # a minute a picture
        return [["effort", kodak, "--pictures", "3", *lpips]]
    if step == "small":
        named = ["small", kodak, "--name", "Kodak", *lpips, "--side"]
        found = [[*named, "32"], [*named, "64", "--montage", str(FOLDER / "small.png")]]
        if inputs.tiles is not None:
            tiles = ["small", str(inputs.tiles), "--name", "CIFAR-10", "--pictures", "300"]
            found.append([*tiles, *lpips, "--side", "32"])
        return found
    if step == "sound":
        if inputs.sounds is None:
            raise HqcodecError("sound measures sounds; give --sounds, a folder with one a kind")
        return [["sound", str(inputs.sounds)]]
    if step == "ablation":
        if inputs.photos is None:
            raise HqcodecError("ablation trains models; give --photos, a folder to train on")
        data = ["--data", str(inputs.photos), "--runs", str(inputs.runs)]
        return [["ablation", kodak, *data, "--steps", "500"]]
    return [[step]] if step in ("speed", "example") else [[step, kodak]]


def choose(only: Sequence[str], start: str | None, inputs: Inputs) -> list[str]:
    """The steps to run, in their order."""
    for name in (*only, *([] if start is None else [start])):
        if name not in STEPS:
            raise HqcodecError(f"step {name!r}; there are {', '.join(STEPS)}")
    names = list(STEPS)
    names = names[0 if start is None else names.index(start) :]
    if only:
        names = [name for name in names if name in only]
    else:
        names = [x for x in names if x not in NEEDS or getattr(inputs, NEEDS[x]) is not None]
    if not names:
        raise HqcodecError(f"no step is left: --only {', '.join(only)} comes before --from {start}")
    return names


def perform(step: str, inputs: Inputs) -> None:
    """Run a step and say how long it took; HqcodecError if it fails."""
    start = perf_counter()
    for command in commands(step, inputs):
        typer.echo(f"{step}: python -m hqcodec.benchmarks.{' '.join(command)}")
        module, *arguments = command
        # A process each: one measurement leaves neither memory nor threads to the next.
        run = subprocess.run([sys.executable, "-m", f"hqcodec.benchmarks.{module}", *arguments])
        if run.returncode:
            raise HqcodecError(
                f"{step} failed with status {run.returncode}; mend it and go on by --from {step}"
            )
    typer.echo(f"{step}: done in {perf_counter() - start:.0f} s")


def write_blocks() -> None:
    """Every block of the README from the JSON that is there."""
    from hqcodec.benchmarks.report import replace_block
    from hqcodec.benchmarks.results import read_result

    for name, table in tables().items():
        replace_block(README, name, table(read_result(FOLDER / f"{name}.json")))


def numbers(
    folder: Annotated[Path | None, typer.Argument(help="Folder with the Kodak suite.")] = None,
    lpips: Annotated[Path | None, typer.Option(help="LPIPS weights: a file or folder.")] = None,
    tiles: Annotated[
        Path | None, typer.Option(help="Sheet of 32x32 tiles: CIFAR-10's test pictures.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Photographs to train the ablation's models on.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder for what the ablation trains.")] = Path("runs"),
    sounds: Annotated[
        Path | None, typer.Option(help="Folder with a folder of sounds for each kind.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this step. Repeatable.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Begin with this step.")] = None,
    again: Annotated[bool, typer.Option(help="Measure nothing, write the blocks.")] = False,
) -> None:
    """Bring all that the README shows up to date, a line a step."""
    from hqcodec.benchmarks.pictures import find_pictures

    if not README.is_file() or not FOLDER.is_dir():
        raise HqcodecError(f"no {README} and {FOLDER}/ here; run at the repository's root")
    if again:
        write_blocks()
        typer.echo(f"wrote {', '.join(tables())} of {README}")
        return
    if folder is None:
        raise HqcodecError("no folder; name the one with the Kodak suite, or give --again")
    find_pictures(folder)
    inputs = Inputs(folder, lpips, tiles, photos, runs, sounds)
    steps = choose(only or (), start, inputs)
    for step in steps:
        commands(step, inputs)  # what is missing is better known before the first hour
    for step in steps:
        typer.echo(f"{step}: {STEPS[step]}")
        perform(step, inputs)


if __name__ == "__main__":
    run(numbers)
