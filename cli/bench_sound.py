"""hqcodec bench on sound: what differs from pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

# torch, soundfile and matplotlib are imported inside: `hqcodec --help` must not wait for them.


@dataclass(frozen=True)
class SoundOptions:
    """The options of `hqcodec bench` that sound has too; None: not given."""

    model: str
    codecs: Sequence[str]
    joined: Sequence[str]
    metrics: Sequence[str] | None
    limit: int | None
    memory: bool
    output: Path | None
    csv: Path | None
    plot: Path | None
    measured: Path | None
    as_json: bool


def bench_sound(folder: Path, options: SoundOptions) -> None:
    """Measure a model on sounds and show the result."""
    from rich.console import Console

    from hqcodec.benchmarks.content import read_result_of
    from hqcodec.benchmarks.memory import memory_lines
    from hqcodec.benchmarks.plan import Outputs
    from hqcodec.benchmarks.results import to_json
    from hqcodec.benchmarks.sound_metrics import USUAL
    from hqcodec.benchmarks.sound_plan import SoundPlan, chosen, measure
    from hqcodec.benchmarks.sound_report import kinds, rich_table, sentences, speed_lines
    from hqcodec.benchmarks.sounds import find_sounds

    draw = None if options.plot is None else load_plot()
    outputs = Outputs(options.output, options.csv)
    if options.measured is None:
        plan = SoundPlan(
            options.model,
            chosen(options.codecs),
            tuple(options.joined),
            USUAL if options.metrics is None else tuple(options.metrics),
        )
        sounds, progress = find_sounds(folder, options.limit), Console(stderr=True)
        result = measure(plan, sounds, folder, outputs, progress, memory=options.memory)
    else:
        result = read_result_of("sound", options.measured)
        outputs.write(result)
    if draw is not None and options.plot is not None:
        draw(result, options.plot)
    if options.as_json:
        typer.echo(to_json(result), nl=False)
        return
    console = Console()
    for kind in kinds(result):
        console.print(rich_table(result, kind))
    lines = sentences(result) + speed_lines(result.get("speed", {}))
    lines += memory_lines(result.get("memory", {}))
    lines += [f"not all have {m}: {'; '.join(why)}" for m, why in result["notes"].items()]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def load_plot() -> Callable[[dict[str, Any], Path], None]:
    """The function that draws, if matplotlib is there; better to know before the long run."""
    from hqcodec.errors import HqcodecError

    try:
        from hqcodec.benchmarks.sound_plot import plot
    except ImportError as error:
        raise HqcodecError(f"--plot: {error}; pip install 'hqcodec[bench]'") from error
    return plot
