"""App. D of the RRVQ-VAE paper: how far from one-hot responsibilities stay, in numbers."""

import math

import pytest
import torch

from hqcodec.models.responsibility import Responsibility

K = 256


def entropy(log_p: torch.Tensor) -> float:
    """Nats of [K] float64."""
    return float(-(log_p.exp() * log_p).sum())


def worst_case(d: float, delta: float, size: int = K) -> float:
    """Entropy of eq 2 for an embedding at distance d of one code, d + delta of all others."""
    squares = torch.full((size,), (d + delta) ** 2, dtype=torch.float64)
    squares[0] = d**2
    return entropy((-squares / 2).log_softmax(0))


def softmax(length: float, c: float = 0.0) -> float:
    """Entropy of a softmax whose logits are c, but for one that is `length` more."""
    logits = torch.full((K,), c, dtype=torch.float64)
    logits[0] += length
    return entropy(logits.log_softmax(0))


def first_order(g: float, size: int = K) -> float:
    """Eqs D.1 and D.2."""
    return (size - 1) * (1 + g) * math.exp(-g)


@pytest.mark.parametrize("delta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("d", [20.0, 40.0, 60.0])
def test_theorem_1_gives_the_least_entropy_of_responsibilities(d: float, delta: float) -> None:
    g = delta**2 / 2 + delta * d
    # the term left out is of the second order: K exp(-g) relative to the first
    assert worst_case(d, delta) == pytest.approx(first_order(g), rel=K * math.exp(-g) + 1e-9)


@pytest.mark.parametrize("length", [15.0, 20.0, 30.0, 60.0])
@pytest.mark.parametrize("c", [0.0, 1.0])
def test_theorem_2_gives_the_least_entropy_of_a_softmax(length: float, c: float) -> None:
    expected = first_order(length)
    assert softmax(length, c) == pytest.approx(expected, rel=K * math.exp(-length) + 1e-9)


def test_the_first_order_is_right_to_one_part_in_a_million_as_figures_d4_and_d5_say() -> None:
    assert worst_case(20.0, 1.0) == pytest.approx(first_order(20.5), rel=1e-6)
    assert softmax(20.0) == pytest.approx(first_order(20.0), rel=1e-6)


@pytest.mark.parametrize("delta", [0.2, 0.5, 0.9])
def test_corollary_2_1_responsibilities_have_more_entropy_if_codes_are_less_than_1_apart(
    delta: float,
) -> None:
    for d in (30.0, 60.0, 120.0):
        assert worst_case(d, delta) > softmax(d)


def test_corollary_2_1_needs_codes_that_are_close() -> None:
    for d in (10.0, 30.0):
        assert worst_case(d, 1.5) < softmax(d)


def test_the_models_own_codebook_attains_the_worst_case() -> None:
    made, d, delta = Responsibility(16, 2, learnt=False), 6.0, 1.0
    with torch.no_grad():
        made.mean.zero_()
        made.mean[1:, 0] = -delta
    found = made.forward(torch.tensor([d, 0.0]).view(1, 2, 1, 1)).detach().flatten().double()
    assert entropy(found) == pytest.approx(worst_case(d, delta, 16), rel=1e-3)


def test_random_codebooks_keep_more_entropy_than_the_worst_case() -> None:
    """Fig. D.6: 256 codes on a sphere of radius 0.5, so none is more than 1 from another."""
    torch.manual_seed(0)
    made = Responsibility(K, 32, learnt=False)
    for d in (10.0, 20.0, 40.0):
        for _ in range(20):
            with torch.no_grad():
                made.mean.normal_()
                made.mean.mul_(0.5 / made.mean.norm(dim=1, keepdim=True))
            away = torch.randn(32)
            e = made.mean[0].detach() + d * away / away.norm()
            found = made.forward(e.view(1, 32, 1, 1)).detach().flatten().double()
            assert entropy(found) > 10 * worst_case(d, 1.0)
