"""Training sounds: folders of files of any rate and length.

Everything is kept in memory as 16-bit samples at the model's rate. The batch of a step is a
function of (seed, step) alone, so a resumed run sees what an unbroken one would have seen.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.run import TrainConfig

Samples = npt.NDArray[np.int16]  # [T], one channel

SUFFIXES = {".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}
LOUDER, SOFTER = 2.0, 0.1  # crops are scaled by factors drawn from here, evenly in decibels
SILENCED = 0.1  # part of the crops that digital silence begins or ends, as recordings do


@dataclass(frozen=True)
class Sounds:
    """A training part and a held-out part; each channel of a file is a sound of its own."""

    train: list[Samples]
    held_out: list[Samples]

    def draw(
        self, t: TrainConfig, count: int, seed: int, step: int, held_out: bool = False
    ) -> Tensor:
        """`Examples.draw`: [count,1,crop] in -1..1."""
        sounds = self.held_out if held_out else self.train
        return crops(sounds, count, t.crop, seed, step, scaled=not held_out)

    def describe(self) -> str:
        """`Examples.describe`."""
        return f"{len(self.train)} sounds, {len(self.held_out)} more held out"


def load(source: Path, rate: int, held_out: float = 0.02) -> Sounds:
    """Read a file or a folder of sounds, resampled to `rate`.

    held_out: share kept for validation, every 1/held_out-th in the order of names, at least one;
        0 keeps none, and validates on the first sound.
    Raises HqcodecError if nothing can be read.
    """
    if not source.exists():
        raise HqcodecError(f"{source}: no such file or folder of training sounds")
    paths = [source]
    if source.is_dir():
        paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    items = [channel for path in paths for channel in _channels(path, rate) if len(channel)]
    if len(items) < 2:
        raise HqcodecError(f"{source}: {len(items)} sounds found; training needs at least 2")
    if not held_out:
        return Sounds(items, items[:1])
    every = max(2, round(1 / held_out))
    places = set(range(every // 2, len(items), every)) or {0}
    parts: tuple[list[Samples], list[Samples]] = ([], [])
    for place, item in enumerate(items):
        parts[place in places].append(item)
    return Sounds(*parts)


def _channels(path: Path, rate: int) -> list[Samples]:
    """The channels of a file."""
    try:
        samples, found = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise HqcodecError(f"{path}: not a sound that can be read ({error})") from None
    samples = soxr.resample(samples, found, rate)
    levels = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
    return list(np.ascontiguousarray(levels.T))


def crops(
    sounds: list[Samples], count: int, size: int, seed: int, step: int, scaled: bool = True
) -> Tensor:
    """`count` random crops [count,1,size] in -1..1; a sound shorter than that is repeated.

    scaled: whether they are made louder or softer at random, but not clipped, and some of them
    silent up to a place or from there on.
    """
    rng = np.random.default_rng([seed, step])
    lengths = np.array([len(s) for s in sounds], dtype=np.float64)
    chosen = rng.choice(len(sounds), count, p=lengths / lengths.sum())
    return torch.from_numpy(np.stack([_crop(sounds[i], size, rng, scaled) for i in chosen]))


def _crop(
    samples: Samples, size: int, rng: np.random.Generator, scaled: bool
) -> npt.NDArray[np.float32]:
    if len(samples) < size:
        samples = np.resize(samples, size)
    start = int(rng.integers(len(samples) - size + 1))
    piece = samples[start : start + size].astype(np.float32) / np.float32(32768)
    if scaled:
        factor = SOFTER * (LOUDER / SOFTER) ** rng.random()
        piece *= np.float32(min(factor, 1 / max(1e-3, float(np.abs(piece).max()))))
        if rng.random() < SILENCED:
            place = int(rng.integers(size + 1))
            piece[slice(place) if rng.random() < 0.5 else slice(place, None)] = 0
    return piece[None]
