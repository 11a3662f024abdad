"""The README says what was measured."""

import re
from pathlib import Path

import pytest

from hqcodec.benchmarks.numbers import tables
from hqcodec.benchmarks.report import markers
from hqcodec.benchmarks.results import read_result

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tables())
def test_tables_of_the_readme_come_from_the_committed_json(name: str) -> None:
    begin, end = markers(name)
    block = README.partition(begin)[2].partition(end)[0].strip()
    assert block == tables()[name](read_result(ROOT / "benchmarks" / f"{name}.json"))


def test_no_block_no_measurement_and_no_figure_is_left_over() -> None:
    assert sorted(re.findall(r"<!-- (.+?):begin -->", README)) == sorted(tables())
    assert re.findall(r"<!-- (.+?):begin -->", README) == re.findall(r"<!-- (.+?):end -->", README)
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.json")} == set(tables())
    shown = set(re.findall(r"!\[[^\]]*\]\(benchmarks/(.+?\.png)\)", README))
    assert {path.name for path in (ROOT / "benchmarks").glob("*.png")} == shown


def test_small_pictures_are_measured_at_both_sizes_with_the_weights_of_the_kodak_suite() -> None:
    small = read_result(ROOT / "benchmarks" / "small.json")
    kodak = read_result(ROOT / "benchmarks" / "kodak.json")
    assert {entry["side"] for entry in small["sets"]} == {32, 64}
    weights = {entry["weights"] for entry in small["sets"]}
    assert weights == {kodak["codecs"]["hqcodec"]["weights"]}
    assert all(entry["lpips"] == "alex" for entry in small["sets"])


def test_the_committed_json_is_of_the_whole_suite_with_every_metric() -> None:
    result = read_result(ROOT / "benchmarks" / "kodak.json")
    assert [picture["name"] for picture in result["pictures"]] == [
        f"kodim{i:02}.png" for i in range(1, 25)
    ]
    assert result["failures"] == []
    assert result["notes"] == {}
    assert {"hqcodec", "jpeg", "webp", "avif"} <= set(result["codecs"])
