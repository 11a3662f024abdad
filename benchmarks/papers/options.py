"""The options and sizes that the papers' scripts share."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from hqcodec.errors import HqcodecError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")


@dataclass(frozen=True)
class Size:
    """How much smaller than the paper a comparison is."""

    steps: int
    width: int
    dim: int
    blocks: int
    batch: int
    lr: float
    seeds: int


def choose(sizes: Mapping[str, S], name: str, seeds: int | None) -> S:
    """The size of a name, with so many seeds if they are given; HqcodecError if there is none."""
    if name not in sizes:
        raise HqcodecError(f"size {name!r}; there are {', '.join(sizes)}")
    return sizes[name] if seeds is None else replace(sizes[name], seeds=seeds)


def check_groups(only: Collection[str] | None, groups: Collection[str]) -> None:
    """HqcodecError if `only` names a group that there is not."""
    for name in only or ():
        if name not in groups:
            raise HqcodecError(f"group {name!r}; there are {', '.join(groups)}")
