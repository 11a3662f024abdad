"""How far a decoded sound is from the original.

Both are compared at the original's own rate and level, after a delay of the decoded sound has been
undone. A metric that cannot be had is None with a reason, never a zero. Those of `SPEECH_ONLY` are
asked of speech alone, of the mean of the channels.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from hqcodec.audio import Audio
from hqcodec.benchmarks.alignment import Samples, align, delay, si_sdr
from hqcodec.benchmarks.sound_distance import Spectra, mel_distance, spectra, stft_distance
from hqcodec.errors import HqcodecError

NAMES = ("mel", "stft", "si_sdr", "pesq", "stoi", "visqol")
USUAL = NAMES[:-1]  # ViSQOL takes longer than the sound lasts, so it has to be asked for
SPEECH_ONLY = ("pesq", "stoi")
SPEECH = "speech"  # the kind of sound that these are asked of
# metric -> (module, package that brings it)
PACKAGES = {
    "pesq": ("pesq", "pesq"),
    "stoi": ("pystoi", "pystoi"),
    "visqol": ("visqol", "visqol-python"),
}
PESQ_RATE = 16_000  # of the wide band, ITU-T P.862.2
VISQOL_RATE = 48_000  # of its audio mode


@dataclass
class SoundJudge:
    """Computes the metrics that were asked for.

    names: some of NAMES. notes: why a metric will be None for every sound. The spectra of the last
    original are kept, for it is judged many times.
    """

    names: tuple[str, ...] = USUAL
    notes: Mapping[str, str] = field(default_factory=dict)
    _original: tuple[Audio, int] | None = field(default=None, init=False, repr=False)
    _spectra: Spectra | None = field(default=None, init=False, repr=False)

    def measure(
        self, x: Audio, y: Audio, kind: str
    ) -> tuple[dict[str, float | None], dict[str, str], int]:
        """(metric -> value or None, metric -> why it is None, delay in samples) of y against x.

        y must have x's rate and shape.
        """
        if y.rate != x.rate or y.samples.shape != x.samples.shape:
            raise HqcodecError(f"{shape_of(y)} of a sound of {shape_of(x)}; they must be the same")
        notes = {name: "not asked for" for name in NAMES if name not in self.names}
        notes |= self.notes
        notes |= {m: f"for {SPEECH} only" for m in SPEECH_ONLY if kind != SPEECH and m not in notes}
        found: dict[str, float | None] = dict.fromkeys(NAMES)
        lag = delay(x.samples, y.samples, x.rate)
        a, b = align(x.samples, y.samples, lag)
        if "mel" not in notes or "stft" not in notes:
            with torch.inference_mode():
                theirs = spectra(torch.from_numpy(np.ascontiguousarray(b.T)), x.rate)
                mine = self.spectra_of(x, lag, a)
                found["mel"], found["stft"] = (
                    mel_distance(mine, theirs),
                    stft_distance(mine, theirs),
                )
        if "si_sdr" not in notes:
            found["si_sdr"] = value = si_sdr(a, b)
            if not math.isfinite(value):
                silent = "the original is silent" if math.isnan(value) else "the decoded is silent"
                notes["si_sdr"] = "infinite: the sounds are identical" if value > 0 else silent
        mono = a.mean(1), b.mean(1)
        for name, score in (("pesq", pesq), ("stoi", stoi), ("visqol", visqol)):
            if name not in notes:
                scored = silence(*mono) or score(*mono, x.rate)
                if isinstance(scored, str):
                    notes[name] = scored
                else:
                    found[name] = scored
        for name in notes:
            found[name] = None
        return found, notes, lag

    def spectra_of(self, x: Audio, lag: int, samples: Samples) -> Spectra:
        """Those of an original, of which `samples` are left at this delay."""
        if self._spectra is None or self._original is None or not same(self._original, x, lag):
            self._original = x, lag
            self._spectra = spectra(torch.from_numpy(np.ascontiguousarray(samples.T)), x.rate)
        return self._spectra

    def about(self) -> dict[str, Any]:
        """What a reader needs to compare values."""
        return {"names": [name for name in self.names if name not in self.notes]}


def same(known: tuple[Audio, int], x: Audio, lag: int) -> bool:
    """Whether these are the sound and the delay that are known."""
    return known[0] is x and known[1] == lag


def shape_of(x: Audio) -> str:
    """Samples, channels and rate in words."""
    samples, channels = x.samples.shape
    return f"{samples} samples, {channels} channels at {x.rate} Hz"


def silence(x: NDArray[np.float32], y: NDArray[np.float32]) -> str | None:
    """Which of two sounds [T] is silent, if one is; no score is defined then."""
    if x.any() and y.any():
        return None
    return "the original is silent" if not x.any() else "the decoded is silent"


def pesq(x: NDArray[np.float32], y: NDArray[np.float32], rate: int) -> float | str:
    """Wide-band PESQ (ITU-T P.862.2, 1.04 to 4.64) of y [T] against x [T], or why there is none."""
    from pesq import PesqError
    from pesq import pesq as score

    pair = (soxr.resample(s, rate, PESQ_RATE) for s in (x, y))
    try:
        return float(score(PESQ_RATE, *pair, "wb"))
    except PesqError as error:
        reason = error.args[0] if error.args else type(error).__name__
        return f"PESQ: {reason.decode() if isinstance(reason, bytes) else reason}"


def stoi(x: NDArray[np.float32], y: NDArray[np.float32], rate: int) -> float | str:
    """STOI (Taal et al. 2011, to 1) of y [T] against x [T], or why there is none."""
    from pystoi import stoi as score

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(score(x, y, rate))
        except (RuntimeWarning, ValueError):  # the second where not even one frame is left
            return "STOI: less than .4 seconds of speech"


def visqol(x: NDArray[np.float32], y: NDArray[np.float32], rate: int) -> float | str:
    """ViSQOL v3 in audio mode (Chinen et al. 2020, 1 to 5) of y [T] against x [T], or why not."""
    from visqol import VisqolApi

    pair = (soxr.resample(s.astype(np.float64), rate, VISQOL_RATE) for s in (x, y))
    api = VisqolApi()
    api.create(mode="audio")
    try:
        return float(api.measure_from_arrays(*pair, VISQOL_RATE).moslqo)
    except (ValueError, RuntimeError) as error:  # of sounds too short or too silent for it
        return f"ViSQOL: {' '.join(str(error).split())}"


def make_judge(names: Sequence[str] = USUAL) -> SoundJudge:
    """A judge with what is installed; what is not becomes a note."""
    if unknown := [name for name in names if name not in NAMES]:
        raise HqcodecError(f"metric {unknown[0]!r}; there are {', '.join(NAMES)}")
    notes = {
        metric: f"{package} is not installed (pip install {package})"
        for metric, (module, package) in PACKAGES.items()
        if metric in names and find_spec(module) is None
    }
    return SoundJudge(tuple(names), notes)
