"""JPEG at a budget: what its payload is, and which file is chosen."""

import io

import numpy as np
import pytest
from PIL import Image

from hqcodec.benchmarks.jpeg import SUBSAMPLINGS, best_within, ladder, payload_size
from hqcodec.benchmarks.metrics import rmse
from hqcodec.errors import FormatError
from photos import pictures

X = pictures(1, 32)[0].movedim(0, -1).mul(255).byte().numpy()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def test_payload_is_what_lies_between_scan_headers_and_markers() -> None:
    first = b"\x12\xff\x00\x34\xff\xd3\x56"  # a stuffed byte and a restart marker are within
    second = b"\x78\x9a"
    tables, scan = segment(0xC4, b"tables\xff\xda"), segment(0xDA, b"header")
    data = b"\xff\xd8" + tables + scan + first + tables + scan + second + b"\xff\xd9"
    assert payload_size(data) == len(first) + len(second)


@pytest.mark.parametrize("cut", [2, 3, 100, -2, -1])
def test_a_file_that_does_not_end_is_an_error(cut: int) -> None:
    file = io.BytesIO()
    Image.fromarray(X).save(file, "JPEG")
    with pytest.raises(FormatError, match="not a whole JPEG"):
        payload_size(file.getvalue()[:cut])
    with pytest.raises(FormatError, match="not a whole JPEG"):
        payload_size(b"PNG" + file.getvalue())


def test_with_tables_that_are_not_fitted_two_pictures_differ_in_their_payload_only() -> None:
    sizes = []
    for x in (X, np.zeros_like(X)):
        file = io.BytesIO()
        Image.fromarray(x).save(file, "JPEG", quality=50)
        sizes.append((len(file.getvalue()), payload_size(file.getvalue())))
    assert sizes[0][0] - sizes[0][1] == sizes[1][0] - sizes[1][1]
    assert sizes[0][1] > 4 * sizes[1][1] > 0


def test_the_best_jpeg_within_a_budget_is_nearer_than_any_other_that_fits() -> None:
    files = ladder(Image.fromarray(X))
    assert {f.subsampling for f in files} == set(SUBSAMPLINGS)
    budget = sorted(f.payload for f in files)[len(files) // 2]
    best, over = best_within(files, X, budget, lambda f: f.payload)
    assert not over
    assert best.payload <= budget
    fitting = [f for f in files if f.payload <= budget]
    finest = max(f.quality for f in fitting)
    assert best.quality >= finest - 20  # without subsampling one file takes a lower quality
    errors = [rmse(X, np.asarray(f.decode())) for f in fitting if f.quality % 9 == 0]
    assert rmse(X, np.asarray(best.decode())) <= min(errors)


def test_where_no_jpeg_is_small_enough_the_smallest_is_taken_and_said_to_be_over() -> None:
    files = ladder(Image.fromarray(X))
    best, over = best_within(files, X, 100, lambda f: f.size)
    assert over
    assert best.size == min(f.size for f in files) > 100
    assert best.decode().size == (32, 32)
