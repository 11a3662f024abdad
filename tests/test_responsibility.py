"""Relaxed-responsibility quantization, against eqs 6 and 7 in plain Python."""

import math

import pytest
import torch
from torch import Tensor

from hqcodec.models import responsibility
from hqcodec.models.responsibility import Responsibility


def codebook(learnt: bool = True, size: int = 4, dim: int = 3) -> Responsibility:
    torch.manual_seed(3)
    made = Responsibility(size, dim, learnt)
    if learnt:
        with torch.no_grad():
            made.log_variance.normal_()
    return made


def by_the_equation(made: Responsibility, e: list[float]) -> list[float]:
    """Responsibilities of an embedding, one Gaussian density after the other."""
    densities = []
    for mean, log_variance in zip(made.mean.tolist(), made.log_variance.tolist(), strict=True):
        density = 1.0
        for x, m, v in zip(e, mean, map(math.exp, log_variance), strict=True):
            density *= math.exp(-((x - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        densities.append(density)
    return [density / math.fsum(densities) for density in densities]


@pytest.mark.parametrize("learnt", [True, False])
def test_probabilities_are_the_responsibilities_of_equations_6_and_7(learnt: bool) -> None:
    made = codebook(learnt)
    e = torch.randn(2, 3, 2, 2)
    found = made.forward(e).exp()
    for b in range(2):
        for row in range(2):
            for column in range(2):
                expected = by_the_equation(made, e[b, :, row, column].tolist())
                assert found[b, :, row, column].tolist() == pytest.approx(expected, rel=1e-4)


def test_a_wide_component_wins_far_away_and_a_narrow_one_close_by() -> None:
    made = Responsibility(2, 1, learnt=True)
    with torch.no_grad():
        made.mean.zero_()
        made.log_variance.copy_(torch.tensor([[-2.0], [2.0]]))
    p = made.forward(torch.tensor([0.0, 10.0]).view(2, 1, 1, 1)).exp().flatten(1)
    assert p[0, 0] > 0.8 and p[1, 1] > 0.999


def test_short_floats_of_autocast_leave_the_responsibilities_as_they_are() -> None:
    made, e = codebook(size=8), 5 * torch.randn(2, 3, 4, 4)
    expected = made.forward(e)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(made.forward(e), expected)


@pytest.mark.parametrize("size", [1e3, 1e19, 3e38])
def test_huge_embeddings_and_variances_give_neither_nan_nor_infinite_gradients(
    size: float,
) -> None:
    made = codebook(size=8)
    with torch.no_grad():
        made.log_variance.copy_(torch.linspace(-300, 300, 24).view(8, 3))
    e = torch.randn(1, 3, 4, 4).sign().mul(size).requires_grad_()
    log_q, log_p = made.forward(e), made.forward(-e)
    kl = responsibility.divergence(log_q, log_p)
    kl.sum().backward()
    for value in (log_q, log_p, kl, e.grad, made.mean.grad, made.log_variance.grad):
        assert value is not None and bool(value.isfinite().all())
    assert float(kl.detach().min()) >= -1e-3


def test_a_one_hot_mixes_to_the_mean_that_its_code_looks_up() -> None:
    made = codebook()
    codes = torch.randint(4, (2, 1, 3, 5))
    one_hot = torch.nn.functional.one_hot(codes[:, 0], 4).movedim(-1, 1).float()
    assert torch.allclose(made.mixture(one_hot), made.lookup(codes))
    assert made.lookup(codes)[1, :, 2, 4].tolist() == made.mean[codes[1, 0, 2, 4]].tolist()


def test_drawn_codes_have_the_frequencies_of_their_probabilities() -> None:
    torch.manual_seed(0)
    log_p = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().view(1, 4, 1, 1).expand(1, 4, 200, 200)
    share = responsibility.sample(log_p).flatten().bincount(minlength=4) / 40_000
    assert share.tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.01)


def test_relaxed_samples_sum_to_one_and_harden_as_the_temperature_falls() -> None:
    torch.manual_seed(0)
    log_p = torch.randn(1, 4, 50, 50).log_softmax(1)
    largest = []
    for temperature in (2.0, 0.5, 0.05):
        weights = responsibility.relax(log_p, temperature)
        assert torch.allclose(weights.sum(1), torch.ones(1, 50, 50), atol=1e-5)
        largest.append(float(weights.amax(1).mean()))
    assert largest[0] < largest[1] < largest[2] and largest[2] > 0.95


def test_divergence_is_kullback_leiblers_summed_over_the_codes_of_a_picture() -> None:
    torch.manual_seed(0)
    log_q, log_p = (torch.randn(2, 3, 1, 2).log_softmax(1) for _ in range(2))
    expected = []
    for q, p in zip(log_q, log_p, strict=True):
        pairs = zip(q.flatten().tolist(), p.flatten().tolist(), strict=True)
        expected.append(math.fsum(math.exp(a) * (a - b) for a, b in pairs))
    assert responsibility.divergence(log_q, log_p).tolist() == pytest.approx(expected, rel=1e-5)


def test_named_log_probabilities_are_those_of_the_codes() -> None:
    log_p = torch.randn(2, 3, 1, 2).log_softmax(1)
    codes = torch.tensor([[[[0, 2]]], [[[1, 1]]]])
    expected: list[Tensor] = [
        log_p[0, 0, 0, 0] + log_p[0, 2, 0, 1],
        log_p[1, 1, 0, 0] + log_p[1, 1, 0, 1],
    ]
    assert torch.allclose(responsibility.named(log_p, codes), torch.stack(expected))
