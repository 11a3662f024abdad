"""Every picture through every codec at every setting: written, read back, decoded, judged."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.journal import Journal
from hqcodec.benchmarks.metrics import Judge
from hqcodec.benchmarks.pictures import Picture, survey
from hqcodec.benchmarks.point import Bench, Measured, Task
from hqcodec.benchmarks.results import SCHEMA, Record, Result, as_dicts, environment, means
from hqcodec.benchmarks.workers import outcomes, threads_each
from hqcodec.errors import HqcodecError


def sweep(
    pictures: Sequence[Path],
    codecs: Sequence[Codec],
    judge: Judge,
    console: Console | None = None,
    *,
    jobs: int = 1,
    make: Callable[[], Bench] | None = None,
    journal: Path | None = None,
    fresh: bool = False,
) -> Result:
    """Run it all and describe it; progress and failures are shown on `console` (stderr).

    A picture that cannot be read, or that a codec fails on, is left out everywhere, so that all
    means are over the same pictures; it costs a line, here and in the result's `failures`.

    jobs: how many points at a time, in processes that `make` gets ready. journal: a file that
    finished points are kept in, so that the next run goes on from there; whoever has stored the
    result deletes it. fresh: begin that file anew.
    """
    console = console or Console(stderr=True)
    check_names(codecs)
    known, failures = survey(pictures)
    for failure in failures:
        show_failure(console, failure)
    about = describe(codecs, judge, jobs)
    kept = None
    if journal is not None:
        hashes = {"pictures": {picture.name: picture.sha256 for picture in known.values()}}
        kept = Journal(journal, {**about, **hashes}, fresh)
    done = {} if kept is None else dict(kept.finished)
    tasks = [
        Task(path, codec.name, setting)
        for path in known
        for codec in codecs
        for setting in codec.settings
        if (path.name, codec.name, setting) not in done
    ]
    if done:
        line = f"{len(done)} points are in {journal}, {len(tasks)} are left"
        console.print(line, markup=False, highlight=False)
    failed: dict[Path, tuple[int, str]] = {}
    with progress_bar(console) as bar:
        step = bar.add_task("", total=len(done) + len(tasks), completed=len(done))
        for index, found in outcomes(tasks, Bench(codecs, judge), jobs, make):
            task = tasks[index]
            bar.update(step, advance=1, description=task.path.name)
            if isinstance(found, str):
                # The first in order is what a run with one job would have seen.
                failed[task.path] = min((index, found), failed.get(task.path, (index, found)))
            elif found is not None:
                key = task.path.name, task.codec, task.setting
                done[key] = found
                if kept is not None:
                    kept.add(key, found)
    for path, (_, text) in failed.items():
        failures.append(f"{path.name}: {text}")
        show_failure(console, failures[-1])
    if len(failures) == len(pictures):
        raise HqcodecError(f"no picture came through; the first: {failures[0]}")
    used = [picture for path, picture in known.items() if path not in failed]
    return {**about, **collect(used, codecs, done), "failures": sorted(failures)}


def check_names(codecs: Sequence[Codec]) -> None:
    """Raise HqcodecError if two curves would have the same name."""
    names = [name for codec in codecs for name in codec.curves]
    if twice := [name for name in names if names.count(name) > 1]:
        raise HqcodecError(f"two codecs are called {twice[0]!r}; give one another name")


def describe(codecs: Sequence[Codec], judge: Judge, jobs: int) -> Result:
    """All that decides what a run measures, but the pictures."""
    surroundings = environment(threads_each(jobs))
    surroundings["machine"]["jobs"] = jobs
    return {
        "schema": SCHEMA,
        "what": "whole files, headers included, written, read back and decoded; "
        "rmse on 0..255; psnr: mean of PSNR in dB; ratio: 24-bit pixels over file bytes; "
        "ssim, ms_ssim: 11x11 Gaussian window, sigma 1.5, mean over RGB; lpips: v0.1, AlexNet, "
        "lpips_squeeze: SqueezeNet; seconds: wall clock, of a machine that ran `jobs` at a time",
        **surroundings,
        "metrics": judge.about(),
        "codecs": {name: about_codec(codec) for codec in codecs for name in codec.curves},
    }


def about_codec(codec: Codec) -> dict[str, Any]:
    """What a result says of a codec."""
    library = codec.library()
    named = {"library": library} if library else {}
    return {**codec.about, **named, "settings": list(codec.settings)}


def collect(
    pictures: Sequence[Picture],
    codecs: Sequence[Codec],
    done: dict[tuple[str, str, int], list[Measured]],
) -> Result:
    """Records, means and notes by codec, setting and picture, whatever order they came in."""
    records: list[Record] = []
    notes: dict[str, set[str]] = {}
    for codec in codecs:
        for curve in range(len(codec.curves)):
            for setting in codec.settings:
                for picture in pictures:
                    point = done[picture.name, codec.name, setting][curve]
                    records.append(point.record)
                    for metric, reason in point.reasons.items():
                        notes.setdefault(metric, set()).add(reason)
    return {
        "pictures": [asdict(picture) for picture in pictures],
        "failures": [],
        "notes": {metric: sorted(reasons) for metric, reasons in sorted(notes.items())},
        "means": means(records),
        "records": as_dicts(records),
    }


def show_failure(console: Console, failure: str) -> None:
    """A line about a picture that is left out."""
    console.print(f"left out: {failure}", markup=False, highlight=False, soft_wrap=True)


def progress_bar(console: Console) -> Progress:
    """A bar with an estimate of the time that is left; gone when done."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
