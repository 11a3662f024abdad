"""A sweep that is killed and goes on, and one of several processes: the result is the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.metrics import Judge
from hqcodec.benchmarks.pictures import find_pictures
from hqcodec.benchmarks.results import Result
from hqcodec.benchmarks.sweep import sweep
from hqcodec.errors import FormatError, HqcodecError
from toycodec import codec, decode, dying_bench, encode, picky, picky_bench

QUIET = Console(quiet=True)
JUDGE = Judge(("rmse", "psnr"))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three noisy pictures, the last of them 32 pixels wide, and one that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, (name, width) in enumerate({"a.png": 40, "b.png": 56, "d.png": 32}.items()):
        noise = np.random.default_rng(seed).integers(0, 256, (24, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    (folder / "c.png").write_bytes(b"no picture")
    return find_pictures(folder)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "out.json.partial"


def counting(seen: list[tuple[int, int]], stop_after: int | None = None) -> Codec:
    """The toy codec, which notes (width, setting) of what it encodes and may be interrupted."""

    def encode_noted(picture: Image.Image, setting: int) -> bytes:
        if len(seen) == stop_after:
            raise KeyboardInterrupt
        seen.append((picture.width, setting))
        return encode(picture, setting)

    return replace(codec(), encode=encode_noted)


def timeless(result: Result) -> Any:
    """A result without what no two runs share."""
    for row in [*result["records"], *result["means"]]:
        row.pop("encode_seconds")
        row.pop("decode_seconds")
    result["machine"].pop("jobs")
    return result


def test_a_killed_run_goes_on_where_it_was_and_gives_the_same_result(
    pictures: list[Path], journal: Path
) -> None:
    whole = sweep(pictures, [codec()], JUDGE, QUIET)
    first: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        sweep(pictures, [counting(first, stop_after=4)], JUDGE, QUIET, journal=journal)
    with journal.open("a") as file:
        file.write('{"picture": "b.png", "codec": "to')  # killed while it wrote
    second: list[tuple[int, int]] = []
    resumed = sweep(pictures, [counting(second)], JUDGE, QUIET, journal=journal)
    assert len(first) == 4
    assert sorted(first + second) == [(w, s) for w in (32, 40, 56) for s in (1, 2, 4)]
    kept = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert len(kept) == 9  # the torn line is gone
    seconds = {(e["picture"], e["setting"]): e["points"][0]["record"] for e in kept[:4]}
    for record in resumed["records"]:
        if found := seconds.get((record["picture"], record["setting"])):
            assert record == found  # its seconds too
    assert timeless(resumed) == timeless(whole)
    assert resumed["failures"] == ["c.png: cannot identify image file 'c.png'"]


def test_a_finished_journal_leaves_nothing_to_do_and_fresh_does_it_again(
    pictures: list[Path], journal: Path
) -> None:
    runs: list[list[tuple[int, int]]] = [[], [], []]
    for run, fresh in zip(runs, (False, False, True), strict=True):
        sweep(pictures, [counting(run)], JUDGE, QUIET, journal=journal, fresh=fresh)
    assert [len(run) for run in runs] == [9, 0, 9]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"codecs": [replace(codec(), settings=(1, 2))]}, r"codecs toy settings was \[1, 2, 4\]"),
        ({"codecs": [replace(codec(), about={"setting": "bits"})]}, 'model was "stub", is not'),
        ({"judge": Judge(("rmse",))}, "metrics names was"),
        ({"jobs": 2}, "machine jobs was 1, is 2"),
    ],
)
def test_a_journal_of_another_run_is_refused_with_what_differs(
    pictures: list[Path], journal: Path, change: dict[str, Any], what: str
) -> None:
    same: dict[str, Any] = {"codecs": [codec()], "judge": JUDGE, "journal": journal}
    sweep(pictures, console=QUIET, **same)
    before = journal.read_bytes()
    with pytest.raises(HqcodecError, match=rf"of another run: .*{what}.*--fresh"):
        sweep(pictures, console=QUIET, **{**same, **change})
    assert journal.read_bytes() == before


def test_a_picture_that_changed_is_seen(pictures: list[Path], journal: Path) -> None:
    sweep(pictures, [codec()], JUDGE, QUIET, journal=journal)
    Image.new("RGB", (8, 8)).save(pictures[1])
    with pytest.raises(HqcodecError, match=r"pictures b\.png was"):
        sweep(pictures, [codec()], JUDGE, QUIET, journal=journal)


@pytest.mark.parametrize("text", ["no journal\n", '{"journal": 1}\n', "[]\n{}\n"])
def test_a_file_that_is_no_journal_is_refused_and_kept(
    pictures: list[Path], journal: Path, text: str
) -> None:
    journal.write_text(text)
    with pytest.raises(FormatError, match="no journal of a run"):
        sweep(pictures, [codec()], JUDGE, QUIET, journal=journal)
    assert journal.read_text() == text


def test_a_journal_whose_first_line_was_cut_off_is_begun_again(
    pictures: list[Path], journal: Path
) -> None:
    journal.write_text('{"journal": 1, "finge')
    assert len(sweep(pictures, [codec()], JUDGE, QUIET, journal=journal)["records"]) == 9


def test_two_jobs_give_what_one_gives_with_a_broken_picture_and_a_codec_that_fails(
    pictures: list[Path], journal: Path
) -> None:
    one = sweep(pictures, [picky()], JUDGE, QUIET)
    two = sweep(pictures, [picky()], JUDGE, QUIET, jobs=2, make=picky_bench, journal=journal)
    assert two["machine"]["jobs"] == 2
    for result in (one, two):
        result["machine"].pop("torch_threads")
    assert timeless(two) == timeless(one)
    assert two["failures"][1] == "d.png: toy 2: two lines of trouble"


def test_jobs_need_a_way_to_make_the_codecs_again(pictures: list[Path]) -> None:
    with pytest.raises(HqcodecError, match="2 jobs, but"):
        sweep(pictures, [codec()], JUDGE, QUIET, jobs=2)


def test_a_worker_that_dies_is_one_line(pictures: list[Path]) -> None:
    with pytest.raises(HqcodecError, match="a worker process died"):
        sweep(pictures, [codec()], JUDGE, QUIET, jobs=2, make=dying_bench)


def test_two_codecs_of_one_name_are_refused(pictures: list[Path]) -> None:
    other = replace(codec("another"), others={"toy": decode})
    with pytest.raises(HqcodecError, match="two codecs are called 'toy'"):
        sweep(pictures, [codec(), other], JUDGE, QUIET)
