"""Training sounds: what is read, and what is drawn from it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from hqcodec.errors import HqcodecError
from hqcodec.models import sounds
from hqcodec.models.run import TrainConfig, read_config
from hqcodec.models.sounds import crops


def write(path: Path, seconds: float, rate: int, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    tones = [0.25 * np.sin(2 * np.pi * 300 * (n + 1) * time) for n in range(channels)]
    soundfile.write(path, np.stack(tones, 1), rate)


def test_files_of_any_rate_become_channels_at_the_models(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", 0.5, 44_100, 2)
    write(tmp_path / "below" / "b.flac", 0.25, 16_000)
    (tmp_path / "notes.txt").write_text("no sound")
    found = sounds.load(tmp_path, 24_000, held_out=0)
    assert [len(s) for s in found.train] == [12_000, 12_000, 6_000]
    assert found.held_out == found.train[:1]
    assert abs(int(found.train[0].max()) - 0.25 * 32767) < 100  # 16 bits, no gain
    pitch = np.abs(np.fft.rfft(found.train[1])).argmax() / 0.5
    assert pitch == 600


def test_some_sounds_are_held_out(tmp_path: Path) -> None:
    for n in range(6):
        write(tmp_path / f"{n}.wav", 0.1 + 0.01 * n, 24_000)
    found = sounds.load(tmp_path, 24_000, held_out=0.3)
    assert (len(found.train), len(found.held_out)) == (4, 2)
    assert not {len(s) for s in found.train} & {len(s) for s in found.held_out}
    assert found.describe() == "4 sounds, 2 more held out"


def test_crops_follow_from_seed_and_step_and_stay_in_range() -> None:
    rng = np.random.default_rng(0)
    long = rng.integers(-20_000, 20_000, 5_000).astype(np.int16)
    short = rng.integers(-20_000, 20_000, 300).astype(np.int16)
    first = crops([long, short], 64, 1_000, 0, 7)
    assert first.shape == (64, 1, 1_000) and first.abs().max() <= 1
    assert first.equal(crops([long, short], 64, 1_000, 0, 7))
    assert not first.equal(crops([long, short], 64, 1_000, 0, 8))
    loudest = first.abs().amax((1, 2))
    assert loudest.max() > 4 * loudest[loudest > 0].min()
    plain = crops([long, short], 64, 1_000, 0, 7, scaled=False)
    assert plain.abs().amax((1, 2)).min() > 0.5


def test_a_tenth_of_the_crops_begins_or_ends_with_silence() -> None:
    found = crops([np.full(2_000, 9_000, np.int16)], 400, 500, 0, 0)[:, 0]
    start, end = found[:, 0] == 0, found[:, -1] == 0
    assert 15 < int((start | end).sum()) < 80
    assert start.any() and end.any() and not (start & end).all()


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(HqcodecError, match="no such file or folder of training sounds"):
        sounds.load(tmp_path / "missing", 24_000)
    with pytest.raises(HqcodecError, match="0 sounds found; training needs at least 2"):
        sounds.load(tmp_path, 24_000)
    (tmp_path / "bad.wav").write_bytes(b"RIFF and no more")
    with pytest.raises(HqcodecError, match=r"bad\.wav: not a sound that can be read"):
        sounds.load(tmp_path, 24_000)


def test_held_out_crops_are_drawn_as_they_are(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / f"{n}.wav", 0.1, 24_000)
    found, t = sounds.load(tmp_path, 24_000, held_out=0.4), TrainConfig(crop=400)
    quiet = found.draw(t, 32, 0, 0, held_out=True)
    assert quiet.shape == (32, 1, 400)
    assert float(quiet.abs().amax((1, 2)).std()) < 0.01  # neither scaled nor silenced


def test_the_contexts_are_those_of_the_model_that_they_are_trained_for() -> None:
    whole, contexts = read_config("sound"), read_config("sound-contexts")
    assert whole.model == contexts.model and whole.name == contexts.name
    assert whole.description == contexts.description
    assert contexts.train.freeze == ("encoder.", "decoder.", "quantizers.")
