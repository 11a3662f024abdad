"""Tables, crossings and pictures of a sweep of sound."""

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hqcodec.audio import Audio
from hqcodec.benchmarks.crossing import crossing, rate_of
from hqcodec.benchmarks.results import Result
from hqcodec.benchmarks.sound_baselines import BASELINES
from hqcodec.benchmarks.sound_metrics import SoundJudge
from hqcodec.benchmarks.sound_plot import plot
from hqcodec.benchmarks.sound_report import (
    MOST,
    codes_table,
    growth,
    readme_tables,
    rich_table,
    speed_table,
    verdict,
)
from hqcodec.benchmarks.sound_spectrograms import RANGE, draw, levels, views
from hqcodec.benchmarks.sound_sweep import sweep
from hqcodec.benchmarks.sounds import find_sounds
from hqcodec.errors import HqcodecError
from waves import codec, noise, save, sine

RATES = [0.75, 1.5, 3.0, 6.0, 12.0]


def line(slope: float, start: float, rates: list[float] = RATES) -> list[tuple[float, float]]:
    """Distance `start` at 1 kbit/s, falling by `slope` with every doubling."""
    return [(rate, start - slope * math.log2(rate)) for rate in rates]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("sounds")
    save(folder / "speech" / "a.wav", noise(0.5))
    save(folder / "music" / "b.wav", sine(440, 1.0))
    codecs = [codec("hqcodec"), replace(BASELINES["opus"], settings=(8, 32))]
    judge = SoundJudge(("mel", "stft", "si_sdr"))
    quiet = Console(file=io.StringIO())
    return sweep(find_sounds(folder), folder, codecs, judge, quiet)


def made(mine: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> Result:
    """A result with these mel curves alone."""
    rows = [
        {"kind": "speech", "codec": name, "setting": i, "kbps": rate, "mel": mel}
        for name, points in (("hqcodec", mine), ("opus", theirs))
        for i, (rate, mel) in enumerate(points)
    ]
    return {"means": rows}


def test_two_lines_cross_where_their_equations_say() -> None:
    """2 - .2 x = 2.5 - .4 x at x = log2(rate) = 2.5."""
    found = crossing(line(0.2, 2.0), line(0.4, 2.5))
    assert found is not None and found.first
    assert found.rates == pytest.approx([2**2.5], rel=1e-3)
    assert (found.low, found.high) == pytest.approx((0.75, 12))


def test_curves_are_compared_only_at_rates_that_both_have() -> None:
    found = crossing(line(0.2, 2.0), line(0.4, 2.5, [8.0, 32.0]))
    assert found is not None and not found.first and found.rates == ()
    assert (found.low, found.high) == pytest.approx((8, 12))
    assert crossing(line(0.2, 2.0), line(0.2, 2.0, [13.0, 20.0])) is None
    assert crossing(line(0.2, 2.0, [5.0]), line(0.2, 2.0)) is None


def test_a_distance_is_reached_at_the_rate_that_the_equation_says() -> None:
    assert rate_of(line(0.2, 2.0), 1.6) == pytest.approx(4, rel=2e-3)
    assert rate_of(line(0.2, 2.0), 0.1) is None
    assert rate_of(line(0.2, 2.0), 3.0) is None


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        (
            line(0.2, 2.0),
            line(0.4, 2.5, [2.0, 4.0, 8.0, 16.0]),
            "speech: from 2.0 to 12.0 kbit/s hqcodec has the smaller mel distance up to the "
            "crossing at 5.7, Opus from there on; Opus begins at 2.0 kbit/s with 2.10, more than "
            "hqcodec at 0.8 kbit/s, which has 2.08.",
        ),
        (
            line(0.2, 2.0),
            line(0.4, 3.0, [8.0, 16.0]),
            "speech: hqcodec has the smaller mel distance at all shared rates, from 8.0 to 12.0",
        ),
        (
            line(0.5, 3.0),
            line(0.1, 1.0, [8.0, 16.0]),
            "with 0.70, which hqcodec does not reach.",
        ),
        (line(0.5, 3.0, [1.0, 4.0]), line(0.1, 2.8, [8.0, 16.0]), "share no rates"),
        (line(0.5, 3.0, [1.0, 4.0]), line(0.1, 2.8, [8.0, 16.0]), "2.50, which hqcodec has at 2.0"),
    ],
)
def test_the_verdict_says_where_the_curves_cross(
    mine: list[tuple[float, float]], theirs: list[tuple[float, float]], said: str
) -> None:
    assert said in (verdict(made(mine, theirs), "speech") or "")


def test_a_layer_that_brings_no_smaller_distance_is_named() -> None:
    falling = [(1.0, 3.0), (2.0, 2.5), (3.0, 2.0)]
    assert growth(made(falling, []), "speech") == (
        "speech: the mel distance of hqcodec falls with every layer."
    )
    assert growth(made([*falling, (4.0, 2.0), (5.0, 1.0)], []), "speech") == (
        "speech: the mel distance of hqcodec falls with every layer but 3."
    )
    assert growth(made(falling[:1], []), "speech") is None


def test_without_opus_there_is_no_verdict() -> None:
    assert verdict(made(line(0.2, 2.0), []), "speech") is None


def test_a_terminal_table_has_a_row_a_point_and_no_column_without_values(result: Result) -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(rich_table(result, "speech"))
    text = out.getvalue()
    assert "speech: 1 sound, 0 s, whole files" in text
    assert "SI-SDR" in text and "PESQ" not in text
    for name in ("hqcodec 2", "hqcodec 8", "Opus 8", "Opus 32"):
        assert name in text
    assert max(len(row) for row in text.splitlines()) <= 80


def test_the_readme_has_a_table_a_kind_and_every_row_has_every_column(result: Result) -> None:
    text = readme_tables(result)
    for kind in ("music", "speech", "all"):
        assert f"**{kind}: " in text
    table = [row for row in text.splitlines() if row.startswith("|")]
    assert len({row.count("|") for row in table}) == 1
    shown = [row for row in result["means"] if row["codec"] == "opus" and row["kbps"] <= MOST]
    assert len(table) == 3 * (2 + 3) + len(shown)
    assert len(shown) < 6  # a file of half a second at 32 kbit/s is mostly headers
    assert "- speech: the mel distance of hqcodec falls with every layer.\n- speech: " in text
    assert "Opus: variable rate, libsndfile" in text


def test_codes_are_summed_over_layers_and_saving_is_against_static_tables() -> None:
    layers = [
        {"layer": 1, "raw": 0.75, "static": 0.5, "coded": 0.4},
        {"layer": 2, "raw": 0.75, "static": 0.5, "coded": 0.5},
    ]
    first, second = codes_table({"layers": layers}).splitlines()[2:]
    assert first == "| 1 | 0.75 | 0.50 | 0.40 | −20.0 % |"
    assert second == "| 2 | 1.50 | 1.00 | 0.90 | −10.0 % |"


def test_speeds_are_whole_multiples_of_real_time() -> None:
    records = [{"codec": "opus", "setting": 8, "encode": 123.4, "decode": 456.7}]
    assert speed_table({"records": records}).splitlines()[2] == "| Opus 8 | 123 | 457 |"


def test_a_plot_has_a_row_a_kind_and_a_panel_a_metric(result: Result, tmp_path: Path) -> None:
    plot(result, tmp_path / "a.png")
    one: dict[str, Any] = {
        **result,
        "means": [r for r in result["means"] if r["kind"] == "music"],
    }
    plot(one, tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as all_kinds, Image.open(tmp_path / "b.png") as music:
        assert all_kinds.width == music.width
        assert all_kinds.height == pytest.approx(3 * music.height, rel=0.02)


def test_nothing_to_plot_is_one_line(result: Result, tmp_path: Path) -> None:
    rows = [row for row in result["means"] if row["setting"] == 8 and row["codec"] == "opus"]
    with pytest.raises(HqcodecError, match="nothing to plot"):
        plot({**result, "means": rows}, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_sine_is_loudest_in_its_bin() -> None:
    found = levels(sine(2000, 1.0, 16_000))
    assert found.shape == (513, 16_000 // 256 + 1)
    assert set(found[:, 5:-5].argmax(0)) == {2000 * 1024 // 16_000}
    assert levels(Audio(np.zeros((10, 2), np.float32), 8000)).max() < -RANGE


def test_spectrograms_are_of_the_original_ours_and_opus_at_the_nearest_rate(tmp_path: Path) -> None:
    x = noise(1.0)
    shown = views(x, codec("hqcodec"), BASELINES["opus"], [2, 8])
    names = [name for name, _ in shown]
    assert names[0] == "original, 16 kHz"
    assert [name.split(", ")[:2] for name in names[1:3]] == [
        ["hqcodec", "2 layers"],
        ["hqcodec", "8 layers"],
    ]
    ours, theirs = (float(name.split(" ")[-2]) for name in names[2:])
    sizes = [len(BASELINES["opus"].encode(x, s)) * 8e-3 for s in BASELINES["opus"].settings]
    assert abs(theirs - ours) == pytest.approx(min(abs(s - ours) for s in sizes), abs=0.11)
    assert all(y.samples.shape == x.samples.shape for _, y in shown)
    draw(tmp_path / "a.png", shown)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > picture.height > 200
