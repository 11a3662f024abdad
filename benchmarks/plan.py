"""What a run measures, in words that reach other processes, and the run from end to end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from hqcodec.benchmarks import baselines
from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.memory import peaks
from hqcodec.benchmarks.metrics import NAMES, make_judge
from hqcodec.benchmarks.point import Bench
from hqcodec.benchmarks.report import OURS
from hqcodec.benchmarks.results import Result, replace_text, to_csv, write_result
from hqcodec.benchmarks.sweep import sweep

ALL = "all"  # in the place of the names of codecs: every baseline that is installed


@dataclass(frozen=True)
class Plan:
    """Which codecs and metrics.

    model: of hqcodec, by name or path. codecs: baselines by name. joined: others, each
    "package.module:function". lpips: see `make_judge`.
    """

    model: str = "photo"
    codecs: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    metrics: tuple[str, ...] = NAMES
    lpips: Path | None = None

    def codec_list(self) -> list[Codec]:
        """All codecs of the plan, ours first."""
        others = [baselines.baseline(name) for name in self.codecs]
        joined = [baselines.codec_from(reference, Codec) for reference in self.joined]
        return [baselines.ours(self.model), *others, *joined]

    def codec(self, name: str) -> Codec:
        """One of them by name, without loading more than that takes."""
        if name == OURS:
            return baselines.ours(self.model)
        if name in self.codecs:
            return baselines.baseline(name)
        joined = (baselines.codec_from(reference, Codec) for reference in self.joined)
        return next(codec for codec in joined if codec.name == name)

    def within(self, result: Result) -> "Plan":
        """The same without baselines that were not measured."""
        return replace(self, codecs=tuple(x for x in self.codecs if x in result["codecs"]))

    def bench(self) -> Bench:
        """Codecs and judge."""
        return Bench(self.codec_list(), make_judge(self.metrics, self.lpips))


@dataclass(frozen=True)
class Outputs:
    """Where a result goes: JSON, with a journal beside it while it is being made, and CSV."""

    json: Path | None = None
    csv: Path | None = None

    @property
    def journal(self) -> Path | None:
        """What has been finished so far."""
        return None if self.json is None else self.json.with_name(f"{self.json.name}.partial")

    def write(self, result: Result) -> None:
        """Write a finished result to where it goes."""
        if self.csv is not None:
            replace_text(self.csv, to_csv(result))
        if self.json is not None:
            write_result(self.json, result)


def chosen(names: Sequence[str], console: Console) -> tuple[str, ...]:
    """Names of baselines; "all" stands for those that are installed, with a line for each other."""
    if list(names) != [ALL]:
        return tuple(name for name in names if name != "none")
    here = baselines.installed()
    for name in baselines.BASELINES:
        if name not in here:
            line = f"without {name}: pip install -U pillow pillow-jxl-plugin brings it"
            console.print(line, markup=False, highlight=False)
    return tuple(here)


def measure(
    plan: Plan,
    pictures: Sequence[Path],
    outputs: Outputs,
    console: Console,
    *,
    jobs: int = 1,
    fresh: bool = False,
    memory: bool = True,
) -> Result:
    """Sweep, measure memory, write what is to be written, and drop the journal."""
    bench = plan.bench()
    codecs = list(bench.codecs.values())
    result = sweep(
        pictures,
        codecs,
        bench.judge,
        console,
        jobs=jobs,
        make=plan.bench,
        journal=outputs.journal,
        fresh=fresh,
    )
    if memory:
        name = result["pictures"][0]["name"]
        picture = next(path for path in pictures if path.name == name)
        with console.status("peak memory of each codec"):
            result["memory"] = peaks(codecs, plan.codec, picture)
    outputs.write(result)
    if outputs.journal is not None:
        outputs.journal.unlink(missing_ok=True)
    return result
