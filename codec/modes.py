"""Pictures of any Pillow mode -> "L", "LA", "RGB" or "RGBA".

Deeper pictures are scaled to 8 bits, not clipped: 16-bit ones by 1/257; 32-bit and floating-point
ones so that the smallest usual white (1.0, 255 or 65535) that no pixel exceeds becomes 255, and if
there is none or a pixel is negative, from their darkest to their brightest pixel.
"""

import io

import numpy as np
from PIL import Image, ImageCms

_GRAY = ("1", "L", "LA", "La")
_COLOUR = ("P", "PA", "RGB", "RGBX", "RGBA", "RGBa")
_WHITES: dict[str, tuple[float, ...]] = {"I": (255, 65_535), "F": (1, 255, 65_535)}


def to_8_bits(image: Image.Image) -> Image.Image:
    """The picture in the smallest of the four modes that holds all its colours and transparency.

    CMYK becomes sRGB by the picture's own profile if it has one. Single transparent colours (PNG's
    tRNS) become an alpha plane.
    """
    if image.mode.startswith("I;16"):
        return _scale_16_bits(image)
    if image.mode in _WHITES:
        return _scale(image, _WHITES[image.mode])
    if image.mode == "CMYK":
        return _cmyk_to_rgb(image)
    if image.mode == "LAB":
        return _to_srgb(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if image.mode == "RGB":
        image = _halve_transparency(image)
    transparent = image.has_transparency_data
    if image.mode in _GRAY:
        return image.convert("LA" if transparent else "L")
    return image.convert("RGBA" if transparent and image.mode in _COLOUR else "RGB")


def _halve_transparency(image: Image.Image) -> Image.Image:
    """Of 16-bit colours Pillow keeps the high bytes, but of the transparent one both."""
    colour = image.info.get("transparency")
    if isinstance(colour, tuple) and max(colour) > 255:
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    return image


def _scale_16_bits(image: Image.Image) -> Image.Image:
    values = image.convert("I")
    gray = _scale(values, (65_535,))
    if (transparent := image.info.get("transparency")) is not None:
        gray.putalpha(
            Image.fromarray(np.where(np.asarray(values) == transparent, 0, 255).astype(np.uint8))
        )
    return gray


def _scale(image: Image.Image, whites: tuple[float, ...]) -> Image.Image:
    """Bring the values of an "I" or "F" picture to 0..255: "L"."""
    values = np.asarray(image, np.float64)
    finite = values[np.isfinite(values)]
    black, brightest = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    values = np.nan_to_num(values, nan=black, neginf=black, posinf=brightest)
    white = next((w for w in whites if black >= 0 and brightest <= w), None)
    if white is None:
        white = brightest
    else:
        black = 0.0
    scaled = (values - black) * 255 / ((white - black) or 1.0)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    icc = image.info.get("icc_profile") or b""
    try:
        return _to_srgb(image, ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    except (OSError, ImageCms.PyCMSError):  # no profile, a broken one, or one for other colours
        return image.convert("RGB")


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    assert converted is not None  # it is None only for conversion in place
    return converted
