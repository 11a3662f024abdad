"""Training pictures: folders of any size, sheets of tiles, arrays.

Everything is kept in memory as uint8. The batch of a step is a function of (seed, step) alone, so a
resumed run sees what an unbroken one would have seen.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.run import TrainConfig

Pixels = npt.NDArray[np.uint8]  # [H,W,3]

SUFFIXES = {".avif", ".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
LONGEST = (
    2048  # a picture with a longer side is halved until it fits: memory, and JPEG's own errors
)


@dataclass(frozen=True)
class Pictures:
    """A training part and a held-out part."""

    train: list[Pixels]
    held_out: list[Pixels]

    def draw(
        self, t: TrainConfig, count: int, seed: int, step: int, held_out: bool = False
    ) -> Tensor:
        """`Examples.draw`: [count,3,crop,crop] in 0..1."""
        if held_out:
            return crops(self.held_out, count, t.crop, seed, step, 1.0, t.flip)
        return crops(self.train, count, t.crop, seed, step, t.shrink, t.flip)

    def describe(self) -> str:
        """`Examples.describe`."""
        return f"{len(self.train)} pictures, {len(self.held_out)} more held out"


def load(source: Path, tile: int = 0, held_out: float = 0.02) -> Pictures:
    """Read a folder of pictures, a sheet of tiles, an .npy/.npz array or an IDX file (MNIST).

    tile: side of the square tiles that every picture is a sheet of; 0 if pictures are pictures.
    held_out: share kept for validation, every 1/held_out-th in the order of names, at least one;
        0 keeps none, and validates on the first picture.
    Raises HqcodecError if nothing can be read.
    """
    if source.is_dir():
        paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
        items = [picture for path in paths for picture in _pictures(path, tile)]
    elif source.suffix in (".npy", ".npz", ".gz"):
        items = list(_array(source))
    elif source.is_file():
        items = list(_pictures(source, tile))
    else:
        raise HqcodecError(f"{source}: no such file or folder of training pictures")
    if len(items) < 2:
        raise HqcodecError(f"{source}: {len(items)} pictures found; training needs at least 2")
    if not held_out:
        return Pictures(items, items[:1])
    every = max(2, round(1 / held_out))
    places = set(range(every // 2, len(items), every)) or {0}
    parts: tuple[list[Pixels], list[Pixels]] = ([], [])
    for place, item in enumerate(items):
        parts[place in places].append(item)
    return Pictures(*parts)


def _pictures(path: Path, tile: int) -> list[Pixels]:
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
            while max(image.size) > LONGEST and not tile:
                image = image.reduce(2)
            pixels = np.asarray(image)
    except (OSError, Image.DecompressionBombError) as error:
        raise HqcodecError(f"{path}: not a picture that can be read ({error})") from None
    if not tile:
        return [pixels]
    h, w = (side // tile for side in pixels.shape[:2])
    if not h * w:
        raise HqcodecError(
            f"{path}: {pixels.shape[1]}x{pixels.shape[0]} holds no {tile}-pixel tile"
        )
    tiles = pixels[: h * tile, : w * tile].reshape(h, tile, w, tile, 3).swapaxes(1, 2)
    return list(tiles.reshape(-1, tile, tile, 3))


def _array(path: Path) -> Pixels:
    """[N,H,W,3] from uint8 [N,H,W] or [N,H,W,3]."""
    try:
        if path.suffix == ".gz":
            data = gzip.decompress(path.read_bytes())
            rank = data[3] if data[:3] == b"\0\0\x08" else 0
            shape = np.frombuffer(data, ">u4", count=rank, offset=4)
            array = np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
        else:
            loaded = np.load(path, allow_pickle=False)
            array = loaded[loaded.files[0]] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except (OSError, ValueError, IndexError) as error:
        raise HqcodecError(f"{path}: not an array that can be read ({error})") from None
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[3:] not in ((), (3,)):
        raise HqcodecError(
            f"{path}: {array.dtype} array of shape {array.shape}; "
            "training takes uint8 [N,H,W] or [N,H,W,3]"
        )
    return array if array.ndim == 4 else np.repeat(array[..., None], 3, 3)


def crops(
    pictures: list[Pixels],
    count: int,
    size: int,
    seed: int,
    step: int,
    shrink: float,
    flip: bool = True,
) -> Tensor:
    """`count` random crops [count,3,size,size] in 0..1, flipped and shrunk at random.

    shrink: the smallest factor to shrink by before cropping, in (0, 1]; 1 never shrinks. flip:
    whether half of them are mirrored. A picture smaller than the crop is enlarged by reflection.
    """
    rng = np.random.default_rng([seed, step])
    areas = np.array([p.shape[0] * p.shape[1] for p in pictures], dtype=np.float64)
    chosen = rng.choice(len(pictures), count, p=areas / areas.sum())
    return torch.from_numpy(np.stack([_crop(pictures[i], size, rng, shrink, flip) for i in chosen]))


def _crop(
    pixels: Pixels, size: int, rng: np.random.Generator, shrink: float, flip: bool
) -> npt.NDArray[np.float32]:
    factor = float(rng.uniform(shrink, 1.0)) if rng.random() < 0.5 else 1.0
    want = min(round(size / factor), *pixels.shape[:2])  # a square to shrink to the crop
    top, left = (int(rng.integers(side - want + 1)) for side in pixels.shape[:2])
    piece = pixels[top : top + want, left : left + want]
    if want > size:
        piece = np.asarray(Image.fromarray(piece).resize((size, size), Image.Resampling.BOX))
    elif want < size:
        piece = np.pad(piece, ((0, size - want), (0, size - want), (0, 0)), mode="symmetric")
    if flip and rng.random() < 0.5:
        piece = piece[:, ::-1]
    return np.ascontiguousarray(piece.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
