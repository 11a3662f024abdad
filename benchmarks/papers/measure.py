"""What a trained variant is judged by: error and use of the codes on pictures it never saw."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models import data
from hqcodec.models.base import Model
from hqcodec.models.quantize import perplexity

BATCH = 50  # pictures that are coded at a time
WINDOWS = 40  # points of a curve over the steps; each is the mean of what was logged between two


def load_test(source: Path, tile: int, side: int) -> Tensor:
    """All test pictures [N,3,side,side] in 0..1; smaller ones are enlarged as in training.

    source, tile: as `data.load` takes them. HqcodecError if a picture is larger than `side`.
    """
    found = []
    for pixels in data.load(source, tile, held_out=0).train:
        height, width = pixels.shape[:2]
        if max(height, width) > side:
            raise HqcodecError(
                f"{source}: a test picture of {width}x{height}; the models take {side}x{side}, "
                "sheets of such tiles, or less"
            )
        room = (0, side - height), (0, side - width), (0, 0)
        found.append(np.pad(pixels, room, mode="symmetric"))
    return torch.from_numpy(np.stack(found)).movedim(3, 1).float() / 255


@torch.no_grad()
def measure(model: Model, x: Tensor) -> dict[str, Any]:
    """Figures of the most likely codes of x [N,3,H,W], in float32.

    rmse: x100 of pixels in 0..1, the root of the mean over all pixels; mean_rmse: the mean of the
    pictures' own, which is lower. psnr: dB, the mean of the pictures'. prefix_rmse: rmse of each
    number of layers, from one. perplexity: exp(entropy) of each layer's codes in all of x. bits: of
    a picture's codes before entropy coding.
    """
    codes: list[list[Tensor]] = [[] for _ in model.layers]
    errors = []
    size = x.shape[2], x.shape[3]
    for batch in torch.split(x, BATCH):
        found = model.encode(batch)
        for kept, layer in zip(codes, found, strict=True):
            kept.append(layer)
        prefixes = [
            (model.decode(found[:n], size) - batch).square().flatten(1).mean(1)
            for n in range(1, len(found) + 1)
        ]
        errors.append(torch.stack(prefixes))
    mse = torch.cat(errors, 1).double()  # [L,N]
    whole = [torch.cat(kept) for kept in codes]
    sizes = [layer.codebook for layer in model.layers]
    pairs = list(zip(whole, sizes, strict=True))
    return {
        "rmse": 100 * float(mse[-1].mean().sqrt()),
        "mean_rmse": 100 * float(mse[-1].sqrt().mean()),
        "psnr": float((-10 * mse[-1].log10()).mean()),
        "prefix_rmse": (100 * mse.mean(1).sqrt()).tolist(),
        "perplexity": [float(perplexity(layer, size)) for layer, size in pairs],
        "bits": sum(layer[0].numel() * float(np.log2(size)) for layer, size in pairs),
    }


def read_log(log: Path) -> list[dict[str, float]]:
    """What the trainer wrote, a dict a step."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def seconds(records: list[dict[str, float]]) -> float:
    """Seconds of training, over all times the run was taken up again; the clock then restarts."""
    times = [record["seconds"] for record in records]
    return sum(a for a, b in pairwise([*times, 0.0]) if b < a)


def curves(records: list[dict[str, float]]) -> dict[str, list[float]]:
    """Over the steps: PSNR, bits a value, each layer's perplexity and s_l^2, if they were logged.

    step: the middle of each window.
    """
    kept = [
        key for key in records[0] if key.startswith(("psnr", "bpd", "perplexity_", "variance_"))
    ]
    pieces = list(_windows(records))
    return {
        key: [sum(r[key] for r in piece) / len(piece) for piece in pieces]
        for key in ("step", *kept)
    }


def _windows(records: list[dict[str, float]]) -> Iterator[list[dict[str, float]]]:
    ends = np.linspace(0, len(records), min(WINDOWS, len(records)) + 1).astype(int)
    for start, end in pairwise(ends.tolist()):
        yield records[start:end]
