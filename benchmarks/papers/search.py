"""Searching linked codebooks against searching every code vector that they can tell apart."""

from collections.abc import Callable
from math import prod
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from hqcodec.benchmarks.papers.measure import BATCH
from hqcodec.models.base import Model
from hqcodec.models.hr_vqvae import HRVQVAE
from hqcodec.models.quantize import nearest, perplexity

TIMED = 200  # pictures
ROUNDS = 5  # the fastest counts


@torch.no_grad()
def last_perplexity(model: Model, x: Tensor) -> tuple[float, int]:
    """exp(entropy) of the code vectors of the last layer in x [N,3,H,W], and their number.

    Linked ones count as in the paper: m^n, one a path.
    """
    codes = [model.encode(batch) for batch in torch.split(x, BATCH)]
    if isinstance(model, HRVQVAE):
        last = torch.cat([model.codebooks.paths(found)[-1] for found in codes])
        size = prod(model.config.codebook)
    else:
        last, size = torch.cat([found[-1] for found in codes]), model.layers[-1].codebook
    return float(perplexity(last, size)), size


@torch.no_grad()
def search(model: HRVQVAE, x: Tensor) -> dict[str, Any]:
    """Both searches on the latents of x [N,3,H,W], as they are after training.

    linked_searched, exhaustive_searched: vectors that a latent is compared with. linked_seconds,
    exhaustive_seconds: for all latents, the tables for the exhaustive search being at hand.
    linked_error, exhaustive_error: mean squared distance of a latent from what was found, relative
    to the latents' variance.
    """
    latents = [model.latent(batch) for batch in torch.split(model.pad(x[:TIMED]), BATCH)]
    books, sizes = model.codebooks, model.config.codebook
    sums = books.sums(len(sizes))  # [m_1 * .. * m_n, D]
    paths = {
        "linked": [books.paths(books.encode(z))[-1] for z in latents],
        "exhaustive": [nearest(z, sums[None]) for z in latents],
    }
    ways: dict[str, Callable[[Tensor], object]] = {
        "linked": books.encode,
        "exhaustive": lambda z: nearest(z, sums[None]),
    }
    found: dict[str, Any] = {
        "codebook": list(sizes),
        "latents": sum(path.numel() for path in paths["linked"]),
        "linked_searched": sum(sizes),
        "exhaustive_searched": prod(sizes),
    }
    variance = torch.cat(latents).var()
    for way, chosen in paths.items():
        errors = [
            (z - sums[path[:, 0]].movedim(-1, 1)).square().mean()
            for z, path in zip(latents, chosen, strict=True)
        ]
        found[f"{way}_error"] = float(torch.stack(errors).mean() / variance)
        found[f"{way}_seconds"] = min(clock(ways[way], latents) for _ in range(ROUNDS))
    return found


def clock(way: Callable[[Tensor], object], latents: list[Tensor]) -> float:
    """Seconds for a search through all latents."""
    began = perf_counter()
    for z in latents:
        way(z)
    return perf_counter() - began
