"""Compress and decompress, from a picture to bytes and back."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hqcodec
from hqcodec import api, container
from hqcodec.benchmarks import demo
from hqcodec.errors import CutFileWarning, FormatError, HqcodecError, UnknownModelError
from hqcodec.models import zoo
from hqcodec.models.base import Model
from hqcodec.picture import to_picture, to_tensor
from photos import small_photo


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    zoo.save(small_photo(), path, "small", "A small model for tests")
    return path


@pytest.fixture(scope="module")
def model(weights: Path) -> Model:
    return hqcodec.load(weights)


def paint(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A smooth picture."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, len(mode)), np.uint8)
    bands = [Image.fromarray(noise[..., i]).resize((width, height)) for i in range(len(mode))]
    return Image.merge(mode, bands) if len(mode) > 1 else bands[0]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    width=st.integers(1, 70), height=st.integers(1, 70),
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA"]), layers=st.integers(1, 3),
)  # fmt: skip
def test_size_mode_and_alpha_come_back(width: int, height: int, mode: str, layers: int) -> None:
    model = _named(small_photo())
    source = paint(width, height, mode)
    back = api.decompress(api.compress(source, model, layers), model)
    assert (back.size, back.mode) == (source.size, mode)
    if "A" in mode:
        assert back.getchannel("A").tobytes() == source.getchannel("A").tobytes()


def _named(model: Model) -> Model:
    model.name = "small"
    return model


def test_a_file_decodes_to_the_encoders_own_reconstruction(model: Model) -> None:
    source = paint(75, 50)
    blob = api.compress(source, model)
    c = container.read(blob)
    codes = api.unpack(c, model, len(c.payloads))
    expected = model.encode(to_tensor(to_picture(source)), len(c.payloads))
    assert all(torch.equal(a, b[0]) for a, b in zip(codes, expected, strict=True))
    rgb = model.decode([layer[None] for layer in codes], (50, 75))[0].mul(255).round().byte()
    assert np.array_equal(np.asarray(api.decompress(blob, model)), rgb.movedim(0, -1).numpy())


@pytest.mark.parametrize("threads", ["1", "2"])
def test_another_process_decodes_to_the_same_pixels(
    model: Model, weights: Path, tmp_path: Path, threads: str
) -> None:
    blob = api.compress(paint(130, 90), model)
    (tmp_path / "a.hqc").write_bytes(blob)
    code = (
        "import sys, hqcodec; from pathlib import Path\n"
        "blob, weights = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])\n"
        "sys.stdout.buffer.write(hqcodec.decompress(blob, weights).tobytes())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.hqc"), str(weights)]
    found = subprocess.run(
        command, capture_output=True, check=True, env={"OMP_NUM_THREADS": threads, "PATH": ""}
    )
    assert found.stdout == api.decompress(blob, model).tobytes()


def test_more_layers_cost_more_and_look_better(model: Model) -> None:
    source = paint(128, 96)
    blobs = [api.compress(source, model, layers) for layers in (1, 2, 3)]
    errors = [
        np.square(np.asarray(api.decompress(b, model), float) - np.asarray(source, float)).mean()
        for b in blobs
    ]
    assert len(blobs[0]) < len(blobs[1]) < len(blobs[2])
    assert errors[0] > errors[1] > errors[2]


def test_truncating_equals_compressing_to_fewer_layers(model: Model) -> None:
    source = paint(64, 64)
    three, two = (api.compress(source, model, layers) for layers in (3, 2))
    assert container.write(container.truncate(container.read(three), 2)) == two


def test_a_cut_file_decodes_to_what_arrived_with_a_warning(model: Model) -> None:
    source = paint(64, 64)
    blob = api.compress(source, model, 3)
    with pytest.warns(CutFileWarning, match="2 of 3 layers"):
        cut = api.decompress(blob[:-1], model)
    assert cut.tobytes() == api.decompress(api.compress(source, model, 2), model).tobytes()


def test_every_truncation_decodes_to_fewer_layers_or_is_one_clear_error(model: Model) -> None:
    blob = api.compress(paint(20, 20), model, 3)
    warned = 0
    for cut in range(len(blob)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                api.decompress(blob[:cut], model)
                assert [w.category for w in caught] == [CutFileWarning]
                warned += 1
            except FormatError as error:
                assert "\n" not in str(error)
    assert 0 < warned < len(blob)


def test_every_flipped_byte_is_an_error(model: Model) -> None:
    blob = api.compress(paint(20, 20), model, 3)
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 0x55
        with pytest.raises(FormatError):
            api.decompress(bytes(damaged), model)


@pytest.mark.parametrize("layers", [0, -1, 4])
def test_layers_that_are_not_there_are_refused(model: Model, layers: int) -> None:
    with pytest.raises(HqcodecError, match="1 to 3"):
        api.compress(paint(8, 8), model, layers)
    with pytest.raises(HqcodecError, match="1 to 3"):
        api.decompress(api.compress(paint(8, 8), model, 3), model, layers)


def test_other_weights_are_refused(model: Model, weights: Path, tmp_path: Path) -> None:
    blob = api.compress(paint(8, 8), model)
    other = small_photo()
    other = type(other)(other.config).eval()
    zoo.save(other, tmp_path / "other.safetensors", "small", "Other weights")
    with pytest.raises(UnknownModelError, match="other weights"):
        api.decompress(blob, tmp_path / "other.safetensors")
    with pytest.raises(UnknownModelError, match="not installed"):
        api.decompress(blob)
    assert api.decompress(blob, weights).size == (8, 8)


def test_a_retrained_encoder_makes_files_that_old_weights_decode(
    model: Model, tmp_path: Path
) -> None:
    other = zoo.build("photo", {**_config(small_photo())})
    state = small_photo().state_dict()
    state["encoder.linear.bias"] = state["encoder.linear.bias"] + 0.01
    other.load_state_dict(state)
    zoo.save(other, tmp_path / "other.safetensors", "small", "Another encoder")
    blob = api.compress(paint(30, 30), tmp_path / "other.safetensors")
    assert api.decompress(blob, model).size == (30, 30)


def test_weights_that_were_replaced_are_loaded_anew(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    zoo.save(small_photo(), path, "small", "First")
    first = api.compress(paint(8, 8), path)
    zoo.save(type(small_photo())(small_photo().config).eval(), path, "small", "Second")
    second = api.compress(paint(8, 8), path)
    assert container.read(first).weights_hash != container.read(second).weights_hash
    assert api.decompress(second, path).size == (8, 8)
    with pytest.raises(UnknownModelError, match="other weights"):
        api.decompress(first, path)


def _config(model: Model) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(model.config)


def test_the_default_photo_model_beats_jpeg_on_a_real_photograph() -> None:
    """The weights that come with the package, on the photograph that matplotlib carries."""
    source = demo.sample()
    reference = np.asarray(source, float)
    blob = hqcodec.compress(source, layers=2)
    ours = np.square(np.asarray(hqcodec.decompress(blob), float) - reference).mean()
    jpeg, size = demo.jpeg_near(source, len(blob))
    assert 0.9 * len(blob) < size <= len(blob)
    assert ours < np.square(np.asarray(jpeg, float) - reference).mean()
