"""Generated sounds, and a codec of sound small enough to check by hand."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from hqcodec import container
from hqcodec.audio import Audio
from hqcodec.benchmarks.sound_baselines import SoundCodec

HEADER = 5  # bytes of the toy's file: bits, rate


def noise(seconds: float = 1.0, rate: int = 16_000, seed: int = 0, channels: int = 1) -> Audio:
    """Brown noise that swells and fades four times a second, as speech does: [T, channels]."""
    count = round(seconds * rate)
    steps = np.random.default_rng(seed).standard_normal((count, channels))
    x = np.cumsum(steps, 0) + 8 * steps
    x -= x.mean(0)
    swell = 1.2 + np.sin(2 * np.pi * 4 * np.arange(count) / rate)[:, None]
    return Audio((0.4 * x / np.abs(x).max() * swell).astype(np.float32), rate)


def sine(frequency: float, seconds: float = 1.0, rate: int = 16_000) -> Audio:
    """A sine of amplitude .5: [T, 1]."""
    t = np.arange(round(seconds * rate)) / rate
    return Audio((0.5 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)[:, None], rate)


def quantized(x: NDArray[np.float32], bits: int) -> NDArray[np.int16]:
    """Whole multiples of 2^-bits, of samples in -1..1."""
    return np.round(x * (1 << bits)).astype(np.int16)


def encode(x: Audio, bits: int) -> bytes:
    """Keep so many bits of every sample, of one channel."""
    packed = zlib.compress(quantized(x.samples, bits).tobytes(), 9)
    return bytes([bits]) + x.rate.to_bytes(4, "big") + packed


def decode(data: bytes) -> Audio:
    """Inverse of `encode`, up to the bits that are gone."""
    kept = np.frombuffer(zlib.decompress(data[HEADER:]), np.int16)
    samples = (kept / (1 << data[0])).astype(np.float32)[:, None]
    return Audio(samples, int.from_bytes(data[1:HEADER], "big"))


def codec(name: str = "toy") -> SoundCodec:
    """The toy, as the bench takes it."""
    about = {"setting": "bits", "model": "stub", "weights": "00"}
    return SoundCodec(name, ".toy", (2, 4, 8), encode, decode, lambda b: len(b) - HEADER, about)


def packed(payloads: tuple[bytes, ...]) -> bytes:
    """A .hqc file with these payloads; all else is that of the golden file."""
    c = container.read((Path(__file__).parent / "golden" / "small.hqc").read_bytes())
    return container.write(replace(c, payloads=payloads, declared=len(payloads)))


def save(path: Path, x: Audio) -> Path:
    """Write a sound in 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x.samples, x.rate, subtype="PCM_16")
    return path
