"""The discretised logistic likelihood, against its definition."""

import math

import pytest
import torch

from hqcodec.models.logistic import log_prob, pmf, to_levels


def cdf(v: float) -> float:
    return 1 / (1 + math.exp(-v)) if v > 0 else math.exp(v) / (1 + math.exp(v))


@pytest.mark.parametrize("log_scale", [-4.0, -2.0, 0.0])
@pytest.mark.parametrize("mean", [0.0, 0.31, 1.2])
def test_a_level_has_the_mass_of_the_logistic_between_its_edges(
    mean: float, log_scale: float
) -> None:
    p = pmf(torch.tensor(mean, dtype=torch.float64), torch.tensor(log_scale, dtype=torch.float64))
    scale = math.exp(log_scale)
    edges = [cdf(((level + 0.5) / 255 - mean) / scale) for level in range(255)]
    expected = [b - a for a, b in zip([0.0, *edges], [*edges, 1.0], strict=True)]
    assert p.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("log_scale", [-1e9, -7.0, -3.0, 1e9])
def test_probabilities_of_all_levels_sum_to_one_wherever_the_mean_lies(log_scale: float) -> None:
    mean = torch.linspace(-0.5, 1.5, 33)
    total = pmf(mean, torch.full_like(mean, log_scale)).sum(-1)
    assert torch.allclose(total, torch.ones(33), atol=1e-4)


def test_gradients_stay_finite_at_means_and_scales_far_outside() -> None:
    mean = torch.tensor([-1e4, 0.0, 0.5, 1.0, 1e4]).expand(5, 5).clone().requires_grad_()
    log_scale = torch.tensor([-1e6, -7.0, 0.0, 7.0, 1e6])[:, None].expand(5, 5).clone()
    log_scale.requires_grad_()
    for level in (0, 128, 255):
        found = log_prob(torch.full((5, 5), level), mean, log_scale)
        assert bool(found.isfinite().all()) and float(found.max().detach()) <= 0
        a, b = torch.autograd.grad(found.sum(), (mean, log_scale))
        assert bool(a.isfinite().all()) and bool(b.isfinite().all())


def test_levels_are_those_of_the_eight_bit_picture() -> None:
    levels = torch.arange(256)
    assert torch.equal(to_levels(levels / 255), levels.float())
