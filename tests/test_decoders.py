"""Further decoders of one model: files of their own, chosen when decoding."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import hqcodec
from hqcodec import api
from hqcodec.cli.main import app
from hqcodec.errors import HqcodecError, UnknownModelError
from hqcodec.models import zoo
from hqcodec.models.photo import Photo
from hqcodec.models.weightfile import read_tensors, write_weights
from photos import SMALL, small_photo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a darker decoder beside it, and a file."""
    folder = tmp_path_factory.mktemp("models")
    zoo.save(small_photo(), folder / "m.safetensors", "m", "A test")
    save_decoder(folder, "m.dark.safetensors")
    blob = hqcodec.compress(Image.new("RGB", (40, 30), "teal"), folder / "m.safetensors", 2)
    (folder / "a.hqc").write_bytes(blob)
    return folder


def save_decoder(folder: Path, name: str, key: str = "decoder.linear.bias") -> dict[str, object]:
    """A decoder that differs in the weights named."""
    model = zoo.load(folder / "m.safetensors")
    model.state_dict()[key].sub_(0.25)
    return zoo.save_decoder(model, folder / "m.safetensors", folder / name, "dark", "Darker")


def test_one_file_has_the_same_codes_and_other_pixels_by_another_decoder(folder: Path) -> None:
    blob, weights = (folder / "a.hqc").read_bytes(), folder / "m.safetensors"
    plain = hqcodec.decompress(blob, weights)
    assert hqcodec.decompress(blob, weights, decoder="fidelity").tobytes() == plain.tobytes()
    dark = hqcodec.decompress(blob, weights, decoder="dark")
    assert np.asarray(dark).mean() < np.asarray(plain).mean() - 20
    by_path = hqcodec.decompress(blob, weights, decoder=folder / "m.dark.safetensors")
    loaded = hqcodec.decompress(blob, zoo.load(weights, decoder="dark"))
    assert dark.tobytes() == by_path.tobytes() == loaded.tobytes()
    assert zoo.load(weights, decoder="dark").hash == zoo.load(weights).hash


def test_a_decoders_file_holds_the_decoder_alone_and_says_whose_it_is(folder: Path) -> None:
    metadata = zoo.read_metadata(folder / "m.dark.safetensors")
    owner = zoo.read_metadata(folder / "m.safetensors")
    assert metadata == {
        "kind": "decoder", "name": "dark", "model": "m", "family": "photo", "hash": owner["hash"],
        "digest": metadata["digest"], "description": "Darker", "license": "MIT",
        "config": {"decoder_widths": [], "decoder_depth": [1, 1, 1], "decoder_layers": []},
    }  # fmt: skip
    whole, alone = (read_tensors(folder / f"m{x}.safetensors") for x in ("", ".dark"))
    assert set(alone) == {key for key in whole if key.startswith("decoder.")}
    moved = [key for key in alone if not torch.equal(alone[key], whole[key])]
    assert moved == ["decoder.linear.bias"]
    assert all(x.dtype == torch.float16 for x in alone.values())


def test_decoders_are_found_beside_the_weights(folder: Path) -> None:
    (folder / "m.notes.safetensors").write_text("not weights")
    zoo.save(small_photo(), folder / "m.v2.safetensors", "m.v2", "A model, not a decoder")
    assert list(zoo.decoders(folder / "m.safetensors")) == ["fidelity", "dark"]
    assert list(zoo.decoders(folder / "m.v2.safetensors")) == ["fidelity"]
    assert not [name for name in zoo.names() if "." in name]


def test_what_cannot_serve_as_a_decoder_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    weights, dark = folder / "m.safetensors", folder / "m.dark.safetensors"
    with pytest.raises(UnknownModelError, match=r"'sharp' is neither .* \(fidelity, dark\) nor"):
        zoo.load(weights, decoder="sharp")
    with pytest.raises(UnknownModelError, match="a whole model, not a decoder"):
        zoo.load(weights, decoder=weights)
    with pytest.raises(UnknownModelError, match="a decoder of model 'm', not a model"):
        zoo.load(dark)
    torch.manual_seed(1)
    zoo.save(Photo(SMALL), tmp_path / "m.safetensors", "m", "Other weights")
    with pytest.raises(UnknownModelError, match="a decoder for other weights of 'm'"):
        zoo.load(tmp_path / "m.safetensors", decoder=dark)
    blob = (folder / "a.hqc").read_bytes()
    with pytest.raises(HqcodecError, match="a loaded model has its decoder"):
        api.decompress(blob, zoo.load(weights), decoder="dark")


def test_a_decoder_that_lacks_tensors_is_refused(folder: Path, tmp_path: Path) -> None:
    dark = folder / "m.dark.safetensors"
    state, metadata = read_tensors(dark), zoo.read_metadata(dark)
    state.popitem()
    write_weights(tmp_path / "part.safetensors", state, metadata)
    with pytest.raises(UnknownModelError, match="cannot be used"):
        zoo.load(folder / "m.safetensors", decoder=tmp_path / "part.safetensors")


@pytest.mark.parametrize("key", ["encoder.linear.bias", "codebooks.tables.0", "contexts.0.start"])
def test_a_decoder_is_not_saved_if_anything_else_has_changed(folder: Path, key: str) -> None:
    with pytest.raises(HqcodecError, match=f"{key} is not what it is in"):
        save_decoder(folder, "bad.safetensors", key)
    twin = Photo(replace(SMALL, rate_weight=0.2))
    twin.load_state_dict(small_photo().state_dict())
    weights = folder / "m.safetensors"
    with pytest.raises(HqcodecError, match="the config is not that of"):
        zoo.save_decoder(twin, weights, folder / "bad.safetensors", "bad", "Bad")
    assert not (folder / "bad.safetensors").exists()


def test_the_command_line_decodes_by_name_and_by_file(folder: Path, tmp_path: Path) -> None:
    common = ["decompress", folder / "a.hqc", "-m", folder / "m.safetensors", "-f", "-o"]
    shown = {}
    for decoder in ("fidelity", "dark", folder / "m.dark.safetensors", "sharp"):
        args = [*common, tmp_path / f"{Path(decoder).stem}.png", "--decoder", decoder]
        shown[str(decoder)] = CliRunner().invoke(app, [str(arg) for arg in args])
    assert [result.exit_code for result in shown.values()] == [0, 0, 0, 1]
    assert shown["sharp"].stderr.count("\n") == 1 and "fidelity, dark" in shown["sharp"].stderr
    pixels = {p.stem: Image.open(p).tobytes() for p in tmp_path.iterdir()}
    assert pixels["dark"] == pixels["m.dark"] != pixels["fidelity"]


def test_models_lists_the_decoders_of_each() -> None:
    for line in CliRunner().invoke(app, ["models", "--json"]).stdout.splitlines():
        facts = json.loads(line)
        assert facts["decoders"] == list(zoo.decoders(facts["name"]))
    assert "decoders: fidelity" in CliRunner().invoke(app, ["models"]).stdout
