"""Which metrics of sound there are, and why one is not."""

import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from hqcodec.audio import Audio
from hqcodec.benchmarks import sound_metrics
from hqcodec.benchmarks.sound_metrics import NAMES, USUAL, SoundJudge, make_judge
from hqcodec.errors import HqcodecError
from waves import noise

PLAIN = ("mel", "stft", "si_sdr")


def noisy(x: Audio, level: float) -> Audio:
    """The sound with white noise on it."""
    more = level * np.random.default_rng(9).standard_normal(x.samples.shape)
    return replace(x, samples=(x.samples + more).astype(np.float32))


def test_a_noisier_copy_is_worse_in_every_metric_that_is_installed() -> None:
    judge, x = make_judge(), noise(3.0)
    good, _, _ = judge.measure(x, noisy(x, 0.001), "speech")
    bad, notes, lag = judge.measure(x, noisy(x, 0.1), "speech")
    assert lag == 0
    assert set(judge.about()["names"]) == set(USUAL) - set(notes) >= set(PLAIN)
    for name in judge.about()["names"]:
        a, b = good[name], bad[name]
        assert a is not None and b is not None
        assert a < b if name in ("mel", "stft") else a > b


def test_an_identical_sound_has_distances_of_zero_and_no_finite_si_sdr() -> None:
    found, notes, _ = SoundJudge(PLAIN).measure(x := noise(), x, "music")
    assert found["mel"] == found["stft"] == 0
    assert found["si_sdr"] is None
    assert notes["si_sdr"] == "infinite: the sounds are identical"


def test_silence_has_distances_and_a_reason_for_what_it_lacks() -> None:
    x, silence = noise(), replace(noise(), samples=np.zeros_like(noise().samples))
    found, notes, _ = make_judge().measure(x, silence, "speech")
    assert found["mel"] and found["si_sdr"] is None
    assert notes["si_sdr"] == "the decoded is silent"
    assert all(notes[m].startswith(("the decoded is silent", f"{p} is not installed")) for m, p in
               (("pesq", "pesq"), ("stoi", "pystoi")))  # fmt: skip
    _, notes, _ = make_judge().measure(silence, x, "speech")
    assert notes["si_sdr"] == "the original is silent"
    assert all(found[name] is None for name in notes)


def test_a_delayed_copy_is_judged_after_its_delay_is_undone() -> None:
    x = noise()
    y = replace(x, samples=np.pad(x.samples, ((576, 0), (0, 0)))[: len(x.samples)])
    found, _, lag = SoundJudge(PLAIN).measure(x, noisy(y, 0.001), "music")
    assert lag == 576
    assert found["si_sdr"] is not None and found["si_sdr"] > 30
    again, _, lag = SoundJudge(PLAIN).measure(x, noisy(x, 0.001), "music")
    assert lag == 0 and again["si_sdr"] != found["si_sdr"]


def test_spectra_of_the_original_are_kept_for_the_same_question_only() -> None:
    judge, x, other = SoundJudge(PLAIN), noise(seed=1), noise(seed=2)
    fresh = SoundJudge(PLAIN).measure(other, x, "music")
    judge.measure(x, other, "music")
    assert judge.measure(other, x, "music") == fresh == judge.measure(other, x, "music")


def test_speech_metrics_are_asked_of_speech_only() -> None:
    _, notes, _ = make_judge().measure(noise(), noisy(noise(), 0.01), "music")
    assert {"pesq", "stoi"} <= set(notes)


def test_what_is_not_installed_is_a_note_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_metrics, "find_spec", lambda name: None)
    judge = make_judge()
    assert judge.notes["pesq"] == "pesq is not installed (pip install pesq)"
    found, _, _ = judge.measure(noise(), noisy(noise(), 0.01), "speech")
    assert found["pesq"] is found["stoi"] is None and found["mel"]
    assert judge.about() == {"names": list(PLAIN)}


def test_pesq_stoi_and_visqol_get_what_they_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins, for none need be installed: 16 kHz, the sound's own rate, and 48 kHz."""
    asked: dict[str, tuple[int, int]] = {}
    for name in ("pesq", "pystoi", "visqol"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)

    def pesq(rate: int, x: np.ndarray, y: np.ndarray, mode: str) -> float:
        assert mode == "wb" and len(x) == len(y)
        asked["pesq"] = rate, len(x)
        return 3.5

    def stoi(x: np.ndarray, y: np.ndarray, rate: int) -> float:
        asked["stoi"] = rate, len(x)
        return 0.75

    class VisqolApi:
        def create(self, mode: str) -> None:
            assert mode == "audio"

        def measure_from_arrays(self, x: np.ndarray, y: np.ndarray, rate: int) -> SimpleNamespace:
            asked["visqol"] = rate, len(x)
            return SimpleNamespace(moslqo=4.25)

    monkeypatch.setattr(sys.modules["visqol"], "VisqolApi", VisqolApi, raising=False)
    monkeypatch.setattr(sys.modules["pesq"], "pesq", pesq, raising=False)
    monkeypatch.setattr(sys.modules["pesq"], "PesqError", RuntimeError, raising=False)
    monkeypatch.setattr(sys.modules["pystoi"], "stoi", stoi, raising=False)
    x = noise(1.0, 24_000)
    found, notes, _ = make_judge(NAMES).measure(x, noisy(x, 0.01), "speech")
    assert (found["pesq"], found["stoi"], found["visqol"]) == (3.5, 0.75, 4.25)
    assert asked == {"pesq": (16_000, 16_000), "stoi": (24_000, 24_000), "visqol": (48_000, 48_000)}
    assert notes == {}
    asked.clear()
    _, notes, _ = make_judge().measure(x, noisy(x, 0.01), "speech")
    assert notes == {"visqol": "not asked for"} and "visqol" not in asked


def test_metrics_and_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(HqcodecError, match="metric 'psnr'; there are mel"):
        make_judge(["psnr"])
    with pytest.raises(HqcodecError, match="16000 samples, 1 channels at 16000 Hz; they must"):
        SoundJudge().measure(noise(), noise(0.5), "music")
