"""`--target-bpp`, `-size`, `-psnr` and `-kbps`: what a compressed file is to reach."""

import re
from typing import Annotated

import typer

from hqcodec.errors import HqcodecError
from hqcodec.target import Target

UNITS = {"": 1, "k": 1_000, "M": 1_000_000}  # never 1024: files are measured as disks are sold

Bpp = Annotated[
    float | None,
    typer.Option("--target-bpp", help="Picture: at most so many bits a pixel, of the whole file."),
]
Size = Annotated[
    str | None,
    typer.Option("--target-size", help="At most so many bytes: 40000, 40k or 1.5M; k is 1000."),
]
Psnr = Annotated[
    float | None,
    typer.Option(
        "--target-psnr", help="Picture: at least so many dB, in as few bytes as that takes."
    ),
]
Kbps = Annotated[
    float | None,
    typer.Option("--target-kbps", help="Sound: at most so many kbit/s, of the whole file."),
]


def target_of(
    bpp: float | None,
    size: str | None,
    psnr: float | None,
    kbps: float | None,
    layers: int | None,
) -> Target | None:
    """The target that the options name; None if they name none."""
    if (bpp, size, psnr, kbps) == (None,) * 4:
        return None
    if layers is not None:
        raise HqcodecError("--layers with a target, which chooses the layers; give one of them")
    return Target(bpp, None if size is None else parse_size(size), psnr, kbps)


def parse_size(text: str) -> int:
    """Bytes in "40000", "40k", "40kB" or "1.5M"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKM]?)B?", text.strip(), re.ASCII)
    if match is None:
        raise HqcodecError(f"--target-size {text!r}: not bytes; say 40000, 40k or 1.5M")
    number, unit = match.groups()
    return round(float(number) * UNITS[unit.replace("K", "k")])
