"""Every family as a codec: whole files, there and back, cut and damaged."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from families import MODELS, make
from hqcodec import api, container, image
from hqcodec.cli.main import app
from hqcodec.errors import CutFileWarning, FormatError
from hqcodec.models import zoo
from hqcodec.models.base import Model
from hqcodec.picture import to_picture, to_tensor

NAMES = (
    "hybrid, learned prior",
    "VQ-VAE-2",
    "HQA, learned prior",
    "HR-VQVAE, learned prior",
    "RRVQ-VAE, learned priors",
    "HD-VAE, learned prior",
)


def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(noise).resize((29, 22))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    made = make(request.param)
    made.name = "small"
    return made


@pytest.fixture(scope="module")
def blob(model: Model) -> bytes:
    return api.compress(picture(), model, len(model.layers))


def test_every_family_is_here() -> None:
    families = {MODELS[name]().family for name in NAMES}
    # of photo and sound, tests of their own
    assert families | {"photo", "sound"} == set(zoo.FAMILIES)


def test_a_file_decodes_to_the_encoders_own_codes_at_every_number_of_layers(
    model: Model, blob: bytes
) -> None:
    codes = model.encode(to_tensor(to_picture(picture())))
    c = container.read(blob)
    for kept in range(1, len(codes) + 1):
        found = api.unpack(container.truncate(c, kept), model, kept)
        assert len(found) == kept
        assert all(torch.equal(a.view_as(b), b) for a, b in zip(found, codes, strict=False))
        cut = container.write(container.truncate(c, kept))
        assert cut == api.compress(picture(), model, kept)
        assert api.decompress(cut, model).size == (29, 22)


def test_every_truncation_decodes_to_fewer_layers_or_is_one_clear_error(
    model: Model, blob: bytes
) -> None:
    for cut in range(len(blob)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                api.decompress(blob[:cut], model)
                assert [w.category for w in caught] == [CutFileWarning]
            except FormatError as error:
                assert "\n" not in str(error)


def test_every_flipped_byte_is_an_error(model: Model, blob: bytes) -> None:
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 0x55
        with pytest.raises(FormatError):
            api.decompress(bytes(damaged), model)


def test_payloads_of_noise_under_a_good_checksum_decode_to_some_picture(
    model: Model, blob: bytes
) -> None:
    c, rng = container.read(blob), np.random.default_rng(0)
    noise = tuple(rng.bytes(len(payload)) for payload in c.payloads)
    lying = container.Container(c.model, c.weights_hash, c.content, c.chunks, noise)
    try:
        assert api.decompress(container.write(lying), model).size == (29, 22)
    except FormatError as error:  # the coder noticed
        assert "\n" not in str(error)


def test_the_commands_take_the_weights_of_every_family(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    zoo.save(model, Path("small.safetensors"), "small", "a test")
    picture().save("a.png")
    runner = CliRunner()
    weights = ["--model", "small.safetensors"]
    for line in (
        ["compress", "a.png", "--layers", str(len(model.layers)), *weights],
        ["truncate", "a.hqc", "--layers", "1", "-o", "one.hqc"],
        ["decompress", "a.hqc", "-o", "b.png", *weights],
        ["decompress", "one.hqc", *weights],
        ["sample", "--count", "2", "--size", "9x8", "-o", "new.png", *weights],
    ):
        result = runner.invoke(app, line)
        assert result.exit_code == 0, (line, result.output)
    facts = json.loads(runner.invoke(app, ["info", "one.hqc", "--json"]).stdout)
    assert facts["layers"] == 1 and facts["model"] == "small"
    assert image.load("b.png").rgb.shape == image.load("one.png").rgb.shape == (22, 29, 3)
