"""What a run on sound measures, and the run from end to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hqcodec.benchmarks import sound_baselines
from hqcodec.benchmarks.baselines import codec_from
from hqcodec.benchmarks.memory import peaks
from hqcodec.benchmarks.plan import ALL, Outputs
from hqcodec.benchmarks.report import OURS
from hqcodec.benchmarks.results import Result
from hqcodec.benchmarks.sound_baselines import SoundCodec
from hqcodec.benchmarks.sound_metrics import USUAL, make_judge
from hqcodec.benchmarks.sound_speed import speeds
from hqcodec.benchmarks.sound_sweep import sweep
from hqcodec.benchmarks.sounds import load_sound


@dataclass(frozen=True)
class SoundPlan:
    """Which codecs and metrics.

    model: of hqcodec, by name or path. codecs: baselines by name. joined: others, each
    "package.module:function".
    """

    model: str = "sound"
    codecs: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    metrics: tuple[str, ...] = USUAL

    def codec_list(self) -> list[SoundCodec]:
        """All codecs of the plan, ours first."""
        others = [sound_baselines.baseline(name) for name in self.codecs]
        joined = [codec_from(reference, SoundCodec) for reference in self.joined]
        return [sound_baselines.ours(self.model), *others, *joined]

    def codec(self, name: str) -> SoundCodec:
        """One of them by name, without loading more than that takes."""
        if name == OURS:
            return sound_baselines.ours(self.model)
        if name in self.codecs:
            return sound_baselines.baseline(name)
        joined = (codec_from(reference, SoundCodec) for reference in self.joined)
        return next(codec for codec in joined if codec.name == name)


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Names of baselines; "all" stands for every one."""
    if list(names) == [ALL]:
        return tuple(sound_baselines.BASELINES)
    return tuple(name for name in names if name != "none")


def measure(
    plan: SoundPlan,
    paths: Sequence[Path],
    folder: Path,
    outputs: Outputs,
    console: Console,
    *,
    memory: bool = True,
) -> Result:
    """Sweep, measure speed and memory, and write what is to be written.

    folder: what the sounds are named by.
    """
    codecs, judge = plan.codec_list(), make_judge(plan.metrics)
    result = sweep(paths, folder, codecs, judge, console)
    first = next(path for path in paths if path.as_posix().endswith(result["sounds"][0]["name"]))
    with console.status("speed of each codec"):
        result["speed"] = speeds(codecs, first)
    if memory:
        with console.status("peak memory of each codec"):
            result["memory"] = peaks(codecs, plan.codec, first, load_sound)
    outputs.write(result)
    return result
