"""How much later a decoded sound is than the original, and what is left when that is undone."""

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [T, channels] in -1..1

LONGEST = 0.1  # seconds of delay that are looked for; MP3's is .05
# A delay counts only if undoing it takes away a fifth of the energy that the original does not
# explain: noise of which only the spectrum is coded correlates a little at any delay.
GAIN = 0.8


def delay(x: Samples, y: Samples, rate: int) -> int:
    """Samples by which y [T, channels] is later than x, by cross-correlation; negative: earlier.

    The delay of at most LONGEST seconds at which the differences of neighbours correlate best: a
    codec may turn the phase of a loud hum, which is no delay. 0 if that explains little of y.
    """
    reach = min(round(LONGEST * rate), len(x) - 1)
    if reach < 1:
        return 0
    steps, later = (np.diff(s.astype(np.float64), axis=0) for s in (x, y))
    best = int(explained(steps, later, reach).argmax())
    levels = explained(x - x.mean(0, dtype=np.float64), y - y.mean(0, dtype=np.float64), reach)
    return best - reach if 1 - levels[best] < GAIN * (1 - levels[reach]) else 0


def explained(a: NDArray[np.float64], b: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Share of b's energy [T, channels] that a explains at delays of -reach..reach: [2*reach+1].

    What would explain it only with the opposite sign does not count.
    """
    energy = float((a * a).sum() * (b * b).sum())
    size = 1 << (len(a) + reach).bit_length()  # a power of two, long enough not to wrap around
    spectrum = np.fft.rfft(a, size, axis=0).conj() * np.fft.rfft(b, size, axis=0)
    correlation: NDArray[np.float64] = np.fft.irfft(spectrum.sum(1), size)
    return correlation[np.arange(-reach, reach + 1)].clip(min=0) ** 2 / (energy or 1.0)


def align(x: Samples, y: Samples, lag: int) -> tuple[Samples, Samples]:
    """What x and y [T, channels] share when y is `lag` samples late: [T-|lag|, channels] each."""
    if lag < 0:
        return x[-lag:], y[:lag]
    return x[: len(x) - lag], y[lag:]


def si_sdr(x: Samples, y: Samples) -> float:
    """Scale-invariant ratio of signal to distortion of y [T, channels] in dB, x being the signal.

    Le Roux et al., "SDR - half-baked or well done?" (2019), of means removed and all channels
    together, as DAC has it. Infinite if y is a multiple of x; minus infinity if y is silent, nan if
    x is.
    """
    a, b = (np.ravel(s - s.mean(0, dtype=np.float64), "F") for s in (x, y))
    if not a.any():
        return math.nan
    target = a * ((a @ b) / (a @ a))
    signal, noise = float(target @ target), float(np.square(b - target).sum())
    if not signal:
        return -math.inf
    # What is left of a float32 sound that was only scaled is rounding.
    return 10 * math.log10(signal / noise) if noise > 1e-14 * signal else math.inf
