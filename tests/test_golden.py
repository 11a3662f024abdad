"""A file of format version 1, made once: it decodes to the same pixels wherever and whenever."""

import hashlib
from pathlib import Path

import pytest
import torch

import hqcodec

GOLDEN = Path(__file__).parent / "golden"
PIXELS = {  # layers -> SHA-256 of the 87x61 RGB pixels
    1: "449c8493e239029d7b41b18dabfa0f08c5f5d00e56fc506091b159cac12572b4",
    2: "decf8ca902f54ba271720a885ded95f2044445175db2f5ba609f9a8a3a5b19d6",
    3: "a81dd9df4b6ff7398ab3ddeb4823fbe6ccefa1cbcb31c16d809fd9917189f42f",
}


@pytest.mark.parametrize("layers", PIXELS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_golden_file_decodes_to_the_golden_pixels(layers: int, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        blob = (GOLDEN / "small.hqc").read_bytes()
        picture = hqcodec.decompress(blob, GOLDEN / "small.safetensors", layers)
    finally:
        torch.set_num_threads(before)
    assert picture.size == (87, 61)
    assert hashlib.sha256(picture.tobytes()).hexdigest() == PIXELS[layers]
