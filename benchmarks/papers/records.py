"""Picking records out of a comparison, and what the seeds of a variant have in common."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from hqcodec.benchmarks.report import NONE
from hqcodec.benchmarks.results import Result

Records = list[dict[str, Any]]


def alike(result: Result, **wanted: Any) -> Records:
    """The records that have these entries."""
    return [r for r in result["records"] if all(r[key] == x for key, x in wanted.items())]


def spread(
    found: Sequence[Mapping[str, Any]], key: str, scale: float = 1, digits: str = ".2f"
) -> str:
    """The mean, and the standard deviation if there are seeds to have one of."""
    values = [scale * record[key] for record in found]
    if not values:
        return NONE
    middle = format(mean(values), digits)
    return middle + (f" ± {stdev(values):{digits}}" if len(values) > 1 else "")
