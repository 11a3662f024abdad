"""Pictures to train on: batches, crops, files of all kinds."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hqcodec.errors import HqcodecError
from hqcodec.models import data


def test_batches_are_a_function_of_seed_and_step(photographs: Path) -> None:
    found = data.load(photographs)
    first = data.crops(found.train, 4, 40, 0, 7, 0.5)
    assert first.shape == (4, 3, 40, 40) and 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, data.crops(found.train, 4, 40, 0, 7, 0.5))
    assert not torch.equal(first, data.crops(found.train, 4, 40, 0, 8, 0.5))


def test_half_of_the_crops_are_mirrored_unless_told_otherwise() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None], (32, 32, 3))
    for flip, share in ((True, 0.5), (False, 0.0)):
        x = data.crops([ramp], 200, 32, 0, 0, 1.0, flip)
        mirrored = (x[:, 0, 0, 0] > x[:, 0, 0, -1]).float().mean()
        assert float(mirrored) == pytest.approx(share, abs=0.15 if flip else 0)


def test_held_out_pictures_are_not_trained_on(photographs: Path) -> None:
    for share, kept in ((0.5, 3), (0.34, 2), (0.01, 1)):
        found = data.load(photographs, held_out=share)
        assert (len(found.train), len(found.held_out)) == (6 - kept, kept)
        assert not {x.tobytes() for x in found.train} & {x.tobytes() for x in found.held_out}


def test_crops_larger_than_a_picture_are_filled_by_reflection(photographs: Path) -> None:
    found = data.load(photographs)
    assert data.crops(found.train, 2, 128, 0, 0, 1.0).shape == (2, 3, 128, 128)


def test_sheets_arrays_and_idx_files_hold_the_same_pictures(tmp_path: Path) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)
    rgb = np.repeat(tiles[..., None], 3, 3)
    sheet = rgb.reshape(2, 3, 8, 8, 3).swapaxes(1, 2).reshape(16, 24, 3)
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    np.save(tmp_path / "a.npy", rgb)
    np.savez(tmp_path / "a.npz", tiles)
    idx = b"\0\0\x08\x03" + struct.pack(">3I", *tiles.shape) + tiles.tobytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx))
    for name in ("sheet.png", "a.npy", "a.npz", "a.gz"):
        found = data.load(tmp_path / name, tile=8 if name == "sheet.png" else 0, held_out=0.5)
        everything = [*found.train, *found.held_out]
        assert len(everything) == 6
        assert {x.tobytes() for x in everything} == {x.tobytes() for x in rgb}


def test_what_cannot_be_trained_on_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    np.save(tmp_path / "floats.npy", np.zeros((3, 8, 8)))
    for name in ("empty", "missing", "bad.png", "floats.npy"):
        with pytest.raises(HqcodecError) as caught:
            data.load(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
