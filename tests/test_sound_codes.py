"""Rates of codes against theory, speeds, and a plan from end to end, with a tiny model."""

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from hqcodec import api
from hqcodec.audio import Audio
from hqcodec.benchmarks import sound_baselines, sound_speed
from hqcodec.benchmarks.memory import decode_peak, encode_peak
from hqcodec.benchmarks.plan import Outputs
from hqcodec.benchmarks.results import read_result
from hqcodec.benchmarks.sound_baselines import SoundCodec, mp3
from hqcodec.benchmarks.sound_codes import counted, survey
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
    return Sound(TINY).eval()


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What every file holds: three layers of two groups, a channel, 75 frames; drawn unevenly."""
    g = torch.Generator().manual_seed(1)
    odds = torch.tensor([0.5, 0.3, 0.15, 0.05])
    found = [odds.multinomial(150, True, generator=g).view(2, 1, 75) for _ in range(3)]
    monkeypatch.setattr(api, "unpack", lambda c, m, kept: found[:kept])
    return found


def payloads(sizes: tuple[int, ...]) -> SoundCodec:
    """A codec whose files have payloads of these sizes, whatever the sound."""
    file = packed(tuple(bytes(size) for size in sizes))
    return replace(codec("hqcodec"), encode=lambda x, layers: file)


def test_counts_are_by_group() -> None:
    layer = torch.tensor([[[0, 0, 1]], [[2, 2, 2]]])
    assert counted(layer, 4).tolist() == [[2, 1, 0, 0], [0, 0, 3, 0]]


def test_rates_are_of_the_codebook_the_counts_and_the_payloads(
    model: Sound, codes: list[torch.Tensor], tmp_path: Path
) -> None:
    paths = [save(tmp_path / f"{i}.wav", noise(1.0, seed=i)) for i in range(2)]
    layers = survey(model, payloads((100, 200, 300)), paths)["layers"]
    assert [row["layer"] for row in layers] == [1, 2, 3]
    for row, size, layer in zip(layers, (100, 200, 300), codes, strict=True):
        assert row["raw"] == pytest.approx(75 * 2 * 2 / 1000)  # frames, groups, bits
        assert row["coded"] == pytest.approx(8 * size / 1000)
        bits = 0.0
        for group in layer:
            numbers = [int(n) for n in group.flatten().bincount() if n]
            bits -= sum(n * math.log2(n / 75) for n in numbers)
        assert row["static"] == pytest.approx(bits / 1000)


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
