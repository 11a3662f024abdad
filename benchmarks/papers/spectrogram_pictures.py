"""Spectrograms and what models make of them, kept in a comparison's JSON as a picture."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from hqcodec.benchmarks import inline_png
from hqcodec.benchmarks.papers.spectrograms import Spectrograms
from hqcodec.benchmarks.results import Result
from hqcodec.models.spectrogram import SpectrogramVAE

SHOWN = 3  # test sounds, evenly drawn from the order of their names


@torch.no_grad()
def add_pictures(
    result: Result, models: Mapping[tuple[str, str], SpectrogramVAE], found: Spectrograms
) -> None:
    """Give the result the spectrograms that models make of SHOWN test sounds.

    models: by method and setting. spectrograms: a grey PNG in base64; a row the originals, a row
    each model, low bins at the bottom. The darkest is the least of the originals, the brightest
    their most. shown: names of the sounds. reconstructed: [method, setting] of each further row.
    """
    places = [n * len(found.test) // SHOWN for n in range(min(SHOWN, len(found.test)))]
    originals = found.test[places]
    size = originals.shape[2], originals.shape[3]
    rows = [originals, *(m.decode(m.encode(originals), size) for m in models.values())]
    low, high = originals.min(), originals.max()
    grey = [((row - low) / (high - low)).clamp(0, 1) for row in rows]
    result["spectrograms"] = pack(torch.stack([row[:, 0] for row in grey]))
    result["shown"] = [found.names[place] for place in places]
    result["reconstructed"] = [list(named) for named in models]


def pack(grey: Tensor) -> str:
    """Rows of spectrograms [rows,sounds,bins,frames] in 0..1 as one PNG in base64."""
    pixels = grey.flip(2).mul(255).round().byte()
    tall = torch.cat([torch.cat(list(row), 1) for row in pixels])  # [rows*bins,sounds*frames]
    return inline_png.pack(Image.fromarray(tall.numpy()))


def unpack(text: str, rows: int, sounds: int) -> npt.NDArray[np.uint8]:
    """Inverse of `pack`, but for the turn of the bins: [rows,sounds,bins,frames], low bins last."""
    pixels = np.asarray(inline_png.unpack(text))
    height, width = len(pixels) // rows, pixels.shape[1] // sounds
    return pixels.reshape(rows, height, sounds, width).swapaxes(1, 2)
