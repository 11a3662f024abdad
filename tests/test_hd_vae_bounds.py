"""HD-VAE's bounds: exact, importance-weighted, relaxed and adjusted."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hqcodec.models.hd_vae import HDVAE
from hqcodec.models.hd_vae_bounds import (
    adjusted_bound,
    importance_weighted,
    log_ratio,
    log_weights,
    relaxation_bias,
)
from hqcodec.models.hd_vae_config import ARCHITECTURES
from ladders import binary, make


@torch.no_grad()
def joint(model: HDVAE, x: Tensor) -> Tensor:
    """log p(x, z) of every z, by hand: [K^N, B] for pictures [B,1,28,28]."""
    found = []
    for classes in itertools.product(range(4), repeat=sum(model.config.units)):
        state, total, rest = model.ladder.begin(len(x)), torch.zeros(len(x)), list(classes)
        for n, units in enumerate(model.config.units):
            memory = model.memory(n)
            p = memory.distribution(model.ladder.query(n, state))
            codes = torch.tensor([rest[:units]] * len(x))
            rest = rest[units:]
            total = total + p.gather(-1, codes[..., None]).sum((1, 2))
            state = model.ladder.advance(n, state, memory.read(memory.one_hot(codes)))
        probability = model.decoder(state).sigmoid()
        right = torch.where(x == 1, probability, 1 - probability)
        found.append(total + right.log().sum((1, 2, 3)))
    return torch.stack(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_weighted_bound_grows_to_the_exact_likelihood(architecture: str) -> None:
    model, x = make(architecture), binary()
    exact = joint(model, x).logsumexp(0)
    torch.manual_seed(2)
    weights = log_weights(model, x, 800)
    bounds = [
        importance_weighted(weights.view(800 // s, s, -1).transpose(0, 1)).mean(0)
        for s in (1, 5, 80)
    ]
    assert torch.allclose(bounds[0], weights.mean(0), atol=1e-3)
    assert bool((bounds[0] < bounds[1]).all() and (bounds[1] < bounds[2]).all())
    assert torch.allclose(importance_weighted(weights), exact, atol=0.25)
    assert bool((weights.mean(0) < exact).all())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probabilities_of_all_latents_sum_to_one(architecture: str) -> None:
    model = make(architecture)
    x = binary(1)
    both = joint(model, x)
    likelihood = torch.zeros(len(both), 1)
    with torch.no_grad():
        for row, classes in enumerate(itertools.product(range(4), repeat=4)):
            codes = torch.tensor(classes).view(1, 4, 1, 1)
            state = model.ladder.begin(1)
            for n in range(2):
                z = model.memory(n).one_hot(codes[:, 2 * n : 2 * n + 2, 0, 0])
                state = model.ladder.advance(n, state, model.memory(n).read(z))
            likelihood[row] = -F.binary_cross_entropy_with_logits(
                model.decoder(state), x, reduction="sum"
            )
    assert float((both - likelihood).logsumexp(0)) == pytest.approx(0, abs=1e-4)


def test_relaxed_pictures_are_weighed_by_hard_densities() -> None:
    model, x = make(units=(2,)), binary()
    torch.manual_seed(5)
    path = model.infer(model.encoder.features(x), lambda s, p: s.draw(p, 0.7))
    z, q, p = path.z[0], path.posterior[0], path.prior[0]
    codes = z.argmax(-1, keepdim=True)
    ratio = (p - q).gather(-1, codes).sum((1, 2))
    seen = -F.binary_cross_entropy_with_logits(model.decoder(path.state), x, reduction="none")
    assert torch.allclose(log_ratio(model, x, path), seen.sum((1, 2, 3)) + ratio, atol=1e-3)


def test_the_adjusted_bound_lies_below_the_relaxed_and_the_hard_one() -> None:
    model, x = make(units=(3,)), binary(20)
    torch.manual_seed(6)
    relaxed, adjusted = adjusted_bound(model, x, 0.5)
    assert bool((adjusted < relaxed).all())
    torch.manual_seed(6)
    hard = log_weights(model, x, 1)[0]  # of the same noise
    assert bool((adjusted <= hard + 1e-3).all())
    _, lower = adjusted_bound(model, x, 0.5, lipschitz=1e3)
    assert float(lower.mean()) < float(adjusted.mean())


def test_an_adjusted_bound_of_several_layers_is_refused() -> None:
    with pytest.raises(AssertionError):
        adjusted_bound(make(), binary(), 0.5)


def test_the_relaxation_bias_vanishes_with_the_temperature() -> None:
    model, x = make(), binary(20)
    biases = [abs(float(relaxation_bias(model, x, tau, 20))) for tau in (1.0, 1e-5)]
    assert biases[0] > 0.01 > biases[1]
