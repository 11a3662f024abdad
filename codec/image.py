"""A picture file <-> arrays: what Pillow reads becomes 8-bit RGB, perhaps with an alpha plane."""

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hqcodec.errors import FormatError, HqcodecError, one_line
from hqcodec.limits import MAX_PIXELS, check_size
from hqcodec.modes import to_8_bits

FORMATS = {  # suffix -> Pillow's name of the format
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".jp2": "JPEG2000",
}
_READ = tuple(dict.fromkeys(FORMATS.values()))  # no EPS: Pillow would start Ghostscript for it
_SETTINGS: dict[str, dict[str, Any]] = {  # near or at lossless: what is written was decoded once
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 90},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_BILEVEL = ("PNG", "TIFF")  # have pixels of one bit, which any program reads
_NO_ALPHA = ("JPEG", "BMP", "PPM")
_NO_GRAY = ("WEBP", "AVIF")  # gray becomes RGB, for which its ICC profile is wrong
_ORIENTATION = 0x0112  # EXIF tag
_MAX_JPEG_EXIF = 65_533  # bytes of one JPEG segment
_TURNS = {  # EXIF orientation -> what brings the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_lock = threading.Lock()

# Or Pillow's messages about damaged files would go to stderr where no logging is set up.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as the codec takes it.

    rgb: [H,W,3] uint8, gray ones with three equal planes. alpha: [H,W] uint8 if the mode has an A.
    mode: "L", "LA", "RGB" or "RGBA". icc, exif: the blocks of the file, exif without orientation.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    mode: str
    icc: bytes | None = None
    exif: bytes | None = None

    def __post_init__(self) -> None:
        """Raise FormatError if the fields do not fit each other."""
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise FormatError(f"pixels {self.rgb.dtype} {self.rgb.shape}; they are uint8 [H,W,3]")
        check_size(self.width, self.height)
        if self.mode not in ("L", "LA", "RGB", "RGBA"):
            raise FormatError(f"mode {self.mode!r}; a picture has mode L, LA, RGB or RGBA")
        shape = None if self.alpha is None else self.alpha.shape
        if shape != (self.rgb.shape[:2] if "A" in self.mode else None):
            raise FormatError(f"mode {self.mode}, {self.rgb.shape} pixels, alpha plane {shape}")

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.rgb.shape[0])


def load(source: str | Path | bytes | BinaryIO, name: str | None = None) -> Picture:
    """Read a picture file; of an animation its first frame.

    name: what errors call it, by default the file's own name. Raise FormatError if it is no
    picture or damaged, HqcodecError if the file cannot be read.
    """
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), name or "the picture")
    if not isinstance(source, str | Path):
        return _decode(source, name or str(getattr(source, "name", "the picture")))
    try:
        with open(source, "rb") as stream:
            return _decode(stream, name or str(source))
    except OSError as error:
        raise HqcodecError(f"{source}: {error.strerror or error}") from None
    except ValueError as error:  # a NUL byte
        raise HqcodecError(f"{str(source)!r} is no file name: {error}") from None


def save(picture: Picture | Image.Image, target: str | Path | BinaryIO, format: str) -> None:
    """Write a picture file. format: a suffix of FORMATS, with or without its dot, as in "png".

    Formats without transparency show the picture on white. Gray pictures that are black and white
    alone take a bit a pixel in PNG and TIFF.
    """
    kind = FORMATS.get("." + format.lower().removeprefix("."))
    if kind is None:
        known = ", ".join(suffix[1:] for suffix in FORMATS)
        raise HqcodecError(f"cannot write pictures as {format!r}; known are {known}")
    image = to_pillow(picture) if isinstance(picture, Picture) else picture
    settings = dict(_SETTINGS.get(kind, {}))
    icc = image.info.get("icc_profile")
    if icc and not (kind in _NO_GRAY and icc[16:20] == b"GRAY"):
        settings["icc_profile"] = icc
    exif = image.info.get("exif")
    if exif and not (kind == "JPEG" and len(exif) > _MAX_JPEG_EXIF):
        settings["exif"] = exif
    if kind in _NO_ALPHA and image.mode in ("LA", "RGBA"):
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA")).convert(image.mode[:-1])
    if kind in _BILEVEL and image.mode == "L":
        shades = image.getcolors(2)  # None: more
        if shades and {shade for _, shade in shades} <= {0, 255}:
            image = image.convert("1")
    stream = io.BytesIO()  # nothing half-written if it fails
    try:
        with _quiet_pillow():
            image.save(stream, kind, **settings)
    except Exception as error:  # what an encoder raises depends on the format
        size = f"{image.width}x{image.height}"
        raise HqcodecError(f"cannot write {size} pixels as {kind}: {one_line(error)}") from None
    if isinstance(target, str | Path):
        Path(target).write_bytes(stream.getvalue())
    else:
        target.write(stream.getvalue())


def from_pillow(image: Image.Image) -> Picture:
    """A Pillow image of any mode, turned upright; raise FormatError if it is damaged."""
    with _one_error("the picture"), _quiet_pillow():
        return _convert(image)


def to_pillow(picture: Picture) -> Image.Image:
    """Inverse of `from_pillow`; the ICC profile and EXIF are in `info`, where `save` finds them."""
    image = Image.fromarray(picture.rgb)
    if picture.mode in ("L", "LA"):
        image = image.convert("L")
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = picture.exif
    return image


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings in, and set its limit to ours.

    Both are global to the process, hence the lock.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _one_error(name: str) -> Iterator[None]:
    """Turn what Pillow raises into FormatErrors of one line that start with `name`."""
    try:
        yield
    except HqcodecError as error:
        raise FormatError(f"{name}: {error}") from None
    except UnidentifiedImageError:
        known = ", ".join(_READ)
        raise FormatError(f"{name}: not a picture, or damaged; readable are {known}") from None
    except Image.DecompressionBombError:
        raise FormatError(f"{name}: more than {MAX_PIXELS} pixels") from None
    except MemoryError:
        raise FormatError(f"{name}: the picture does not fit into memory") from None
    except Exception as error:  # on hostile bytes its decoders raise nearly anything
        if isinstance(error, OSError) and error.errno:  # of the file system, not of the picture
            raise
        raise FormatError(f"{name}: damaged picture: {one_line(error)}") from None


def _decode(stream: BinaryIO, name: str) -> Picture:
    if not stream.seekable():  # a pipe
        stream = io.BytesIO(stream.read())
    with _one_error(name), _quiet_pillow(), Image.open(stream, formats=_READ) as image:
        return _convert(image)


def _convert(image: Image.Image) -> Picture:
    check_size(*image.size)
    image.load()
    image, exif = _upright(image)
    icc = image.info.get("icc_profile") or b""
    if image.mode in ("CMYK", "LAB"):
        icc = b""  # what comes of them is sRGB
    image = to_8_bits(image)
    space = b"GRAY" if image.mode in ("L", "LA") else b"RGB "
    return Picture(
        rgb=np.array(image.convert("RGB")),
        alpha=np.array(image.getchannel("A")) if "A" in image.getbands() else None,
        mode=image.mode,
        icc=icc if icc[16:20] == space else None,  # the colour space that the profile is for
        exif=exif,
    )


def _upright(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """The picture turned as its EXIF says, and the EXIF without that tag."""
    block: bytes | None = image.info.get("exif")  # TIFF has none: its tags describe the file itself
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        exif = Image.Exif()  # the picture's own must not change
        exif.load(block or b"")
        if exif.pop(_ORIENTATION, None) is not None:
            block = exif.tobytes()  # else as it was: maker notes hold offsets into the block
    except Exception:  # the block is damaged; the picture may be sound
        return image, None
    return (image if turn is None else image.transpose(turn)), block or None
