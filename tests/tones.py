"""Sounds and a small model of sound, made on the spot."""

import io
from functools import cache
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from hqcodec.models.sound import Sound, SoundConfig

SMALL = SoundConfig(
    layers=3, codebook=8, dim=3, encoder_width=6, encoder_blocks=1, decoder_width=6,
    decoder_blocks=1, context=4,
)  # fmt: skip


def sweep(samples: int, rate: int = 24_000, channels: int = 1) -> NDArray[np.float32]:
    """A tone that rises from 100 to 4000 Hz, softer in each further channel: [samples,channels]."""
    t = np.arange(samples) / rate
    length = max(1, samples) / rate
    pitch = 100 * t + (min(4000, rate / 3) - 100) * t**2 / (2 * length)
    tone = 0.5 * np.sin(2 * np.pi * pitch)
    return np.stack([tone / (1 + n) for n in range(channels)], 1).astype(np.float32)


def noise(samples: int, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """[samples,channels] float32 in -0.5..0.5."""
    rng = np.random.default_rng(seed)
    return (rng.random((samples, channels), np.float32) - 0.5).astype(np.float32)


def file(samples: NDArray[Any], rate: int, form: str = "WAV", subtype: str | None = None) -> bytes:
    """The bytes of a sound file."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, subtype, format=form)
    return stream.getvalue()


@cache
def small_sound() -> Sound:
    """A model of three layers after a few steps of training, so that its codes vary."""
    torch.manual_seed(0)
    model = Sound(SMALL)
    x = torch.from_numpy(np.concatenate([sweep(48_000), noise(48_000)])).view(12, 1, -1)
    model.initialize(x)
    optimizer = torch.optim.Adam(model.parameter_groups(2e-3))
    for step in range(4):
        optimizer.zero_grad()
        model.loss(x, step)["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.requires_grad_(False)
    model.name, model.hash = "small", bytes(range(32))
    return model.eval()
