"""Trains the variants of a comparison alike, one after the other, and keeps what they reached.

Each variant has a folder of its own below the runs' folder. What is finished there is not trained
again, what was killed continues, and the JSON is written anew after every variant; so a comparison
can be stopped at any time and still says what is known so far.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch
import typer
from torch import Tensor

from hqcodec.benchmarks.papers.measure import curves, load_test, measure, read_log, seconds
from hqcodec.benchmarks.results import SCHEMA, Result, environment, replace_text, write_result
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.run import Run, TrainConfig
from hqcodec.models.train import train

MEASURED = "measured.json"  # in a run's folder
SHOWN_EVERY = 60  # seconds between two lines about a training


@dataclass(frozen=True)
class Variant:
    """One model to train. Variants of a group that share a setting are compared by method.

    name: of its folder and weights, without the seed. model, train: what its [model] and [train]
    tables hold, the seed apart.
    """

    group: str
    name: str
    method: str
    setting: str
    family: str
    model: dict[str, Any]
    train: dict[str, Any]
    seed: int = 0

    def run(self) -> Run:
        """As a config file would say it; HqcodecError if a key is none of the family's."""
        table = self.train | {"seed": self.seed}
        about = f"{self.method}, {self.setting}, seed {self.seed}"
        name = f"{self.name}-seed{self.seed}"
        return Run(self.family, self.model, zoo.from_dict(TrainConfig, table), about, name, name)


@dataclass(frozen=True)
class Sources:
    """Where pictures come from and runs go to.

    data: what the trainer reads, without the test pictures. tile: the side of the tiles that the
    pictures of both are sheets of, or 0.
    """

    data: Path
    test: Path
    runs: Path
    tile: int

    def check(self) -> None:
        """HqcodecError if the test pictures would also be trained on."""
        if self.test.resolve() == self.data.resolve() or (
            self.data.is_dir() and self.test.resolve() in map(Path.resolve, self.data.rglob("*"))
        ):
            raise HqcodecError(
                f"{self.test} lies in {self.data}, which is trained on; give a --data without it"
            )


def finished(variant: Variant, sources: Sources) -> bool:
    """Whether the weights of just this run are there."""
    run, out = variant.run(), sources.runs / variant.run().name
    record = out / "run.json"
    described = json.dumps(asdict(run) | {"data": str(sources.data)}, indent=1)  # as `train` does
    return (out / run.file).exists() and record.exists() and record.read_text() == described


def train_variant(variant: Variant, sources: Sources, show: Callable[[str], None]) -> Path:
    """Train a variant, or go on with it; the folder of its run.

    Raises HqcodecError as `train` does, also if the folder holds a run of other settings.
    """
    run, out = variant.run(), sources.runs / variant.run().name
    if finished(variant, sources):
        return out
    shown = monotonic()
    for terms in train(run, sources.data, out):
        if monotonic() - shown > SHOWN_EVERY:
            key = "psnr" if "psnr" in terms else "loss"
            show(f"{run.name}: step {terms['step']:.0f}, {key} {terms[key]:.3f}")
            shown = monotonic()
    return out


def judge(variant: Variant, out: Path, test: Tensor, about: str) -> dict[str, Any]:
    """What a trained variant reached on test pictures [N,3,H,W]; kept in its folder.

    about: which pictures these are; what was measured on others, or of other weights, does not
    count.
    """
    model = zoo.load(out / variant.run().file)
    key = {"test": about, "weights": model.hash.hex()}
    return kept(out / MEASURED, key, lambda: measure(model, test))


def kept(file: Path, key: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` finds, or what it found before and left in a file, if the key is the same."""
    if file.exists() and (found := json.loads(file.read_text()))["key"] == key:
        return dict(found["figures"])
    figures = work()
    replace_text(file, json.dumps({"key": key, "figures": figures}))
    return figures


def record(variant: Variant, out: Path, figures: dict[str, Any]) -> dict[str, Any]:
    """The entry of a finished variant."""
    log = read_log(out / "log.jsonl")
    return {
        "group": variant.group,
        "name": variant.name,
        "method": variant.method,
        "setting": variant.setting,
        "seed": variant.seed,
        "family": variant.family,
        "model": variant.model,
        "train": variant.train,
        "steps": len(log),
        "seconds": seconds(log),
        **figures,
        "curves": curves(log),
    }


def compare(
    variants: Sequence[Variant],
    sources: Sources,
    about: dict[str, Any],
    target: Path,
    groups: Collection[str],
    show: Callable[[str], None] = typer.echo,
) -> Result:
    """Train and measure all variants in their order; writes `target` after each.

    about: what the JSON says of the comparison itself. groups: those to train; of others the JSON
    gets what is finished. Errors other than those that `collect` notes end the comparison.
    """
    sources.check()
    for variant in variants:
        run = variant.run()  # a misspelt key is better known before the first hour
        zoo.build(run.family, run.model)
    sides = {variant.run().train.crop for variant in variants}
    tests = {side: load_test(sources.test, sources.tile, side) for side in sides}
    result: Result = {
        "schema": SCHEMA,
        **about,
        **environment(torch.get_num_threads()),
        "data": sources.data.name,
        "test": sources.test.name,
        "test_pictures": len(next(iter(tests.values()), ())),
        "failures": [],
        "records": [],
    }
    chosen = [v for v in variants if v.group in groups or finished(v, sources)]

    def reach(variant: Variant) -> dict[str, Any]:
        out, side = train_variant(variant, sources, show), variant.run().train.crop
        return record(variant, out, judge(variant, out, tests[side], f"{sources.test} {side}"))

    return collect(chosen, reach, result, target, show)


def collect(
    variants: Sequence[Variant],
    reach: Callable[[Variant], dict[str, Any]],
    result: Result,
    target: Path,
    show: Callable[[str], None],
) -> Result:
    """Fill the result's `records` with what `reach` makes of each variant; writes after each.

    A training that breaks off because its loss is no number is noted under `failures`.
    """
    for number, variant in enumerate(variants, 1):
        named = f"{number}/{len(variants)} {variant.run().name}"
        try:
            entry = reach(variant)
        except HqcodecError as error:
            if "the loss is" not in str(error):
                raise
            result["failures"].append({"name": variant.run().name, "error": str(error)})
            show(f"{named}: {error}")
        else:
            result["records"].append(entry)
            show(f"{named}: {line(entry)}")
        write_result(target, result)
    return result


def line(entry: dict[str, Any]) -> str:
    """A record in one line for those who watch."""
    used = " ".join(f"{value:.0f}" for value in entry["perplexity"])
    return (
        f"RMSE x100 {entry['rmse']:.3f}, PSNR {entry['psnr']:.2f} dB, perplexity {used}, "
        f"{entry['steps']} steps in {entry['seconds']:.0f} s"
    )
