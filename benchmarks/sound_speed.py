"""How fast codecs of sound are, in multiples of real time, on one thread of torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from hqcodec.audio import Audio
from hqcodec.benchmarks.sound_baselines import SoundCodec
from hqcodec.benchmarks.sounds import load_sound

SECONDS = 10.0  # of sound
RUNS = 3  # of which the median counts, after one that does not
WHAT = (
    "seconds of sound over seconds of wall clock, the median of several runs in one process after "
    "a first that does not count, torch on one thread; samples in memory to file in memory and "
    "back; hqcodec's encoder makes all layers whatever is kept of them"
)


def excerpt(path: Path) -> Audio:
    """SECONDS of the first channel of a sound, repeated if it is shorter: [T, 1]."""
    x = load_sound(path)
    return Audio(np.resize(x.samples[:, :1], (round(SECONDS * x.rate), 1)), x.rate)


def speeds(codecs: Sequence[SoundCodec], path: Path) -> dict[str, Any]:
    """What a result says of speed: each codec at both ends and the middle of its ladder."""
    x = excerpt(path)
    records = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for codec in codecs:
            ladder = codec.settings
            for setting in sorted({ladder[0], ladder[len(ladder) // 2], ladder[-1]}):
                records.append(speed(codec, setting, x))
    finally:
        torch.set_num_threads(threads)
    return {"what": WHAT, "seconds": SECONDS, "runs": RUNS, "rate": x.rate, "records": records}


def speed(codec: SoundCodec, setting: int, x: Audio) -> dict[str, Any]:
    """One codec at one setting."""
    data = codec.encode(x, setting)
    # Another object every time: a codec may know again what it has seen.
    encode = typical(lambda: codec.encode(replace(x), setting))
    decode = typical(lambda: codec.decode(data))
    return {
        "codec": codec.name,
        "setting": setting,
        "encode": SECONDS / encode,
        "decode": SECONDS / decode,
    }


def typical(action: Callable[[], object]) -> float:
    """Seconds that an action takes, see RUNS."""
    seconds = []
    for _ in range(RUNS + 1):
        start = perf_counter()
        action()
        seconds.append(perf_counter() - start)
    return median(seconds[1:])
