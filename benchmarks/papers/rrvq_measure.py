"""What a trained RRVQ-VAE is judged by beside its error: bounds, bits of its files, samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hqcodec.benchmarks import inline_png
from hqcodec.benchmarks.papers.measure import BATCH, load_test
from hqcodec.benchmarks.papers.rates import rates
from hqcodec.benchmarks.papers.runner import Sources, Variant
from hqcodec.benchmarks.results import Result
from hqcodec.models import zoo
from hqcodec.models.rrvq_vae import RRVQVAE
from hqcodec.models.sample import draw

TESTED = 1000  # test pictures of the bound
SAMPLES = 10  # of the importance-weighted bound
SHOWN = 16  # pictures of a row


@torch.no_grad()
def bounds(model: RRVQVAE, x: Tensor, weighted: int) -> dict[str, Any]:
    """Means over pictures x [N,3,H,W], bits a value, of codes drawn from q and never relaxed.

    bpd: of eq 5. bpd_tested: of the first `weighted` pictures, whose importance-weighted bound with
    SAMPLES samples is bpd_weighted. bpd_given: of x given z, the first term of bpd. kl_bits: KL of
    each layer, coarse to fine, bits a picture.
    """
    torch.manual_seed(0)
    given, divergences = zip(*map(model.parts, torch.split(x, BATCH)), strict=True)
    bits, kl, values = torch.cat(given), torch.cat(divergences), x[0].numel()
    whole = (bits + kl.sum(1)) / values
    several = [model.bound(batch, SAMPLES) for batch in torch.split(x[:weighted], BATCH)]
    return {
        "bpd": whole.mean().item(),
        "bpd_tested": whole[:weighted].mean().item(),
        "bpd_weighted": torch.cat(several).mean().item(),
        "bpd_given": bits.mean().item() / values,
        "kl_bits": kl.mean(0).tolist(),
    }


def add_bounds(
    result: Result, variants: Sequence[Variant], sources: Sources, pictures: int
) -> None:
    """Give every record its bounds and rates, and the result pictures of the first seed.

    pictures: for the importance-weighted bound and for files. gallery: a PNG in base64, rows of
    SHOWN: the originals, then reconstructions and samples of each model in the records' order.
    """
    rows: list[Tensor] = []
    records = {(record["name"], record["seed"]): record for record in result["records"]}
    for variant in variants:
        run, record = variant.run(), records.get((variant.name, variant.seed))
        if record is None:  # not chosen, or its training broke off
            continue
        model = zoo.load(sources.runs / run.name / run.file)
        assert isinstance(model, RRVQVAE)
        x = load_test(sources.test, sources.tile, run.train.crop)[:TESTED]
        record |= bounds(model, x, pictures) | rates(model, x[:pictures])
        record["parameters"] = sum(p.numel() for p in model.parameters())
        if variant.seed == 0:
            size = x.shape[2], x.shape[3]
            rows = rows or [x[:SHOWN]]
            rows.append(model.decode(model.encode(x[:SHOWN]), size))
            rows.append(torch.stack(list(draw(model, len(rows[0]), size))))
    if rows:
        result["gallery"] = png(rows)


def png(rows: Sequence[Tensor]) -> str:
    """Rows of pictures [N,3,H,W] in 0..1 as one PNG, in base64."""
    sheet = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    pixels = sheet.mul(255).round().byte().movedim(0, -1).numpy()
    return inline_png.pack(Image.fromarray(np.ascontiguousarray(pixels)))
