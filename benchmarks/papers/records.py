"""Picking records out of a comparison, and what they have in common."""

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


def cost(result: Result) -> str:
    """How long all trainings took together, and on what."""
    minutes = sum(record["seconds"] for record in result["records"]) / 60
    machine = result["machine"]
    where = f"{machine['torch_threads']} threads ({machine['platform']})"
    return f"{minutes:.0f} minutes in all on {where}."
