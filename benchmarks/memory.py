"""Peak memory of each codec: a fresh process that encodes one file, another that decodes it."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.pictures import load_pixels, one_line
from hqcodec.benchmarks.sound_baselines import SoundCodec

WHAT = (
    "peak resident memory, MiB, of a fresh process: with Python, torch, the codec and the file "
    "loaded (start), after encoding it (encode), and of another after decoding it (decode)"
)


def high_water() -> float | None:
    """The most resident memory that this process has had, in MiB; None where nobody tells."""
    if sys.platform == "linux":
        # Not getrusage, which starts at the memory of the process that this one was forked from.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


Make = Callable[[str], Codec] | Callable[[str], SoundCodec]


def load_picture(path: Path) -> Image.Image:
    """What a codec of pictures encodes."""
    return Image.fromarray(load_pixels(path))


def encode_peak(
    make: Make, name: str, load: Callable[[Path], Any], path: Path, setting: int
) -> tuple[float | None, float | None, bytes]:
    """(MiB before, MiB after, file) of encoding; for a process that does nothing else."""
    codec, x = make(name), load(path)
    start = high_water()
    data = codec.encode(x, setting)
    return start, high_water(), data


def decode_peak(make: Make, name: str, data: bytes) -> float | None:
    """MiB after decoding; for a process that does nothing else."""
    make(name).decode(data)
    return high_water()


def peaks(
    codecs: Sequence[Codec] | Sequence[SoundCodec],
    make: Make,
    picture: Path,
    load: Callable[[Path], Any] = load_picture,
) -> dict[str, Any]:
    """What a result says of memory: each codec at the middle of its ladder on one file.

    make: a codec by its name; it must pickle, as must load, which reads the file. A codec that
    fails has a line in place of figures.
    """
    found: dict[str, Any] = {"what": WHAT, "picture": picture.name, "codecs": {}}
    if high_water() is None:
        return {**found, "note": "this system does not tell how much memory a process used"}
    # One task a process, for a peak never goes down again.
    spawn = get_context("spawn")
    for codec in codecs:
        setting = codec.settings[len(codec.settings) // 2]
        row: dict[str, Any] = {"setting": setting}
        with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as pool:
            try:
                task = pool.submit(encode_peak, make, codec.name, load, picture, setting)
                row["start"], row["encode"], data = task.result()
                row["decode"] = pool.submit(decode_peak, make, codec.name, data).result()
            except BrokenProcessPool:
                row["failure"] = "the process died"
            except Exception as error:  # of any of the codecs
                row["failure"] = one_line(error, picture)
        found["codecs"][codec.name] = row
    return found


def memory_lines(memory: dict[str, Any]) -> list[str]:
    """Peak memory in a line a codec, or why it is not known."""
    lines = [f"no peak memory: {memory['note']}"] if "note" in memory else []
    for codec, row in memory.get("codecs", {}).items():
        figures = "{start:.0f} at the start, {encode:.0f} encoding, {decode:.0f} decoding"
        text = row["failure"] if "failure" in row else figures.format(**row)
        lines.append(f"peak memory of {codec} {row['setting']}, MiB: {text}")
    return lines
