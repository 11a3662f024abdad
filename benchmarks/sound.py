"""Regenerate benchmarks/sound.json, its plot and spectrograms, and the README's tables of sound.

Run from the root of the repository:  python -m hqcodec.benchmarks.sound DIR --view FILE
DIR holds a folder of sounds for each kind; --again draws and writes from the JSON that is there.
Beyond what `hqcodec bench` measures, this has what the context models save, and seconds and memory
of the command line.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError

JSON = Path("benchmarks/sound.json")
PNG = Path("benchmarks/sound.png")
VIEW = Path("benchmarks/spectrograms.png")
README = Path("README.md")
BLOCK = "sound"
LAYERS = (1, 2, 4, 8)  # that the spectrograms show
HQCODEC = (sys.executable, "-c", "from hqcodec.cli.main import main; main()")


def sound(
    folder: Annotated[Path | None, typer.Argument(help="Folder with a folder a kind.")] = None,
    model: Annotated[str, typer.Option(help="Name or path of a model of sound.")] = "sound",
    limit: Annotated[int | None, typer.Option(min=1, help="Take N sounds of each kind.")] = None,
    view: Annotated[Path | None, typer.Option(help="Sound to draw the spectrograms of.")] = None,
    minutes: Annotated[float, typer.Option(help="Of sound for the command line's memory.")] = 10.0,
    again: Annotated[bool, typer.Option(help="Take the JSON that is there.")] = False,
) -> None:
    """Measure sounds and bring the repository's numbers up to date."""
    from hqcodec.benchmarks.report import replace_block
    from hqcodec.benchmarks.results import read_result
    from hqcodec.benchmarks.sound_plot import plot
    from hqcodec.benchmarks.sound_report import readme_tables

    if not README.is_file() or not JSON.parent.is_dir():
        raise HqcodecError(f"no {README} and {JSON.parent}/ here; run at the repository's root")
    if not again:
        if folder is None:
            raise HqcodecError("no folder; name one with sounds, or give --again")
        measure_all(folder, model, limit, minutes)
    result = read_result(JSON)
    plot(result, PNG)
    if view is not None:
        draw_view(view, model)
    replace_block(README, BLOCK, readme_tables(result))
    typer.echo(f"wrote {JSON}, {PNG} and the tables of {README}")


def measure_all(folder: Path, model: str, limit: int | None, minutes: float) -> None:
    """Write the JSON, with `codes` and `commands` beside what a sweep has."""
    from rich.console import Console

    import hqcodec
    from hqcodec.benchmarks.plan import Outputs
    from hqcodec.benchmarks.results import write_result
    from hqcodec.benchmarks.sound_baselines import BASELINES, ours
    from hqcodec.benchmarks.sound_codes import survey
    from hqcodec.benchmarks.sound_plan import SoundPlan, measure
    from hqcodec.benchmarks.sounds import find_sounds

    paths, console = find_sounds(folder, limit), Console(stderr=True)
    plan = SoundPlan(model, tuple(BASELINES))
    result = measure(plan, paths, folder, Outputs(), console)
    used = {entry["name"] for entry in result["sounds"]}
    kept = [path for path in paths if path.relative_to(folder).as_posix() in used]
    result["codes"] = survey(hqcodec.load(model), ours(model), kept)
    result["commands"] = commands(model, kept[0], minutes)
    write_result(JSON, result)


def commands(model: str, path: Path, minutes: float) -> dict[str, Any]:
    """Seconds and peak megabytes of compress and decompress on a sound, repeated to a length."""
    import soundfile

    from hqcodec.benchmarks.sounds import load_sound
    from hqcodec.benchmarks.speed import measure

    x = load_sound(path)
    count = round(60 * minutes * x.rate)
    records = []
    with tempfile.TemporaryDirectory() as name:
        wav, packed, back = (Path(name, file) for file in ("a.wav", "a.hqc", "b.wav"))
        soundfile.write(wav, np.resize(x.samples[:, :1], (count, 1)), x.rate, subtype="PCM_16")
        there = ("compress", str(wav), "-o", str(packed), "-m", model, "-f")
        back_again = ("decompress", str(packed), "-o", str(back), "-m", model, "-f")
        for command in (there, back_again):
            seconds, peak = measure((*HQCODEC, *command), runs=1)
            records.append(
                {
                    "what": command[0],
                    "minutes": minutes,
                    "seconds": seconds,
                    "times_real_time": 60 * minutes / seconds,
                    "peak_megabytes": peak,
                }
            )
    return {"what": "processes of their own, Python's start included", "records": records}


def draw_view(path: Path, model: str) -> None:
    """Spectrograms of the beginning of a sound, before and after."""
    from hqcodec.benchmarks.sound_baselines import baseline, ours
    from hqcodec.benchmarks.sound_spectrograms import beginning, draw, views

    mine = ours(model)
    shown = [count for count in LAYERS if count in mine.settings]
    draw(VIEW, views(beginning(path, 5.0), mine, baseline("opus"), shown))
    typer.echo(f"wrote {VIEW}")


if __name__ == "__main__":
    run(sound)
