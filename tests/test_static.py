"""Static tables: counts become frequencies."""

import pytest
import torch

from hqcodec.models.base import TOTAL, Layer
from hqcodec.models.static import StaticTables


def test_static_tables_sum_to_the_total_and_leave_every_code_codable() -> None:
    static = StaticTables([Layer(4, 2, 5)])
    codes = torch.zeros(3, 2, 4, 4, dtype=torch.int64)
    codes[:, 1] = 3
    codes[0, 1, 0, 0] = 2
    static.count([codes])
    assert static.counts(0).tolist() == [[49, 1, 1, 1, 1], [1, 1, 2, 48, 1]]
    first, second = static.tables([], codes[0])
    for batch, counts in ((first, [49, 1, 1, 1, 1]), (second, [1, 1, 2, 48, 1])):
        f = batch.frequencies[0].tolist()
        assert sum(f) == TOTAL - 5 and all(v == int(v) >= 0 for v in f)
        assert f == pytest.approx([c / 53 * TOTAL for c in counts], rel=1e-5)
