"""Bounds on log p(x) of an HD-VAE: importance-weighted, relaxed, and adjusted (eqs 3, 5 to 8)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hqcodec.models.gated import log_bernoulli
from hqcodec.models.hd_vae import HDVAE, Path

TOGETHER = 2000  # pictures times samples that are computed at a time
POINTS = 8  # on the way from a relaxed sample to its hard one where slopes are measured


def log_ratio(model: HDVAE, x: Tensor, path: Path) -> Tensor:
    """f(x, z) = log p(x, z) - log q(z|x) in nats, relaxed z as in eq 14: [B].

    x: [B,1,28,28], each pixel 0 or 1. log p(x|z) and the distributions see z as it is, the
    densities H(z).
    """
    f = log_bernoulli(x, model.decoder(path.state))
    for n, (z, q, p) in enumerate(zip(path.z, path.posterior, path.prior, strict=True)):
        layer, hard = model.layer(n), model.layer(n).harden(z)
        f = f + layer.log_prob(hard, p) - layer.log_prob(hard, q)
    return f


@torch.no_grad()
def log_weights(model: HDVAE, x: Tensor, samples: int, temperature: float = 0.0) -> Tensor:
    """f(x, z) of so many samples of q(z|x) for pictures x [B,1,28,28]: [samples,B] nats.

    temperature: above 0 the samples are relaxed (eq 4).
    """
    found = []
    for part in _parts(samples, len(x)):
        path = model.infer(
            [feature.repeat(part, 1, 1, 1) for feature in model.encoder.features(x)],
            lambda layer, p: layer.draw(p, temperature),
        )
        found.append(log_ratio(model, x.repeat(part, 1, 1, 1), path).view(part, -1))
    return torch.cat(found)


def importance_weighted(weights: Tensor) -> Tensor:
    """L_S of Burda et al. (2015) from log-weights [S,B] of hard samples: [B]; L_1 if S is 1."""
    return weights.logsumexp(0) - math.log(len(weights))


@torch.no_grad()
def relaxation_bias(model: HDVAE, x: Tensor, temperature: float, samples: int = 1) -> Tensor:
    """L_1 of relaxed samples minus L_1 of hard ones, means over x [B,1,28,28]: []; eq 6's inside.

    Both are of the same Gumbel noise (App. C: H(z) of a relaxed sample is a hard one), which takes
    most of the noise out of the difference.
    """
    state = torch.get_rng_state()
    relaxed = log_weights(model, x, samples, temperature)
    torch.set_rng_state(state)
    return (relaxed - log_weights(model, x, samples)).mean()


def adjusted_bound(
    model: HDVAE, x: Tensor, temperature: float, lipschitz: float | None = None
) -> tuple[Tensor, Tensor]:
    """Eqs 5 and 8 of one relaxed sample of each picture x [B,1,28,28]: two [B], in nats.

    lipschitz: kappa, of log p(x|.) with respect to z by the Euclidean norm. By default it is the
    steepest slope along the segments from these samples to their hard ones: by the mean value
    theorem what eq 10 asks for of just these samples, up to the POINTS it is measured at; no
    guarantee for others. Raises AssertionError unless the model is a ladder of one layer.
    """
    assert len(model.stochastic) == 1 and model.config.ladder
    with torch.no_grad():
        path = model.infer(model.encoder.features(x), lambda s, p: s.draw(p, temperature))
        relaxed = log_ratio(model, x, path)
    z = path.z[0]
    hard = model.layer(0).harden(z)
    if lipschitz is None:
        lipschitz = max(
            float(slope(model, x, z.lerp(hard, n / (POINTS - 1))).max()) for n in range(POINTS)
        )
    gap = (z - hard).flatten(1).norm(dim=1)
    return relaxed, relaxed - lipschitz * gap


def slope(model: HDVAE, x: Tensor, z: Tensor) -> Tensor:
    """The norm of the gradient of log p(x|z) at z, of a model with one layer: [B]."""
    z = z.detach().requires_grad_()
    layer = model.layer(0)
    state = model.ladder.advance(0, model.ladder.begin(len(z)), layer.read(z))
    total = log_bernoulli(x, model.decoder(state)).sum()
    (gradient,) = torch.autograd.grad(total, z)
    norm: Tensor = gradient.flatten(1).norm(dim=1)
    return norm


def _parts(samples: int, pictures: int) -> Iterator[int]:
    """Numbers that sum to `samples`, each as many as are computed together."""
    most = max(1, TOGETHER // pictures)
    while samples > 0:
        yield min(most, samples)
        samples -= most
