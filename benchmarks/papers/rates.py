"""What the codes of trained variants really take as files, and how they look."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import hqcodec
from hqcodec import container
from hqcodec.benchmarks import inline_png
from hqcodec.benchmarks.papers.measure import load_test
from hqcodec.benchmarks.papers.runner import Sources, Variant
from hqcodec.benchmarks.results import Result
from hqcodec.models import zoo
from hqcodec.models.base import Model
from hqcodec.models.hqa import HQA

CODED = 100  # test pictures whose files are made
SHOWN = 12  # of them, whose reconstructions are kept


@torch.no_grad()
def rates(model: Model, x: Tensor) -> dict[str, list[float]]:
    """Means over pictures [N,3,H,W], by layer, coarse to fine.

    coded_bits: of the layer's codes given the coarser ones, by the tables that the codec codes
    with. payload_bits: of the bytes that are written of them. file_bytes: of the whole file with
    so many layers, header included. natural_bits: as coded_bits, by the stack's own prediction
    (HQA alone).
    """
    found: dict[str, list[list[float]]] = {"coded_bits": [], "payload_bits": [], "file_bytes": []}
    for picture in x:
        pixels = picture.mul(255).round().byte().movedim(0, -1).numpy()
        whole = container.read(hqcodec.compress(Image.fromarray(pixels), model))
        codes = [layer[0] for layer in model.encode(picture[None])]
        layers = range(len(codes))
        found["coded_bits"].append([ideal(model, codes[:n], codes[n]) for n in layers])
        found["payload_bits"].append([8.0 * len(payload) for payload in whole.payloads])
        cut = [container.write(container.truncate(whole, n + 1)) for n in layers]
        found["file_bytes"].append([float(len(blob)) for blob in cut])
    means = {key: np.mean(rows, 0).tolist() for key, rows in found.items()}
    if isinstance(model, HQA):
        means["natural_bits"] = (model.natural_nats(model.encode(x)) / math.log(2)).tolist()
    return means


def ideal(model: Model, coarser: Sequence[Tensor], codes: Tensor) -> float:
    """Bits of one picture's codes [groups,h,w] under the codec's tables."""
    return sum(batch.bits(codes) for batch in model.tables(coarser, codes))


def add_rates(result: Result, variants: Sequence[Variant], sources: Sources) -> None:
    """Give every record its rates, and the result a picture of the first seed's reconstructions.

    reconstructions: a PNG in base64; rows of SHOWN pictures, first the originals, then each model's
    in the order of the records, coarse to fine. reconstructed: [method, setting, layers] a row.
    """
    shown: list[Tensor] = []
    labels: list[list[str | int]] = []
    for variant in variants:
        run = variant.run()
        record = next(
            (
                r
                for r in result["records"]
                if (r["name"], r["seed"]) == (variant.name, variant.seed)
            ),
            None,
        )
        if record is None:  # its training broke off
            continue
        x = load_test(sources.test, sources.tile, run.train.crop)[:CODED]
        model = zoo.load(sources.runs / run.name / run.file)
        record |= rates(model, x)
        record["parameters"] = sum(p.numel() for p in model.parameters())
        if variant.seed == 0:
            shown = shown or [x[:SHOWN]]
            codes = model.encode(x[:SHOWN])
            for kept in range(1, len(codes) + 1):
                shown.append(model.decode(codes[:kept], (x.shape[2], x.shape[3])))
                labels.append([variant.method, variant.setting, kept])
    if shown:
        rows = [torch.cat(list(row), 2) for row in shown]  # [3,H,SHOWN*W]
        pixels = torch.cat(rows, 1).mul(255).round().byte().movedim(0, -1).numpy()
        result["reconstructions"] = inline_png.pack(Image.fromarray(pixels))
        result["reconstructed"] = labels
