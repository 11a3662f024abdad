"""One sound as a row of spectrograms: the original, ours at several layers, Opus at a like rate.

python -m hqcodec.benchmarks.sound_spectrograms FILE --out FILE.png --layers 1,2,4,8
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from hqcodec.audio import Audio
from hqcodec.benchmarks.report import NAMES
from hqcodec.benchmarks.script import run
from hqcodec.benchmarks.sound_baselines import SoundCodec, baseline, ours
from hqcodec.benchmarks.sound_distance import stft
from hqcodec.benchmarks.sound_sweep import fitted
from hqcodec.benchmarks.sounds import load_sound
from hqcodec.errors import HqcodecError

WINDOW = 1024  # samples, with a quarter of it between frames
RANGE = 80.0  # dB below the loudest of the original that are still told apart
COLUMNS = 3  # panels side by side
Shown = tuple[str, Audio]


def levels(x: Audio) -> NDArray[np.float32]:
    """Level in dB of the mean of the channels, [WINDOW//2+1, frames]."""
    mono = torch.from_numpy(x.samples.mean(1, keepdims=True).T.copy())
    mono = torch.nn.functional.pad(mono, (0, max(0, WINDOW - mono.shape[-1])))
    magnitude = stft(mono, WINDOW)[0].abs().clamp(min=1e-9)
    return np.asarray(20 * magnitude.log10(), np.float32)


def draw(path: Path, shown: Sequence[Shown]) -> None:
    """Write a PNG of spectrograms; the first is the original, whose loudest bin is 0 dB."""
    from matplotlib.figure import Figure

    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(4.4 * COLUMNS, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False).flat
    loudest = levels(shown[0][1]).max()
    for axes, (name, x) in zip(grid, shown, strict=False):
        seconds, top = len(x.samples) / x.rate, x.rate / 2000
        axes.imshow(
            levels(x),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, top),
            vmin=loudest - RANGE,
            vmax=loudest,
            cmap="magma",
        )
        axes.set_title(name, fontsize=9)
        axes.set_ylabel("kHz", fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in list(figure.axes)[len(shown) :]:
        axes.axis("off")
    figure.savefig(path, dpi=110, format="png", metadata={"Software": None})


def beginning(path: Path, seconds: float) -> Audio:
    """The first seconds of a sound file."""
    x = load_sound(path)
    if not len(x.samples):
        raise HqcodecError(f"{path.name} has no samples")
    return Audio(x.samples[: max(1, round(seconds * x.rate))], x.rate)


def views(x: Audio, mine: SoundCodec, rival: SoundCodec, layers: Sequence[int]) -> list[Shown]:
    """The original, ours at these layers, and the rival at the rate nearest to our last one."""
    seconds = len(x.samples) / x.rate

    def kbps(data: bytes) -> float:
        return 8e-3 * len(data) / seconds

    shown = [(f"original, {x.rate / 1000:g} kHz", x)]
    for count in layers:
        data = mine.encode(x, count)
        title = f"{mine.name}, {count} layer{'s' * (count != 1)}, {kbps(data):.1f} kbit/s"
        shown.append((title, fitted(mine.decode(data), x)))
    goal = kbps(data)
    theirs = [rival.encode(x, setting) for setting in rival.settings]
    nearest = min(theirs, key=lambda data: abs(kbps(data) - goal))
    title = f"{NAMES.get(rival.name, rival.name)}, {kbps(nearest):.1f} kbit/s"
    shown.append((title, fitted(rival.decode(nearest), x)))
    return shown


def spectrograms(
    file: Annotated[Path, typer.Argument(help="A sound.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")],
    model: Annotated[str, typer.Option(help="Name or path of a model of sound.")] = "sound",
    layers: Annotated[str, typer.Option(help="Numbers of layers to show.")] = "1,2,4,8",
    seconds: Annotated[float, typer.Option(help="Take so many from the beginning.")] = 5.0,
) -> None:
    """Draw a sound before and after."""
    mine, x = ours(model), beginning(file, seconds)
    counts = [int(count) for count in layers.split(",") if count.strip().isdecimal()]
    if not counts or not set(counts) <= set(mine.settings):
        raise HqcodecError(f"layers {layers!r}; the model has 1 to {len(mine.settings)}")
    draw(out, views(x, mine, baseline("opus"), counts))
    typer.echo(f"wrote {out}")


if __name__ == "__main__":
    run(spectrograms)
