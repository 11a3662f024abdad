"""Every sound through every codec at every setting: to a file, decoded again, judged."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from hqcodec.audio import Audio
from hqcodec.benchmarks.pictures import one_line
from hqcodec.benchmarks.results import SCHEMA, Result, environment
from hqcodec.benchmarks.sound_baselines import SoundCodec, resampled
from hqcodec.benchmarks.sound_metrics import SoundJudge
from hqcodec.benchmarks.sound_results import PACKAGES, SoundRecord, means
from hqcodec.benchmarks.sounds import Sound, load_sound, survey
from hqcodec.benchmarks.sweep import progress_bar, show_failure
from hqcodec.errors import HqcodecError

WHAT = (
    "whole files, headers included, decoded again, resampled to the original's rate, cut or filled "
    "to its length, and a delay undone; kbps of a mean: all bytes over all seconds; mel, stft: the "
    "distances of DAC's evaluation at the original's rate and level; si_sdr: dB; pesq: wide band "
    "at 16 kHz; pesq and stoi: of speech only"
)


def sweep(
    paths: Sequence[Path],
    folder: Path,
    codecs: Sequence[SoundCodec],
    judge: SoundJudge,
    console: Console | None = None,
) -> Result:
    """Run it all and describe it; progress and failures are shown on `console` (stderr).

    folder: what the sounds are named by. A sound that cannot be read, or that a codec fails on, is
    left out everywhere, so that all means are over the same sounds; it costs a line, here and in
    the result's `failures`.
    """
    console = console or Console(stderr=True)
    names = [codec.name for codec in codecs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise HqcodecError(f"two codecs are called {twice[0]!r}; give one another name")
    known, failures = survey(paths, folder)
    done: dict[Path, list[tuple[SoundRecord, dict[str, str]]]] = {}
    with progress_bar(console) as bar:
        points = sum(len(codec.settings) for codec in codecs)
        step = bar.add_task("", total=len(known) * points)
        for path, sound in known.items():
            bar.update(step, description=sound.name)
            try:
                x, done[path] = load_sound(path), []
                for codec in codecs:
                    for setting in codec.settings:
                        done[path].append(measure(sound, x, codec, setting, judge))
                        bar.advance(step)
            except Exception as error:  # of any of the codecs
                del done[path]
                failures.append(f"{sound.name}: {one_line(error, path)}")
    for failure in failures:
        show_failure(console, failure)
    if not done:
        raise HqcodecError(f"no sound came through; the first: {failures[0]}")
    return {**describe(codecs, judge), **collect(known, done), "failures": sorted(failures)}


def measure(
    sound: Sound, x: Audio, codec: SoundCodec, setting: int, judge: SoundJudge
) -> tuple[SoundRecord, dict[str, str]]:
    """To a file and back: a record, and for each metric that it lacks the reason."""
    try:
        data = codec.encode(x, setting)
        y = fitted(codec.decode(data), x)
        values, reasons, lag = judge.measure(x, y, sound.kind)
    except Exception as error:
        raise HqcodecError(f"{codec.name} {setting}: {error}") from error
    record = SoundRecord(
        codec=codec.name,
        setting=setting,
        sound=sound.name,
        kind=sound.kind,
        seconds=sound.seconds,
        file_bytes=len(data),
        payload_bytes=codec.payload(data),
        kbps=8e-3 * len(data) / sound.seconds,
        **values,
        delay=lag,
        file_sha256=hashlib.sha256(data).hexdigest(),
    )
    return record, reasons


def fitted(y: Audio, x: Audio) -> Audio:
    """A decoded sound at the rate and of the length of the original, cut or filled with zeros."""
    if y.samples.shape[1] != x.samples.shape[1]:
        raise HqcodecError(f"{y.samples.shape[1]} channels come back of {x.samples.shape[1]}")
    samples = resampled(y, x.rate).samples[: len(x.samples)]
    missing = len(x.samples) - len(samples)
    return Audio(np.pad(samples, ((0, missing), (0, 0))), x.rate)


def describe(codecs: Sequence[SoundCodec], judge: SoundJudge) -> Result:
    """All that decides what a run measures, but the sounds."""
    return {
        "schema": SCHEMA,
        "content": "sound",
        "what": WHAT,
        **environment(torch.get_num_threads(), PACKAGES),
        "metrics": judge.about(),
        "codecs": {
            codec.name: {**codec.about, "settings": list(codec.settings)} for codec in codecs
        },
    }


def collect(
    known: dict[Path, Sound], done: dict[Path, list[tuple[SoundRecord, dict[str, str]]]]
) -> Result:
    """Sounds, notes, means and records, codec by codec."""
    points = [point for path in done for point in done[path]]
    order = {codec: i for i, codec in enumerate(dict.fromkeys(r.codec for r, _ in points))}
    records = sorted((r for r, _ in points), key=lambda r: (order[r.codec], r.setting, r.sound))
    notes: dict[str, set[str]] = {}
    for _, reasons in points:
        for metric, reason in reasons.items():
            notes.setdefault(metric, set()).add(reason)
    return {
        "sounds": [asdict(known[path]) for path in done],
        "failures": [],
        "notes": {metric: sorted(reasons) for metric, reasons in sorted(notes.items())},
        "means": means(records),
        "records": [asdict(record) for record in records],
    }
