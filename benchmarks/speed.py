"""Seconds and peak memory of the command line: `python -m hqcodec.benchmarks.speed [--out FILE]`.

Every figure is of a process of its own, the start of Python and torch included; `codec_seconds` is
what is left of it without that start. The picture is the demo's photograph, enlarged, with noise.
At the root of the repository it brings the README's table up to date too.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from hqcodec.benchmarks.demo import sample
from hqcodec.benchmarks.report import markdown, replace_block
from hqcodec.benchmarks.results import SCHEMA, Result, environment, write_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError

JSON = Path("benchmarks/speed.json")
README = Path("README.md")
BLOCK = "speed"
SIZES = ((768, 512), (2048, 1536), (4000, 3000))  # pixels
HQCODEC = (sys.executable, "-c", "from hqcodec.cli.main import main; main()")
START = (sys.executable, "-c", "import os, sys, hqcodec; hqcodec.load(sys.argv[1]); os._exit(0)")


def measure(command: tuple[str, ...], runs: int = 3) -> tuple[float, float]:
    """Wall seconds (the least of `runs`) and peak resident memory in MB of a command."""
    seconds, peak = [], 0.0
    for _ in range(runs):
        start = perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise HqcodecError(f"exit code {process.returncode}: {' '.join(command)}")
        seconds.append(perf_counter() - start)
        scale = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss, bytes or kB
        peak = max(peak, usage.ru_maxrss / scale)
    return min(seconds), peak


def paint(width: int, height: int) -> Image.Image:
    """A picture with detail at every scale."""
    pixels = np.asarray(sample().resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = np.random.default_rng(0).integers(-6, 7, pixels.shape, np.int16)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def speed(
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    largest: Annotated[int, typer.Option(help="Megapixels of the largest picture.")] = 12,
) -> None:
    """Time compress and decompress, at the default number of layers, over picture sizes."""
    start, _ = measure((*START, model))
    records: list[dict[str, Any]] = [
        {"what": name, "seconds": measure((*HQCODEC, name))[0]} for name in ("--help", "models")
    ]
    with tempfile.TemporaryDirectory() as folder:
        for width, height in (size for size in SIZES if size[0] * size[1] <= largest * 1e6):
            picture, packed, back = (Path(folder, name) for name in ("a.png", "a.hqc", "b.png"))
            paint(width, height).save(picture, compress_level=1)
            there = ("compress", str(picture), "-o", str(packed), "-m", model, "-f")
            again = ("decompress", str(packed), "-o", str(back), "-m", model, "-f")
            for command in (there, again):
                seconds, peak = measure((*HQCODEC, *command), 3 if width < 1000 else 1)
                records.append(
                    {
                        "what": command[0],
                        "width": width,
                        "height": height,
                        "seconds": seconds,
                        "codec_seconds": seconds - start,
                        "peak_megabytes": peak,
                    }
                )
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    result = {
        "schema": SCHEMA,
        "start_seconds": start,
        **environment(threads),
        "records": records,
    }
    write_result(out, result)
    if out == JSON and README.is_file():
        replace_block(README, BLOCK, table(result))
    typer.echo(table(result))


def table(result: Result) -> str:
    """The README's table: a row a picture size."""
    sizes: dict[tuple[int, int], dict[str, dict[str, Any]]] = {}
    for record in result["records"]:
        if "width" in record:
            key = record["width"], record["height"]
            sizes.setdefault(key, {})[record["what"]] = record
    rows = []
    for (width, height), by_command in sizes.items():
        both = [by_command[command] for command in ("compress", "decompress")]
        rows.append(
            [
                f"{width}x{height}",
                *(f"{record['codec_seconds']:.1f}" for record in both),
                *(f"{record['peak_megabytes']:,.0f}" for record in both),
            ]
        )
    heads = ["pixels", "compress s", "decompress s", "compress MB", "decompress MB"]
    machine = result["machine"]
    about = (
        "Of the command line at the default number of layers, memory at its peak. Python, torch "
        f"and the weights take {result['start_seconds']:.1f} s more to start. "
        f"{machine['platform']}, {machine['cpus']} cores, {machine['torch_threads']} threads."
    )
    return f"{markdown(heads, rows)}\n\n{about}"


if __name__ == "__main__":
    run(speed)
