"""Opus, MP3 and Vorbis: the rate that was asked for, the sound that comes back."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import hqcodec
from hqcodec.audio import Audio
from hqcodec.benchmarks.alignment import align, delay, si_sdr
from hqcodec.benchmarks.sound_baselines import (
    BASELINES,
    Truncated,
    baseline,
    mp3,
    ogg_payload,
    opus,
    ours,
    resampled,
    vorbis,
)
from hqcodec.benchmarks.sound_codes import survey
from hqcodec.benchmarks.sound_sweep import fitted
from hqcodec.container import read
from hqcodec.errors import HqcodecError
from hqcodec.models.sound import Sound, SoundConfig
from waves import noise, packed, save, sine

TINY = SoundConfig(
    layers=3, codebook=4, dim=4,
    encoder_width=8, encoder_blocks=1, decoder_width=8, decoder_blocks=1,
)  # fmt: skip


def kbps(data: bytes, seconds: float) -> float:
    return 8e-3 * len(data) / seconds


@pytest.mark.parametrize("setting", BASELINES["mp3"].settings)
def test_mp3_has_the_rate_that_was_asked_for(setting: int) -> None:
    # One more frame than there are, for the encoder's delay, and one that describes the file.
    assert kbps(mp3(noise(10, 24_000), setting), 10) == pytest.approx(setting, rel=0.03)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_mp3_of_16_kbit_is_that_at_every_rate_of_the_sound(rate: int) -> None:
    assert kbps(mp3(noise(10, rate), 16), 10) == pytest.approx(16, rel=0.03)


@pytest.mark.parametrize("setting", [8, 12, 16, 24, 32])
def test_opus_has_about_the_rate_that_was_asked_for(setting: int) -> None:
    """A variable rate aims at it, Ogg's pages and the headers come on top."""
    assert setting * 0.75 < kbps(opus(noise(10, 24_000), setting), 10) < setting * 1.25 + 1


@pytest.mark.parametrize("name", list(BASELINES))
def test_rates_rise_from_setting_to_setting(name: str) -> None:
    codec = BASELINES[name]
    sizes = [len(codec.encode(noise(4, 24_000), setting)) for setting in codec.settings]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("rate", [11_025, 16_000, 22_050, 24_000, 44_100])
def test_what_comes_back_is_the_sound_at_its_rate_and_length(name: str, rate: int) -> None:
    x = sine(440, 1.0, rate)
    codec = BASELINES[name]
    y = fitted(codec.decode(codec.encode(x, codec.settings[-1])), x)
    assert y.rate == rate and y.samples.shape == x.samples.shape
    lag = delay(x.samples, y.samples, rate)
    assert si_sdr(*align(x.samples, y.samples, lag)) > 15


@pytest.mark.parametrize("encode", [opus, mp3, vorbis])
def test_stereo_stays_stereo_and_a_rate_beyond_the_format_is_lowered(encode: object) -> None:
    assert callable(encode)
    x = noise(0.5, 192_000, channels=2)
    assert BASELINES["mp3"].decode(encode(x, 32)).samples.shape[1] == 2


@pytest.mark.parametrize("encode", [opus, vorbis])
def test_what_is_not_page_headers_of_an_ogg_file_is_its_payload(encode: object) -> None:
    assert callable(encode)
    data = encode(noise(5, 24_000), 12)
    headers = sum(27 + data[at + 26] for at in range(len(data)) if data[at : at + 4] == b"OggS")
    assert ogg_payload(data) == len(data) - headers > 0


def test_a_decoded_sound_is_cut_or_filled_to_the_length_of_the_original() -> None:
    x = sine(440, 0.1)
    longer = replace(x, samples=np.pad(x.samples, ((0, 50), (0, 0))))
    assert np.array_equal(fitted(longer, x).samples, x.samples)
    shorter = replace(x, samples=x.samples[:-50])
    assert fitted(shorter, x).samples.shape == x.samples.shape
    assert not fitted(shorter, x).samples[-50:].any()
    with pytest.raises(HqcodecError, match="1 channels come back of 2"):
        fitted(x, noise(0.1, channels=2))


def test_resampling_keeps_a_sine_a_sine() -> None:
    x = sine(440, 1.0, 16_000)
    assert resampled(x, 16_000) is x
    y = resampled(x, 24_000)
    inner = slice(1000, -1000)
    assert np.allclose(y.samples[inner], sine(440, 1.0, 24_000).samples[inner], atol=1e-3)


def test_a_codec_that_is_not_there_is_one_line() -> None:
    with pytest.raises(HqcodecError, match="codec 'aac'; there are opus, mp3, vorbis"):
        baseline("aac")


def test_files_cut_from_the_largest_are_those_that_fewer_layers_give(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    m = Sound(TINY).eval()
    m.initialize(torch.from_numpy(noise(2.0, 24_000).samples.reshape(8, 1, -1)))
    monkeypatch.setattr(hqcodec, "load", lambda model: m)
    codec, x = ours("tiny"), noise(0.7, channels=2)
    assert codec.settings == (1, 2, 3)
    for layers in codec.settings:
        data = codec.encode(x, layers)
        assert data == hqcodec.compress(x, model=m, layers=layers)
        y = codec.decode(data)
        assert (y.rate, y.samples.shape) == (x.rate, x.samples.shape)
        assert codec.payload(data) == sum(len(part) for part in read(data).payloads)
    [row, *_] = survey(m, codec, [save(tmp_path / "a.wav", x)])["layers"]
    assert 0 < row["static"] <= row["raw"] == pytest.approx(2 * 53 * 2 * 2 / 0.7 / 1000)


def test_a_model_of_pictures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hqcodec, "load", lambda model: SimpleNamespace(kind="picture", name="p"))
    with pytest.raises(HqcodecError, match="model p codes pictures, not sound"):
        ours("p")


def test_smaller_files_are_cut_from_the_largest_which_is_made_once_a_sound() -> None:
    made: list[Audio] = []

    def whole(x: Audio) -> bytes:
        made.append(x)
        return packed(tuple(bytes([len(made)]) * n for n in (3, 4, 5)))

    encode, x, y = Truncated(whole), noise(0.1), noise(0.1, seed=1)
    files = [encode(x, 1), encode(x, 3), encode(y, 2), encode(y, 3)]
    assert [read(f).payloads for f in files] == [
        (b"\1" * 3,),
        (b"\1" * 3, b"\1" * 4, b"\1" * 5),
        (b"\2" * 3, b"\2" * 4),
        (b"\2" * 3, b"\2" * 4, b"\2" * 5),
    ]
    assert made == [x, y]
