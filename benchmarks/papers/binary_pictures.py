"""Static binarized MNIST and Omniglot as the HD-VAE comparison reads them: packed bits to arrays.

The sources hold a picture a row, packed by `np.packbits`: MNIST 784 bits of 28x28, the official
static binarization; Omniglot 11,025 bits of 105x105, 1 is ink.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hqcodec.errors import HqcodecError

Bits = npt.NDArray[np.uint8]  # [N,28,28], 0 or 1

SIDE, DRAWN = 28, 105  # pixels a side: of what is modelled, of Omniglot's drawings
INK = 0.25  # a pixel whose area holds this share of ink is 1; strokes are two or three pixels wide
EVERY = 10  # of Omniglot's drawings, one of so many is for testing


def unpack(file: Path, side: int) -> Bits:
    """Pictures [N,side,side] of 0 and 1; HqcodecError if the file holds something else."""
    try:
        packed = np.load(file)
    except (OSError, ValueError) as error:
        raise HqcodecError(f"{file}: no .npy file of packed bits ({error})") from None
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != -(-(side**2) // 8):
        found = f"{packed.dtype} {list(packed.shape)}"
        raise HqcodecError(f"{file}: {found}; want uint8 [N,{-(-(side**2) // 8)}] of packed bits")
    return np.unpackbits(packed, axis=1)[:, : side**2].reshape(-1, side, side)


def shrink(drawings: Bits) -> Bits:
    """Omniglot's drawings [N,105,105] at 28x28: 1 where a pixel's area holds enough ink.

    The paper does not say how it shrinks; its static binarization is of grey pictures.
    """
    edges = np.linspace(0, DRAWN, SIDE + 1)
    low, high = edges[:-1, None], edges[1:, None]
    place = np.arange(DRAWN)[None]
    # the share of a pixel [28] that each of the drawing's [105] covers
    share = np.clip(np.minimum(high, place + 1) - np.maximum(low, place), 0, 1) * SIDE / DRAWN
    ink = np.stack([share @ drawing @ share.T for drawing in drawings])
    return (ink >= INK).astype(np.uint8)


def mnist(folder: Path) -> tuple[Bits, Bits]:
    """Training and test pictures, from train_packed.npy and test_packed.npy."""
    return tuple(unpack(folder / f"{part}_packed.npy", SIDE) for part in ("train", "test"))  # type: ignore[return-value]


def omniglot(folder: Path) -> tuple[Bits, Bits]:
    """Training and test pictures, of which the drawings are those of `drawings`."""
    return tuple(shrink(drawings(folder, kept)) for kept in (False, True))  # type: ignore[return-value]


def drawings(folder: Path, kept: bool) -> Bits:
    """Omniglot's drawings [N,105,105] of all files: those kept for testing, or all others."""
    files = sorted(folder.glob("*packed.npy"))
    if not files:
        raise HqcodecError(f"{folder}: no *packed.npy; want Omniglot's drawings as packed bits")
    whole = np.concatenate([unpack(file, DRAWN) for file in files])
    chosen: Bits = whole[(np.arange(len(whole)) % EVERY == EVERY - 1) == kept]
    return chosen


def save(bits: Bits, target: Path) -> Path:
    """Write pictures as the trainer reads them, black and white; the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    np.save(target, bits * np.uint8(255))
    return target


def spaced(bits: Bits, count: int) -> Tensor:
    """So many of the pictures, evenly spaced, for files may be in the order of classes.

    [count,1,28,28], 0. or 1.
    """
    places = np.linspace(0, len(bits) - 1, min(count, len(bits))).round().astype(int)
    return torch.from_numpy(bits[places])[:, None].float()
