"""The README says what was measured."""

from pathlib import Path

from hqcodec.benchmarks.report import BEGIN, END, readme_tables
from hqcodec.benchmarks.results import read_result

ROOT = Path(__file__).parents[1]


def test_tables_of_the_readme_come_from_the_committed_json() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert block == readme_tables(read_result(ROOT / "benchmarks" / "kodak.json"))


def test_the_committed_json_is_of_the_whole_suite_with_every_metric() -> None:
    result = read_result(ROOT / "benchmarks" / "kodak.json")
    assert result["pictures"] == [f"kodim{i:02}.png" for i in range(1, 25)]
    assert result["failures"] == []
    assert result["notes"] == {}
    assert {"hqcodec", "jpeg", "webp", "avif"} <= set(result["codecs"])
