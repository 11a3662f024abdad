"""Rate-distortion curves that others published for the Kodak suite, for comparison."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hqcodec.errors import FormatError

Points = tuple[tuple[float, float], ...]  # (bits per pixel, metric)

KODAK = frozenset(f"kodim{i:02}" for i in range(1, 25))
COMPRESSAI = "CompressAI's results on Kodak, interpolated"


FILED = ("psnr", "ms_ssim")  # metrics of a file of curves, in the order of its columns


@dataclass(frozen=True)
class Published:
    """A curve that was not measured here. curves: metric -> points by rising rate."""

    name: str
    source: str
    curves: dict[str, Points]


def pairs(rates: tuple[float, ...], values: tuple[float | None, ...]) -> Points:
    """Points where there is a value."""
    return tuple((r, v) for r, v in zip(rates, values, strict=True) if v is not None)


# Means over the 24 pictures at these bits per pixel; None: not reached.
RATES = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
# name -> (source, PSNR in dB, MS-SSIM)
QUALITY: dict[str, tuple[str, tuple[float | None, ...], tuple[float | None, ...]]] = {
    "JPEG 4:2:0": (
        COMPRESSAI,
        (None, 23.03, 26.31, 29.20, 31.62, 32.81),
        (None, 0.778, 0.882, 0.946, 0.973, 0.980),
    ),
    "WebP": (
        COMPRESSAI,
        (24.88, 27.32, 29.19, 31.32, 33.81, 35.11),
        (0.864, 0.918, 0.940, 0.963, 0.978, 0.983),
    ),
    "BPG 4:4:4": (
        COMPRESSAI,
        (27.05, 29.28, 30.81, 33.05, 35.62, 36.94),
        (0.888, 0.932, 0.951, 0.970, 0.983, 0.987),
    ),
    "AV1 intra": (
        COMPRESSAI,
        (27.19, 29.59, 31.23, 33.66, 36.19, 37.54),
        (0.891, 0.937, 0.957, 0.975, 0.985, 0.989),
    ),
    "VTM": (
        COMPRESSAI,
        (28.04, 30.27, 31.88, 34.34, 36.80, 38.10),
        (0.907, 0.943, 0.961, 0.978, 0.987, 0.990),
    ),
    "factorized prior": (
        f"Ballé et al. 2018, {COMPRESSAI}",
        (None, 28.38, 29.75, 31.76, 34.11, 35.55),
        (None, 0.938, 0.957, 0.973, 0.984, 0.988),
    ),
    "hyperprior": (
        f"Ballé et al. 2018, {COMPRESSAI}",
        (None, 29.01, 30.65, 33.03, 35.60, 37.09),
        (None, 0.939, 0.958, 0.976, 0.986, 0.990),
    ),
    "mbt2018": (
        f"Minnen et al. 2018, {COMPRESSAI}",
        (None, 29.87, 31.51, 33.74, 36.33, 37.70),
        (None, 0.946, 0.964, 0.978, 0.987, 0.991),
    ),
    "QARV": ("Duan et al. 2023", (None, None, 31.70, 34.31, 37.14, 38.63), (None,) * 6),
    "Cool-chic 5": (
        "Orange, Cool-chic 5.0",
        (27.85, 30.39, 31.99, 34.70, 37.51, 38.83),
        (None,) * 6,
    ),
}
# LPIPS by AlexNet
PERCEPTUAL_RATES = (0.1, 0.2, 0.3, 0.5)
PERCEPTUAL: dict[str, tuple[str, tuple[float | None, ...]]] = {
    "HiFiC": ("Mentzer et al. 2020", (None, 0.066, 0.051, 0.031)),
    "MS-ILLM": ("Muckley et al. 2023", (0.100, 0.064, 0.045, 0.029)),
    "CRDR, MSE only": ("Iwai et al. 2024", (0.264, 0.176, 0.130, 0.082)),
}


def reached(values: dict[str, tuple[float | None, ...]]) -> dict[str, Points]:
    """The curves of the metrics that have any value at RATES."""
    curves = {metric: pairs(RATES, found) for metric, found in values.items()}
    return {metric: points for metric, points in curves.items() if points}


CURVES = [
    *(
        Published(name, source, reached({"psnr": psnr, "ms_ssim": ms_ssim}))
        for name, (source, psnr, ms_ssim) in QUALITY.items()
    ),
    *(
        Published(name, source, {"lpips": pairs(PERCEPTUAL_RATES, values)})
        for name, (source, values) in PERCEPTUAL.items()
    ),
]


def published(pictures: Collection[str], net: str | None = "alex") -> list[Published]:
    """The curves that belong beside a measurement of these files: all for Kodak, else none.

    net: the backbone of the LPIPS that was measured; that of another does not compare.
    """
    if {Path(name).stem.lower() for name in pictures} != KODAK:
        return []
    return [curve for curve in CURVES if net == "alex" or "lpips" not in curve.curves]


def read_published(path: Path) -> list[Published]:
    """Curves from JSON as CompressAI publishes them: {codec: [[bpp, PSNR, MS-SSIM], ...]}.

    A value may be null, and MS-SSIM may be left out. Raises FormatError for anything else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [from_rows(str(name), path.name, rows) for name, rows in found.items()]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        wanted = "{codec: [[bpp, PSNR, MS-SSIM], ...]}"
        raise FormatError(f"{path} is not a JSON of {wanted}: {error}") from error


def from_rows(name: str, source: str, rows: list[list[float | None]]) -> Published:
    """One codec of such a file."""
    curves = {}
    if any(len(row) == 1 for row in rows):
        raise ValueError(f"{name} has a rate without a value")
    for column, metric in enumerate(FILED, start=1):
        points = [(float(row[0] or 0), row[column]) for row in rows if len(row) > column]
        found = sorted((rate, float(value)) for rate, value in points if value is not None)
        if any(rate <= 0 for rate, _ in found):
            raise ValueError(f"{name} has a rate that is not above 0")
        if found:
            curves[metric] = tuple(found)
    return Published(name, source, curves)
