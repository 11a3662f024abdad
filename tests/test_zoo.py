"""Models by name, their weights and what they say of themselves."""

import json
import struct
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from hqcodec.errors import HqcodecError, UnknownModelError
from hqcodec.models import zoo
from photos import small_photo


def test_load_inverts_save(tmp_path: Path) -> None:
    model = small_photo()
    metadata = zoo.save(model, tmp_path / "m.safetensors", "m", "a test")
    assert metadata == zoo.read_metadata(tmp_path / "m.safetensors")
    loaded = zoo.load(tmp_path / "m.safetensors")
    assert loaded.config == model.config
    assert loaded.hash.hex() == metadata["hash"]
    for a, b in zip(loaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    zoo.save(small_photo(), path, "m", "a test")
    blob = path.read_bytes()
    start = 8 + struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8:start])
    for key in ("codebooks.tables.0", "encoder.linear.weight", "decoder.linear.weight"):
        place = start + header[key]["data_offsets"][0]
        flipped = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        (tmp_path / "flipped").write_bytes(flipped)
        with pytest.raises(UnknownModelError, match="hash differs"):
            zoo.load(tmp_path / "flipped")
    for cut in (0, 5, 100, start, len(blob) - 1):
        (tmp_path / "cut").write_bytes(blob[:cut])
        with pytest.raises(UnknownModelError):
            zoo.load(tmp_path / "cut")


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(UnknownModelError, match="photo"):
        zoo.path("nothing-of-the-kind")


def test_a_misspelt_key_is_an_error() -> None:
    config = asdict(small_photo().config)
    with pytest.raises(HqcodecError, match="no key 'codebok'"):
        zoo.build("photo", config | {"codebok": 3})
    with pytest.raises(HqcodecError, match="must be int"):
        zoo.build("photo", config | {"layers": "three"})
    with pytest.raises(HqcodecError, match="known are"):
        zoo.build("foto", config)


def test_every_packaged_model_loads_by_every_decoder_and_all_have_cards() -> None:
    assert zoo.DEFAULT in zoo.names()
    for name in zoo.names():
        for decoder, path in zoo.decoders(name).items():
            model = zoo.load(name, decoder=decoder)
            assert model.name == name
            assert path.stat().st_size <= 12 << 20
            assert model.hash.hex() in path.with_suffix(".md").read_text()
