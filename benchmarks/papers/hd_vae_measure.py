"""What a trained HD-VAE or its Gaussian baseline is judged by: bounds on test pictures, in nats."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hqcodec.benchmarks.papers.runner import MEASURED, kept
from hqcodec.models import zoo
from hqcodec.models.hd_vae import HDVAE
from hqcodec.models.hd_vae_bounds import (
    adjusted_bound,
    importance_weighted,
    log_weights,
    relaxation_bias,
)

BATCH = 50  # pictures at a time
TEMPERATURE = 0.1  # of the relaxed bound, as in table 4
SAMPLES = 10  # of the bias, at most


def measure(model: HDVAE, x: Tensor, samples: int) -> dict[str, Any]:
    """Means over test pictures x [N,1,28,28], nats a picture, of hard samples unless said.

    elbo: L_1. weighted: L_S with S = samples. kl: of each layer, coarse to fine. bias: L_1 of
    samples at TEMPERATURE minus that of hard ones (eq 6 without the bars), of categorical layers;
    bias_error: its standard error over batches of pictures, 0 if there is one.
    relaxed, adjusted, lipschitz_gap: of one categorical layer, eqs 5 and 8 at TEMPERATURE, and
    their difference (eq 7).
    """
    torch.manual_seed(0)
    rows: dict[str, list[Tensor]] = {}
    kl = []
    for batch in torch.split(x, BATCH):
        weights = log_weights(model, batch, samples)
        found = {"elbo": weights.mean(0), "weighted": importance_weighted(weights)}
        if model.layers:
            found["bias"] = relaxation_bias(model, batch, TEMPERATURE, min(samples, SAMPLES))[None]
        if len(model.layers) == 1:
            relaxed, adjusted = adjusted_bound(model, batch, TEMPERATURE)
            found |= {"relaxed": relaxed, "adjusted": adjusted}
            found["lipschitz_gap"] = relaxed - adjusted
        for key, values in found.items():
            rows.setdefault(key, []).append(values)
        with torch.no_grad():
            path = model.infer(model.encoder.features(batch), lambda s, p: s.draw(p, 0.0))
            kl.append(model.divergences(path))
    means = {key: float(torch.cat(values).mean()) for key, values in rows.items()}
    if model.layers:
        biases = torch.cat(rows["bias"])
        means["bias_error"] = float(biases.std() / len(biases) ** 0.5) if len(biases) > 1 else 0.0
    return {**means, "kl": torch.cat(kl, 1).mean(1).tolist(), "samples": samples}


def judge(weights: Path, x: Tensor, samples: int) -> dict[str, Any]:
    """`measure` of a weights file; kept in its folder, as long as it is of the same question."""
    model = load(weights)
    parameters = {"parameters": sum(p.numel() for p in model.parameters())}
    key = {"weights": model.hash.hex(), "pictures": len(x), "samples": samples}
    return kept(weights.parent / MEASURED, key, lambda: measure(model, x, samples) | parameters)


def load(weights: Path) -> HDVAE:
    """The model of a weights file of this family."""
    model = zoo.load(weights)
    assert isinstance(model, HDVAE)
    return model
