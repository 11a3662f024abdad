"""The README says what was measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hqcodec.benchmarks import ablation, contexts, effort, targets
from hqcodec.benchmarks.report import markers, readme_tables
from hqcodec.benchmarks.results import read_result

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("kodak", readme_tables),
        ("ablation", ablation.table),
        ("contexts", contexts.table),
        ("effort", effort.table),
        ("targets", targets.table),
    ],
)
def test_tables_of_the_readme_come_from_the_committed_json(
    name: str, tables: Callable[[Any], str]
) -> None:
    begin, end = markers(name)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition(begin)[2].partition(end)[0].strip()
    assert block == tables(read_result(ROOT / "benchmarks" / f"{name}.json"))


def test_the_committed_json_is_of_the_whole_suite_with_every_metric() -> None:
    result = read_result(ROOT / "benchmarks" / "kodak.json")
    assert [picture["name"] for picture in result["pictures"]] == [
        f"kodim{i:02}.png" for i in range(1, 25)
    ]
    assert result["failures"] == []
    assert result["notes"] == {}
    assert {"hqcodec", "jpeg", "webp", "avif"} <= set(result["codecs"])
