"""Whatever a picture file holds, it arrives as 8-bit RGB, upright, with what belongs to it."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from hqcodec.errors import FormatError, HqcodecError
from hqcodec.image import FORMATS, Picture, from_pillow, load, save, to_pillow

RAMP = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
RGB = np.stack([RAMP, RAMP[::-1], 255 - RAMP], -1)
COLOUR = Image.fromarray(RGB)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_ICC = SRGB[:16] + b"GRAY" + SRGB[20:]


def file_of(image: Image.Image, format: str = "PNG", **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **settings)
    return stream.getvalue()


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["L", "LA", "RGB", "RGBA"]),
    st.sampled_from(["png", "tiff", "webp"]),
)
def test_lossless_formats_survive_load_and_save(w: int, h: int, mode: str, format: str) -> None:
    noise = np.random.default_rng(w * 64 + h).integers(0, 256, (h, w, 4), np.uint8)
    before = from_pillow(Image.fromarray(noise).convert(mode))
    stream = io.BytesIO()
    save(before, stream, format)
    after = load(stream.getvalue())
    assert (before.width, before.height, before.mode) == (w, h, mode)
    assert np.array_equal(after.rgb, before.rgb)
    if before.alpha is not None and after.alpha is not None:
        assert np.array_equal(after.alpha, before.alpha)
    if format != "webp":  # which knows no gray, and drops an alpha plane that is opaque
        assert after.mode == mode


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize(("black", "bits"), [(0, 1), (1, 8)])
def test_black_and_white_pictures_take_a_bit_a_pixel(format: str, black: int, bits: int) -> None:
    noise = np.random.default_rng(3).integers(0, 2, (64, 64), np.uint8)
    image = Image.fromarray(np.where(noise, np.uint8(255), np.uint8(black)))
    image.info["icc_profile"] = GRAY_ICC
    stream = io.BytesIO()
    save(image, stream, format)
    with Image.open(stream) as written:
        assert written.mode == {1: "1", 8: "L"}[bits]
    after = load(stream.getvalue())
    assert np.array_equal(after.rgb[..., 1], np.asarray(image))
    assert after.mode == "L" and after.icc == GRAY_ICC


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_mode_can_be_written_in_every_format(suffix: str, mode: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a ramp"
    image = COLOUR.convert(mode)
    image.info |= {"icc_profile": GRAY_ICC if mode[0] == "L" else SRGB, "exif": exif.tobytes()}
    path = tmp_path / f"x{suffix}"
    save(from_pillow(image), path, suffix)
    back = load(path)
    assert back.rgb.shape == RGB.shape
    near = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(back.rgb - near).mean() < (
        40 if FORMATS[suffix] in ("JPEG", "AVIF", "GIF") else 1
    )


def test_colours_below_full_transparency_are_kept() -> None:
    clear = Image.merge("RGBA", (*COLOUR.split(), Image.new("L", COLOUR.size, 0)))
    assert np.array_equal(load(file_of(clear)).rgb, RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_pictures_come_upright_and_their_exif_says_no_more(orientation: int, format: str) -> None:
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: np.rot90(RGB, 2).swapaxes(0, 1),
        8: np.rot90(RGB),
    }
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "a ramp"
    settings = {"lossless": True} if format == "WEBP" else {}
    picture = load(file_of(COLOUR, format, exif=exif, **settings))
    assert np.array_equal(picture.rgb, turned[orientation])
    if format != "TIFF":  # whose tags are about the file
        kept = Image.Exif()
        kept.load(picture.exif or b"")
        assert dict(kept) == {0x010E: "a ramp"}


def test_exif_without_orientation_is_kept_to_the_byte() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a ramp"
    assert load(file_of(COLOUR, exif=exif)).exif == b"Exif\0\0" + exif.tobytes()[6:]


def test_damaged_exif_does_not_cost_the_picture() -> None:
    picture = load(file_of(COLOUR, exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff"))
    assert np.array_equal(picture.rgb, RGB)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize(("icc", "gray"), [(SRGB, False), (GRAY_ICC, True), (b"junk", None)])
def test_a_profile_is_kept_where_it_fits_the_mode(mode: str, icc: bytes, gray: bool | None) -> None:
    image = COLOUR.convert(mode)
    image.info["icc_profile"] = icc
    picture = from_pillow(image)
    assert picture.icc == (icc if gray is (mode[0] == "L") else None)
    assert to_pillow(picture).info.get("icc_profile") == picture.icc


@pytest.mark.parametrize("icc", [b"", b"junk", SRGB])
def test_cmyk_loses_its_profile(icc: bytes) -> None:
    image = COLOUR.convert("CMYK")
    picture = load(file_of(image, "TIFF", icc_profile=icc))
    assert picture.icc is None
    assert np.array_equal(picture.rgb, RGB)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        picture = load(file_of(frames[0], format, save_all=True, append_images=frames[1:]))
        assert np.abs(picture.rgb[0, 0].astype(int) - (255, 0, 0)).max() <= 2, format


def test_pictures_may_come_from_paths_bytes_streams_and_pipes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(file_of(COLOUR))
    with path.open("rb") as stream:
        for source in (path, str(path), path.read_bytes(), stream):
            assert np.array_equal(load(source).rgb, RGB)


@pytest.mark.parametrize("cut", [0, 1, 20, 50, -40])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif", ".bmp", ".gif"])
def test_truncated_files_are_one_line(suffix: str, cut: int, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(file_of(COLOUR, FORMATS[suffix])[:cut])
    with pytest.raises(FormatError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif", ".bmp", ".gif"])
def test_flipped_bytes_raise_nothing_but_format_errors(suffix: str) -> None:
    sound = file_of(COLOUR.resize((3, 2)), FORMATS[suffix])
    for at in range(0, len(sound), max(1, len(sound) // 60)):
        damaged = bytearray(sound)
        damaged[at] ^= 0xFF
        try:
            assert load(bytes(damaged)).rgb.size
        except FormatError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (16_385, 16_384), (70_000, 1)])
def test_bombs_are_refused_before_they_inflate(width: int, height: int) -> None:
    with pytest.raises(FormatError, match="pixels"):
        load(f"P5 {width} {height} 255\n".encode() + bytes(99))


def test_pillows_own_limit_does_not_count_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    for format in ("PNG", "TIFF", "GIF", "WEBP"):
        assert load(file_of(COLOUR, format)).rgb.shape == RGB.shape
    assert Image.MAX_IMAGE_PIXELS == 50


def test_pillows_warnings_stay_in() -> None:
    image = COLOUR.quantize(16)
    image.info["transparency"] = bytes(16)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert from_pillow(image).mode == "RGBA"
    assert caught == []


def test_files_that_cannot_be_read_are_one_line_with_their_name(tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("hello")
    for path, reason in [
        (tmp_path / "none.png", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (text, "not a picture, or damaged"),
    ]:
        with pytest.raises(HqcodecError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: {reason}")
    with pytest.raises(HqcodecError, match="no file name"):
        load("a\0b")


def test_postscript_is_not_run() -> None:
    with pytest.raises(FormatError, match="not a picture"):
        load(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")


@pytest.mark.parametrize(
    ("target", "message"),
    [("xyz", "cannot write pictures as 'xyz'; known are png, jpg"), ("webp", "20000x1 pixels")],
)
def test_pictures_that_cannot_be_written_are_one_line(target: str, message: str) -> None:
    with pytest.raises(HqcodecError, match=message):
        save(Image.new("RGB", (20_000, 1)), io.BytesIO(), target)


def test_formats_without_transparency_show_white() -> None:
    stream = io.BytesIO()
    save(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), stream, "jpg")
    assert load(stream.getvalue()).rgb.min() > 250


@pytest.mark.parametrize(
    "bad",
    [
        {"rgb": RGB[..., 0]},
        {"rgb": RGB.astype(np.float32)},
        {"rgb": RGB[:0]},
        {"mode": "CMYK"},
        {"mode": "RGBA"},
        {"alpha": RAMP},
        {"mode": "RGBA", "alpha": RAMP[1:]},
    ],
    ids=lambda bad: " ".join(bad),
)
def test_a_picture_that_exists_is_whole(bad: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Picture(**({"rgb": RGB, "alpha": None, "mode": "RGB"} | bad))
