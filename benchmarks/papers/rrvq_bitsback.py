"""Bits-back coding with an RRVQ-VAE: what a file of test pictures takes, beside the bound.

Run from the root of the repository, with a sheet of CIFAR-10's test pictures:

    python -m hqcodec.benchmarks.papers.rrvq_bitsback --model WEIGHTS --test SHEET

Every file is decoded again and compared. The bound is eq 5 with codes drawn from q, the mean of
several draws; the file's codes are other draws, so the two agree only on average.
"""

from math import log2
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

from hqcodec import bitsback, hqb
from hqcodec.benchmarks.papers.measure import BATCH
from hqcodec.benchmarks.report import markdown
from hqcodec.benchmarks.results import SCHEMA, Result, environment, write_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError
from hqcodec.models import data, zoo
from hqcodec.models.base import Model
from hqcodec.models.rrvq_vae import RRVQVAE

JSON = Path("benchmarks/papers/rrvq_bitsback.json")
SIDE = 32
DRAWS = 4


def measure(pictures: Tensor, model: Model, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """One file of pictures [N,3,H,W] uint8; HqcodecError if they do not come back exactly.

    bound, spent, whole, codes: bits a value; of the model's bound, of the file, of the file and
    its header and random start, and of the codes alone under a uniform distribution, which is what
    bits-back saves at most. excess: of whole over bound, as a share.
    """
    if not isinstance(model, RRVQVAE):
        raise HqcodecError(f"model {model.name!r} is of family {model.family}; want rrvq_vae")
    torch.manual_seed(seed)
    batches = torch.split(pictures, BATCH)
    bounds = [torch.cat([model.bound(batch / 255) for batch in batches]) for _ in range(draws)]
    bound = torch.stack(bounds).mean().item()
    began = perf_counter()
    blob = bitsback.pack(pictures, model)
    packed = perf_counter()
    exact = torch.equal(bitsback.unpack(blob, model), pictures)
    unpacked = perf_counter()
    if not exact:
        raise HqcodecError(f"{len(pictures)} pictures do not come back as they were")
    values, start = pictures.numel(), hqb.read(blob).start
    size = pictures.shape[2], pictures.shape[3]
    sizes = (np.prod(model.code_shape(n, size)) for n in range(len(model.layers)))
    raw = sum(n * log2(layer.codebook) for n, layer in zip(sizes, model.layers, strict=True))
    whole = 8 * len(blob) / values
    return {
        "pictures": len(pictures),
        "bound": bound,
        "spent": (8 * (len(blob) - hqb.HEADER_SIZE) - 32 * start) / values,
        "whole": whole,
        "excess": whole / bound - 1,
        "codes": float(raw) / pictures[0].numel(),
        "file_bytes": len(blob),
        "pack_seconds": packed - began,
        "unpack_seconds": unpacked - packed,
    }


def rrvq_bitsback(
    model: Annotated[str, typer.Option(help="Name, or weights file, of an RRVQ-VAE.")],
    test: Annotated[Path, typer.Option(help="Sheet of test pictures.")],
    side: Annotated[int, typer.Option(min=1, help="Of a picture, in pixels.")] = SIDE,
    count: Annotated[int, typer.Option(min=1, help="The first so many pictures.")] = 1000,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Pack test pictures into one file, decode it, and compare its size with the bound."""
    tiles = data.load(test, side, 0).train[:count]
    pictures = torch.from_numpy(np.stack(tiles)).movedim(-1, 1).contiguous()
    record = measure(pictures, zoo.load(model))
    result: Result = {"schema": SCHEMA, "what": "bits-back", **environment(1), "records": [record]}
    write_result(out, result)
    shown = "{bound:.4f} bits a value bound, {whole:.4f} in the file ({excess:+.2%})"
    seconds = "{pack_seconds:.0f} s and {unpack_seconds:.0f} s"
    typer.echo(f"{shown}, exact; {seconds}".format_map(record))


def table(result: Result) -> str:
    """The block of the document."""
    heads = ["pictures", "bound", "file", "over the bound", "codes alone", "bytes", "time, s"]
    rows = [
        [
            f"{r['pictures']:,}",
            f"{r['bound']:.4f}",
            f"{r['whole']:.4f}",
            f"{r['excess']:+.2%}",
            f"{r['codes']:.3f}",
            f"{r['file_bytes']:,}",
            f"{r['pack_seconds']:.0f} and {r['unpack_seconds']:.0f}",
        ]
        for r in result["records"]
    ]
    return f"{markdown(heads, rows)}\n\nBits a value; every file was decoded and compared."


if __name__ == "__main__":
    run(rrvq_bitsback)
