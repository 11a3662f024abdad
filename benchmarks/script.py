"""How a benchmark runs as a command: `python -m hqcodec.benchmarks.NAME`."""

from collections.abc import Callable
from typing import Any

import typer

from hqcodec.errors import HqcodecError


def run(function: Callable[..., Any]) -> None:
    """Run `function` with the arguments given; what it raises of ours is one line, status 1."""
    try:
        typer.run(function)
    except HqcodecError as error:
        raise SystemExit(f"{function.__name__}: {error}") from error
