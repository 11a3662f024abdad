"""Folders of sound files as standardised log-mel spectrograms, to train on and to test with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import torch.nn.functional as F
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.log_mel import BINS, HOP, RATE, Scale, log_mel
from hqcodec.models.sounds import SUFFIXES

SECONDS = 4  # shorter sounds are padded with silence to this, as the paper's are
FRAMES = SECONDS * RATE // HOP  # 344 frames of test sounds


@dataclass(frozen=True)
class Spectrograms:
    """Standardised by what is trained on: [BINS,frames] each, FRAMES frames or more.

    names: of the test sounds' files, without suffix.
    """

    train: list[Tensor]
    test: Tensor  # [N,1,BINS,FRAMES], the first SECONDS of each sound
    names: list[str]
    scale: Scale


def load(data: Path, test: Path) -> Spectrograms:
    """Both folders; HqcodecError if one has no sound or lies in the other."""
    inside = data.resolve(), test.resolve()
    if inside[0] == inside[1] or inside[0] in inside[1].parents or inside[1] in inside[0].parents:
        raise HqcodecError(f"{data} and {test} share files; test on others than those trained on")
    train = list(read(data).values())
    scale = Scale.of(train)
    tests = {name: scale.standardise(x)[:, :FRAMES] for name, x in read(test).items()}
    standard = [scale.standardise(x) for x in train]
    return Spectrograms(standard, torch.stack(list(tests.values()))[:, None], list(tests), scale)


def read(folder: Path) -> dict[str, Tensor]:
    """Log-mel spectrograms [BINS,frames] in nats of all sounds below a folder, by name, in order.

    HqcodecError if there is none, or one cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise HqcodecError(f"{folder}: no sound files ({', '.join(sorted(SUFFIXES))})")
    names = (path.relative_to(folder).with_suffix("").as_posix() for path in paths)
    return dict(zip(names, map(log_mel, map(samples, paths)), strict=True))


def samples(path: Path) -> Tensor:
    """A sound file's channels' mean at RATE, SECONDS or longer: [T] in -1..1."""
    try:
        found, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise HqcodecError(f"{path}: not a sound that can be read ({error})") from None
    mono = torch.from_numpy(np.asarray(soxr.resample(found.mean(1), rate, RATE)))
    return F.pad(mono, (0, max(0, SECONDS * RATE - len(mono))))


def crops(spectrograms: Sequence[Tensor], count: int, frames: int, seed: int, step: int) -> Tensor:
    """`count` random crops [count,1,BINS,frames]: of a random sound, from a random frame.

    A function of (seed, step) alone. HqcodecError if a spectrogram is shorter than the crop.
    """
    if (shortest := min(x.shape[1] for x in spectrograms)) < frames:
        raise HqcodecError(f"a sound of {shortest} frames; crops have {frames}")
    rng = np.random.default_rng([seed, step])
    drawn = torch.empty(count, 1, BINS, frames)
    for place in range(count):
        chosen = spectrograms[int(rng.integers(len(spectrograms)))]
        start = int(rng.integers(chosen.shape[1] - frames + 1))
        drawn[place, 0] = chosen[:, start : start + frames]
    return drawn
