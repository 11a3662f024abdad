"""A sound to a .hqc file and back: any rate, length and number of channels, and what is refused."""

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hqcodec
from hqcodec import Audio, api, container, sound
from hqcodec.content import Samples
from hqcodec.errors import CutFileWarning, FormatError, HqcodecError, UnknownModelError
from hqcodec.models import zoo
from hqcodec.target import Target
from photos import small_photo
from tones import file, noise, small_sound, sweep


def restored(blob: bytes, layers: int | None = None) -> Audio:
    found = hqcodec.decompress(blob, small_sound(), layers)
    assert isinstance(found, Audio)
    return found


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 24_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_rate_channels_and_samples_come_back_exactly(rate: int, channels: int) -> None:
    for samples in (0, 1, 2, 1_000, 3_999):
        blob = hqcodec.compress(Audio(sweep(samples, rate, channels), rate), small_sound(), 2)
        found = restored(blob)
        assert (found.rate, found.samples.shape) == (rate, (samples, channels))
        assert not found.samples.size or np.abs(found.samples).max() <= 1
        assert container.read(blob).content == Samples(channels, samples, rate)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3_000), st.integers(1_000, 768_000), st.integers(1, 8))
def test_any_sound_comes_back_with_its_shape(samples: int, rate: int, channels: int) -> None:
    samples = min(samples, rate)  # at most a second
    blob = hqcodec.compress(Audio(noise(samples, channels), rate), small_sound(), 1)
    assert restored(blob).samples.shape == (samples, channels)


def test_a_file_holds_the_codes_of_the_model_and_decodes_to_their_samples() -> None:
    model, x = small_sound(), sweep(30_000)
    c = container.read(hqcodec.compress(Audio(x, 24_000), model))
    codes = api.unpack(c, model, 3)
    expected = model.encode(torch.from_numpy(x.T.copy())[None])
    assert all(torch.equal(a, b[0]) for a, b in zip(codes, expected, strict=True))
    y = model.decode([layer[None] for layer in codes], (1, 30_000))[0].numpy().T
    assert np.array_equal(restored(container.write(c)).samples, y)


def test_stereo_is_coded_as_mid_and_side() -> None:
    x = noise(3_000, 2)
    coded = sound.to_coded(x)
    assert np.allclose(coded[:, 0], x.mean(1)) and np.allclose(coded[:, 1], (x[:, 0] - x[:, 1]) / 2)
    assert np.allclose(sound.from_coded(coded), x, atol=1e-7)
    for other in (noise(5), noise(5, 3)):
        assert np.array_equal(sound.to_coded(other), other)
    model = small_sound()
    c = container.read(hqcodec.compress(Audio(x, 24_000), model))
    mid = container.read(hqcodec.compress(Audio(coded[:, :1].copy(), 24_000), model))
    pairs = zip(api.unpack(c, model, 3), api.unpack(mid, model, 3), strict=True)
    assert all(torch.equal(both[:, :1], one) for both, one in pairs)


def test_silence_and_clipped_sounds_are_coded() -> None:
    for x in (np.zeros((5_000, 2), np.float32), np.sign(noise(5_000, 2)) * np.float32(3)):
        found = restored(hqcodec.compress(Audio(x, 16_000), small_sound()))
        assert np.isfinite(found.samples).all() and np.abs(found.samples).max() <= 1


def test_paths_bytes_and_arrays_give_the_same_file(tmp_path: Path) -> None:
    x = sweep(5_000, 44_100, 2)
    data = file(x, 44_100, "WAV", "FLOAT")
    (tmp_path / "a.wav").write_bytes(data)
    blob = hqcodec.compress(Audio(x, 44_100), small_sound())
    for source in (data, tmp_path / "a.wav", str(tmp_path / "a.wav")):
        assert hqcodec.compress(source, small_sound()) == blob


def test_blocks_are_what_decompress_puts_together() -> None:
    blob = hqcodec.compress(Audio(sweep(300_000, 24_000, 2), 44_100), small_sound())
    told: list[float] = []
    blocks = list(api.blocks(blob, small_sound(), progress=told.append))
    assert len(blocks) > 1 and np.array_equal(np.concatenate(blocks), restored(blob).samples)
    assert told == sorted(told) and told[0] > 0 and told[-1] == 1
    picture = hqcodec.compress(Image.new("RGB", (8, 8)), small_photo())
    with pytest.raises(HqcodecError, match=r"^a picture, not a sound; `decompress` shows it$"):
        api.blocks(picture, small_photo())


def test_progress_rises_to_one() -> None:
    told: list[float] = []
    x = Audio(sweep(200_000), 24_000)
    hqcodec.compress(x, small_sound(), progress=told.append)
    assert told == sorted(told) and told[0] > 0 and told[-1] == 1


def test_every_truncation_decodes_to_fewer_layers_or_is_one_clear_error() -> None:
    blob = hqcodec.compress(Audio(sweep(700), 16_000), small_sound())
    warned = 0
    for cut in range(len(blob)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                assert restored(blob[:cut]).samples.shape == (700, 1)
                assert [w.category for w in caught] == [CutFileWarning]
                warned += 1
            except FormatError as error:
                assert "\n" not in str(error)
    assert 0 < warned < len(blob)


def test_every_flipped_byte_is_an_error() -> None:
    blob = hqcodec.compress(Audio(sweep(700), 16_000), small_sound())
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 0x55
        with pytest.raises(FormatError):
            restored(bytes(damaged))


def test_payloads_of_noise_under_good_checksums_decode_or_are_one_error() -> None:
    model, random_bytes = small_sound(), random.Random(1).randbytes
    for content in (Samples(2, 5_000, 44_100), Samples(1, 0, 8_000), Samples(8, 1, 192_000)):
        for _ in range(20):
            payloads = tuple(random_bytes(n) for n in (30, 0, 200))
            blob = container.write(
                container.Container("small", model.hash[:4], content, {}, payloads)
            )
            try:
                found = restored(blob)
                assert found.samples.shape == (content.samples, content.channels)
            except FormatError as error:
                assert "\n" not in str(error)


def test_fewer_layers_are_the_beginning_of_more() -> None:
    model, x = small_sound(), Audio(sweep(9_000), 16_000)
    blobs = [hqcodec.compress(x, model, layers) for layers in (1, 2, 3)]
    assert len(blobs[0]) < len(blobs[1]) < len(blobs[2])
    for layers in (1, 2, 3):
        cut = container.write(container.truncate(container.read(blobs[2]), layers))
        assert cut == blobs[layers - 1]
        assert np.array_equal(restored(blobs[2], layers).samples, restored(cut).samples)


def test_the_file_is_as_long_as_its_codes_are_surprising() -> None:
    blob = hqcodec.compress(Audio(noise(480_000), 24_000), small_sound())
    codes = 3 * 2 * 3 * 1_500 / 8  # layers, groups, bits of a code, frames
    assert len(blob) < 1.02 * codes + 60


@pytest.mark.parametrize("wanted", ["size", "kbps"])
def test_a_target_keeps_as_many_layers_as_fit(wanted: str) -> None:
    x = Audio(sweep(96_000, 48_000), 48_000)  # two seconds
    sizes = [len(hqcodec.compress(x, small_sound(), layers)) for layers in (1, 2, 3)]
    for most, kept in ((sizes[0], 1), (sizes[1] - 1, 1), (sizes[1], 2), (10 * sizes[2], 3)):
        target = Target(size=most) if wanted == "size" else Target(kbps=most * 8 / 2_000)
        blob = hqcodec.compress(x, small_sound(), target=target)
        assert len(blob) == sizes[kept - 1] <= most
    with pytest.raises(
        HqcodecError, match=rf"^target of 9 bytes: .* takes {sizes[0]} bytes or mor"
    ):
        hqcodec.compress(x, small_sound(), target=Target(size=9))


def test_targets_of_the_other_kind_are_one_line() -> None:
    for target in (Target(bpp=1), Target(psnr=30)):
        with pytest.raises(
            HqcodecError, match=r"^a target in bpp or dB is for pictures; for a sound"
        ):
            hqcodec.compress(Audio(sweep(9), 8_000), small_sound(), target=target)
    with pytest.raises(
        HqcodecError, match=r"^a target in kbit/s is for sounds; for a picture give"
    ):
        hqcodec.compress(Image.new("RGB", (8, 8)), small_photo(), target=Target(kbps=3))


def test_a_model_of_the_other_kind_is_one_line() -> None:
    x = Audio(sweep(9), 8_000)
    with pytest.raises(HqcodecError, match=r"codes pictures, and this is a sound$"):
        hqcodec.compress(x, small_photo())
    with pytest.raises(HqcodecError, match=r"^model small codes sounds, and this is a picture$"):
        hqcodec.compress(Image.new("RGB", (8, 8)), small_sound())
    c = container.read(hqcodec.compress(x, small_sound(), 1))
    lying = container.Container("x", small_photo().hash[:4], c.content, {}, c.payloads)
    with pytest.raises(FormatError, match=r"^a sound under .*, which codes pictures$"):
        hqcodec.decompress(container.write(lying), small_photo())


def test_errors_of_layers_and_weights_are_those_of_pictures() -> None:
    x = Audio(sweep(9), 8_000)
    blob = hqcodec.compress(x, small_sound())
    for layers in (0, 4):
        with pytest.raises(HqcodecError, match=r"layers asked for; model small has 1 to 3$"):
            hqcodec.compress(x, small_sound(), layers)
        with pytest.raises(HqcodecError, match=r"layers asked for; the file holds 1 to 3$"):
            restored(blob, layers)
    with pytest.raises(UnknownModelError, match=r"^made by model 'small', which is not installed"):
        hqcodec.decompress(blob)
    c = container.read(blob)
    other = container.Container("small", b"abcd", c.content, {}, c.payloads)
    with pytest.raises(UnknownModelError, match=r"^made by other weights of 'small'"):
        restored(container.write(other))


def test_a_saved_model_decodes_the_file(tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    zoo.save(small_sound(), weights, "small", "for this test")
    x = Audio(sweep(5_000), 16_000)
    blob = hqcodec.compress(x, weights)
    found = hqcodec.decompress(blob, weights)
    assert isinstance(found, Audio) and found.samples.shape == (5_000, 1)


def test_the_kind_of_a_family_is_known_without_its_class() -> None:
    for family in zoo.FAMILIES:
        assert zoo.kind_of(family) == zoo.model_class(family).kind


def test_damaged_sounds_are_one_line_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(FormatError, match=r"a\.wav: not a sound, or damaged"):
        hqcodec.compress(tmp_path / "a.wav", small_sound())
    with pytest.raises(HqcodecError, match=r"none\.wav: No such file"):
        hqcodec.compress(tmp_path / "none.wav", small_sound())
    stream = io.BytesIO(file(noise(100, 9), 8_000))
    with pytest.raises(FormatError, match="9 channels; a sound has 1 to 8"):
        hqcodec.compress(stream.getvalue(), small_sound())
