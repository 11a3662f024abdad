"""The order in which a layer's codes are coded."""

import pytest
import torch

from hqcodec.models.steps import SCALARS, lattices, pieces, plan


@pytest.mark.parametrize("order", ["lattices", "checkerboard", "whole"])
def test_every_code_is_coded_in_exactly_one_step(order: str) -> None:
    seen = torch.zeros(2, 7, 15, dtype=torch.int64)
    for step in plan(order, 3, 7, 2):
        for group in range(step.start, step.end):
            for where, _ in pieces(step.positions(3, 5)):
                seen[step.kind, group, where] += 1
    assert seen[0, :3].eq(1).all() and seen[1].eq(1).all() and not seen[0, 3:].any()


def test_lattices_halve_from_step_to_step_and_neighbours_come_first() -> None:
    number = lattices(16, 16)
    assert [int((number == n).sum()) for n in range(5)] == [16, 16, 32, 64, 128]
    for n, step in enumerate(plan("lattices", 1, 2, 1)[:5]):
        positions = torch.arange(256)[step.positions(16, 16)]
        assert step.kind == SCALARS and bool((number.flatten()[positions] == n).all())
        for place in positions.tolist() if n else ():
            row, column = divmod(place, 16)
            near = [
                (row + down * step.dilation, column + right * step.dilation)
                for down in (-1, 0, 1)
                for right in (-1, 0, 1)
            ]
            before = [number[i, j] < n for i, j in near if 0 <= i < 16 and 0 <= j < 16]
            assert sum(before) >= 1
