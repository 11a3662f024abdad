"""Sound files in and out: formats, depths, rates, channels, and what is not right with them."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hqcodec import audio
from hqcodec.audio import Audio, Reader, Writer
from hqcodec.errors import FormatError, HqcodecError
from hqcodec.soundfiles import FORMATS, is_sound
from tones import file, noise, sweep


@pytest.mark.parametrize(
    ("form", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-23),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("AIFF", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
        ("OGG", "VORBIS", 0.02),
        ("OGG", "OPUS", 0.02),
        ("MP3", "MPEG_LAYER_III", 0.02),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_files_of_every_kind_and_depth_are_read(
    form: str, subtype: str, error: float, channels: int
) -> None:
    x = sweep(70_001, 48_000, channels)  # more than a block
    data = file(x, 48_000, form, subtype)
    found = audio.load(data)
    assert (found.rate, found.samples.shape, found.samples.dtype) == (48_000, x.shape, np.float32)
    off = np.abs(found.samples - x)
    assert off.max() <= error if error < 0.01 else off.mean() < error
    assert is_sound(data[:12])


@pytest.mark.parametrize("rate", [1_000, 8_000, 44_100, 192_000, 768_000])
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_sounds_of_every_rate_are_written_or_refused_in_one_line(
    suffix: str, rate: int, channels: int
) -> None:
    x, stream = sweep(5_001, rate, channels), io.BytesIO()
    try:
        audio.save(Audio(x, rate), stream, suffix)
    except HqcodecError as error:
        assert suffix in (".flac", ".mp3")
        assert "\n" not in str(error)
        assert "an MP3 holds 1 or 2" in str(error) or "as flac" in str(error)
        assert not stream.getvalue()
        return
    data = stream.getvalue()
    found = audio.load(data)
    assert is_sound(data[:12])
    assert found.rate == audio.rate_in(suffix, rate)
    assert found.samples.shape == (-(-5_001 * found.rate // rate), channels)
    if FORMATS[suffix][1] == "PCM_16":
        assert np.abs(found.samples - x).max() <= 2**-16


def test_16_bits_are_rounded_clamped_and_given_back_as_they_were() -> None:
    steps = np.array([-40_000, -32_768, -1, -0.5001, 0, 0.4999, 1, 32_767, 32_768, 40_000]) / 32_768
    levels = audio.to_16_bits(steps.astype(np.float32))
    assert levels.tolist() == [-32_768, -32_768, -1, -1, 0, 0, 1, 32_767, 32_767, 32_767]
    every = np.arange(-32_768, 32_768, dtype=np.int16)[:, None]
    stream = io.BytesIO()
    audio.save(audio.load(file(every, 8_000)), stream, ".flac")
    assert np.array_equal(soundfile.read(stream.seek(0) or stream, dtype="int16")[0], every[:, 0])


def test_samples_beyond_full_scale_are_clipped() -> None:
    loud = np.array([[2.0], [-3.0], [0.5]], np.float32)
    assert audio.load(file(loud, 8_000, "WAV", "FLOAT")).samples[:, 0].tolist() == [1, -1, 0.5]
    [block] = Reader(Audio(loud, 8_000)).blocks()
    assert block[:, 0].tolist() == [1, -1, 0.5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_one_line_that_says_where(bad: float) -> None:
    x = noise(100_000, 2)
    x[70_000, 1] = bad
    for source in (io.BytesIO(file(x, 8_000, "WAV", "FLOAT")), Audio(x, 8_000)):
        with pytest.raises(FormatError, match=r"^a\.wav: sample 70000 is infinite or not"):
            with Reader(source, "a.wav") as reader:
                list(reader.blocks())


@pytest.mark.parametrize("samples", [0, 1])
def test_none_and_one_sample_are_sounds(samples: int) -> None:
    for suffix, (form, _) in FORMATS.items():
        stream = io.BytesIO()
        if not samples and form in ("FLAC", "OGG", "MP3"):
            with pytest.raises(HqcodecError, match=r"^no samples; .* cannot say so, a wav"):
                audio.save(Audio(noise(samples), 8_000), stream, suffix)
        else:
            audio.save(Audio(noise(samples), 8_000), stream, suffix)
            assert audio.load(stream.getvalue()).samples.shape == (samples, 1)


def test_more_than_8_channels_are_one_line() -> None:
    with pytest.raises(FormatError, match=r"^9\.wav: 9 channels; a sound has 1 to 8$"):
        Reader(io.BytesIO(file(noise(5, 9), 8_000)), "9.wav")
    with pytest.raises(FormatError, match="9 channels"):
        Audio(noise(5, 9), 8_000)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(5, np.float32), 8_000, r"^samples float32 \(5,\); they are float32 \[samples,ch"),
        (np.zeros((5, 1)), 8_000, r"^samples float64 \(5, 1\)"),
        (np.zeros((5, 0), np.float32), 8_000, "^0 channels"),
        (np.zeros((5, 1), np.float32), 500, "^500 samples a second; a sound has 1000 to 768000$"),
    ],
)
def test_arrays_that_are_no_sound_are_one_line(
    samples: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", rate: int, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        Audio(samples, rate)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF"])
@pytest.mark.parametrize("cut", [0, 3, 12, 40, 200, 5_000])
def test_a_file_that_broke_off_is_read_or_one_line(form: str, cut: int) -> None:
    data = file(noise(20_000, 2), 44_100, form)
    try:
        assert len(audio.load(data[:cut], "a.wav").samples) <= 20_000
    except FormatError as error:
        assert str(error).startswith("a.wav: ") and "\n" not in str(error)
        assert "BytesIO" not in str(error)


def test_what_is_no_sound_is_one_line_with_what_can_be_read() -> None:
    with pytest.raises(FormatError, match=r"^the sound: not a sound, or damaged \(.*\); readable"):
        audio.load(b"RIFF....WAVEgarbage")
    with pytest.raises(FormatError, match=r"readable are WAV, FLAC, OGG, MP3, AIFF"):
        audio.load(b"")


def test_a_wav_with_the_lengths_of_a_pipe_is_read_to_its_end() -> None:
    data = bytearray(file(noise(5_000), 8_000))
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = b"\xff" * 4
    assert len(audio.load(bytes(data)).samples) == 5_000


@pytest.mark.parametrize(
    ("start", "suffix", "sound"),
    [
        (b"RIFF\0\0\0\0WAVE", "", True),
        (b"RIFF\0\0\0\0WEBP", ".wav", False),
        (b"FORM\0\0\0\0AIFC", "", True),
        (b"FORM\0\0\0\0ILBM", "", False),
        (b"fLaC", ".png", True),
        (b"\xff\xfb\x90\x44", "", True),
        (b"\xff\xd8\xff\xe0", "", False),
        (b"\xff\x0a", "", False),
        (b"\x89PNG\r\n\x1a\n", "", False),
        (b"garbage", ".WAV", True),
        (b"garbage", ".png", False),
        (b"", ".opus", True),
        (b"", "", False),
    ],
)
def test_sounds_are_told_by_how_they_start_or_else_by_name(
    start: bytes, suffix: str, sound: bool
) -> None:
    assert is_sound(start, suffix) == sound


def test_a_file_by_its_path_is_read_and_written(tmp_path: Path) -> None:
    x = noise(1_000, 2)
    audio.save(Audio(x, 44_100), tmp_path / "a.FLAC")
    found = audio.load(tmp_path / "a.FLAC")
    assert found.rate == 44_100 and np.abs(found.samples - x).max() <= 2**-16
    with pytest.raises(HqcodecError, match=r"cannot write sounds as '\.xyz'; known are wav, flac"):
        audio.save(found, tmp_path / "a.xyz")
    assert os.listdir(tmp_path) == ["a.FLAC"]
    with pytest.raises(FileNotFoundError):
        audio.load(tmp_path / "none.wav")


def test_a_disk_that_cannot_be_read_is_its_own_error() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 50_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    data = file(noise(200_000), 8_000)
    with pytest.raises(OSError, match="Input/output error"):
        audio.load(Broken(data))


class Full(io.BytesIO):
    """A disk with room for some bytes."""

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        if self.tell() > 10_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_disk_that_runs_full_is_its_own_error(suffix: str) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        with Writer(Full(), suffix, 2, 44_100, 200_000) as writer:
            for seed in range(40):
                writer.write(noise(5_000, 2, seed))
