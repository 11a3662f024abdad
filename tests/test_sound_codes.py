"""Rates of codes against theory, speeds, and a plan from end to end, with a tiny model."""

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from hqcodec.audio import Audio
from hqcodec.benchmarks import sound_baselines, sound_speed
from hqcodec.benchmarks.memory import decode_peak, encode_peak
from hqcodec.benchmarks.plan import Outputs
from hqcodec.benchmarks.results import read_result
from hqcodec.benchmarks.sound_baselines import SoundCodec, mp3
from hqcodec.benchmarks.sound_codes import codes_of, counted, survey
from hqcodec.benchmarks.sound_plan import SoundPlan, chosen, measure
from hqcodec.benchmarks.sound_speed import excerpt, speed, speeds, typical
from hqcodec.benchmarks.sounds import find_sounds, load_sound
from hqcodec.errors import HqcodecError
from hqcodec.models.sound import Sound, SoundConfig
from waves import codec, noise, packed, save, sine

TINY = SoundConfig(
    layers=3, codebook=4, dim=4,
    encoder_width=8, encoder_blocks=1, decoder_width=8, decoder_blocks=1,
)  # fmt: skip


@pytest.fixture
def model() -> Sound:
    torch.manual_seed(0)
    m = Sound(TINY)
    m.initialize(torch.from_numpy(noise(2.0, 24_000).samples.reshape(8, 1, -1)))
    return m.eval()


def payloads(sizes: tuple[int, ...]) -> SoundCodec:
    """A codec whose files have payloads of these sizes, whatever the sound."""
    file = packed(tuple(bytes(size) for size in sizes))
    return replace(codec("hqcodec"), encode=lambda x, layers: file)


def test_codes_have_a_frame_every_320_samples_at_the_models_rate(model: Sound) -> None:
    found = codes_of(model, noise(1.0, 16_000, channels=2))
    assert [layer.shape for layer in found] == [(2, 2, 75)] * 3


def test_counts_are_by_group() -> None:
    layer = torch.tensor([[[0, 0, 1]], [[2, 2, 2]]])
    assert counted(layer, 4).tolist() == [[2, 1, 0, 0], [0, 0, 3, 0]]


def test_raw_rates_are_the_logarithm_of_the_codebook_and_coded_ones_the_payloads(
    model: Sound, tmp_path: Path
) -> None:
    paths = [save(tmp_path / "a.wav", noise(1.0)), save(tmp_path / "b.wav", noise(3.0, seed=2))]
    layers = survey(model, payloads((100, 200, 300)), paths)["layers"]
    assert [row["layer"] for row in layers] == [1, 2, 3]
    for row, size in zip(layers, (100, 200, 300), strict=True):
        assert row["raw"] == pytest.approx(75 * 2 * 2 / 1000)  # frames, groups, bits
        assert row["coded"] == pytest.approx(2 * 8 * size / 4 / 1000)
        assert 0 < row["static"] <= row["raw"] + 1e-9


def test_static_rates_are_the_entropy_of_the_counts(model: Sound, tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", x := noise(2.0, 24_000))
    found = survey(model, payloads((1, 1, 1)), [path])["layers"][0]["static"]
    read = Audio((np.round(x.samples * 32768) / 32768).astype(np.float32), x.rate)
    bits = 0.0
    for group in codes_of(model, read)[0]:
        numbers = [int(n) for n in group.flatten().bincount() if n]
        bits -= sum(n * math.log2(n / sum(numbers)) for n in numbers)
    assert found == pytest.approx(bits / 2 / 1000, rel=1e-3)


def test_speed_is_seconds_of_sound_over_the_median_of_the_seconds_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter([0, 99, 0, 2, 0, 5, 0, 1])  # the first run does not count
    monkeypatch.setattr(sound_speed, "perf_counter", lambda: next(ticks))
    assert typical(lambda: None) == 2
    assert next(ticks, None) is None


def test_every_codec_is_timed_at_three_settings_on_one_thread(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seen: list[tuple[int, Audio]] = []

    def encode(x: Audio, setting: int) -> bytes:
        seen.append((torch.get_num_threads(), x))
        return codec().encode(x, setting)

    path, threads = save(tmp_path / "a.wav", sine(440, 0.5, 8_000)), torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(2)
    found = speeds([replace(codec(), encode=encode)], path)
    assert [(row["codec"], row["setting"]) for row in found["records"]] == [
        ("toy", 2),
        ("toy", 4),
        ("toy", 8),
    ]
    assert all(row["encode"] > 1 and row["decode"] > 1 for row in found["records"])
    assert {count for count, _ in seen} == {1} and torch.get_num_threads() == 2
    assert len({id(x) for _, x in seen}) > 3  # never what the codec has just seen
    assert excerpt(path).samples.shape == (80_000, 1)


def test_a_codec_that_fails_leaves_the_threads_as_they_were(tmp_path: Path) -> None:
    def fail(data: bytes) -> Audio:
        raise HqcodecError("broken")

    threads = torch.get_num_threads()
    with pytest.raises(HqcodecError, match="broken"):
        speeds([replace(codec(), decode=fail)], save(tmp_path / "a.wav", sine(440, 0.1)))
    assert torch.get_num_threads() == threads
    assert speed(codec(), 2, noise(0.1))["codec"] == "toy"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SoundCodec]:
    monkeypatch.setattr(sound_baselines, "ours", lambda model: codec("hqcodec"))
    return sound_baselines.ours


def test_a_plan_is_measured_and_written(stub: object, tmp_path: Path) -> None:
    save(tmp_path / "sounds" / "a.wav", noise(0.3))
    folder, out, table = tmp_path / "sounds", tmp_path / "out.json", tmp_path / "out.csv"
    plan = SoundPlan(codecs=("mp3",), joined=("waves:codec",), metrics=("mel",))
    console = Console(file=io.StringIO())
    measure(plan, find_sounds(folder), folder, Outputs(out, table), console, memory=False)
    result = read_result(out)
    assert list(result["codecs"]) == ["hqcodec", "mp3", "toy"]
    assert len(result["speed"]["records"]) == 9
    assert "memory" not in result
    head, *rows = table.read_text().splitlines()
    assert head.startswith("codec,setting,sound,kind,seconds,file_bytes")
    assert len(rows) == len(result["records"]) == 3 + 6 + 3


def test_memory_is_asked_of_a_sound_as_of_a_picture(tmp_path: Path) -> None:
    path, plan = save(tmp_path / "a.wav", x := noise(0.3)), SoundPlan(codecs=("mp3",))
    start, after, data = encode_peak(plan.codec, "mp3", load_sound, path, 16)
    assert start is not None and after is not None and after >= start > 10
    assert abs(len(mp3(x, 16)) - len(data)) < 100
    assert (decode_peak(plan.codec, "mp3", data) or 0) >= start


def test_codecs_of_a_plan_are_found_by_name(stub: object) -> None:
    plan = SoundPlan(codecs=("opus",), joined=("waves:codec",))
    assert [plan.codec(name).name for name in ("hqcodec", "opus", "toy")] == [
        codec.name for codec in plan.codec_list()
    ]
    assert chosen(["all"]) == ("opus", "mp3", "vorbis")
    assert chosen(["none"]) == ()
    assert chosen(["mp3"]) == ("mp3",)
    with pytest.raises(HqcodecError, match=r"not a hqcodec.benchmarks.sound_baselines.SoundCodec"):
        SoundPlan(joined=("toycodec:codec",)).codec_list()
