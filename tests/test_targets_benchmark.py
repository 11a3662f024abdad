"""The benchmark of targets counts files as they lie on disk."""

from pathlib import Path

import pytest
from PIL import Image

from hqcodec.benchmarks import targets
from photos import pictures, small_photo


def test_a_record_is_of_the_file_that_was_written(tmp_path: Path) -> None:
    x = pictures(1, 64)[0].movedim(0, -1).mul(255).byte().numpy()
    Image.fromarray(x).save(tmp_path / "a.png")
    record = targets.one_file(tmp_path / "a.png", 1.5, small_photo(), tmp_path / "a.hqc")
    size = (tmp_path / "a.hqc").stat().st_size
    assert (record["picture"], record["file_bytes"]) == ("a.png", size)
    assert record["bpp"] == 8 * size / 64**2 == pytest.approx(1.5 * (1 - record["miss"]))
    assert 0 <= record["miss"] and 10 < record["psnr"] < 50


def test_means_tell_the_worst_miss_and_what_is_over() -> None:
    records = [
        {"target_bpp": 1.0, "miss": miss, "psnr": 30.0, "encode_seconds": 2.0}
        for miss in (0.0, 0.01, -0.05)
    ]
    (row,) = targets.means(records)
    assert row["over"] == 1 and row["worst_miss"] == -0.05 and row["pictures"] == 3
    assert row["mean_miss"] == pytest.approx(-0.04 / 3)
