"""Quantizers: each against a few numbers worked out here by hand."""

import math

import pytest
import torch
from torch import Tensor

from hqcodec.models.quantize import (
    EmaQuantizer,
    StochasticQuantizer,
    lookup,
    nearest,
    perplexity,
    vectors,
)


def positions(*rows: list[float]) -> Tensor:
    """One picture with a vector at each place of a line: [1, D, 1, n]."""
    return torch.tensor(rows).T[None, :, None]


def set_codebook(quantizer: StochasticQuantizer, vectors: list[list[float]]) -> None:
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([vectors]))


def make_ema(vectors: list[list[float]], decay: float, reset: bool = False) -> EmaQuantizer:
    quantizer = EmaQuantizer(1, len(vectors), len(vectors[0]), decay, reset)
    quantizer.codebook.copy_(torch.tensor([vectors]))
    quantizer.sums.copy_(quantizer.codebook)
    return quantizer


def test_nearest_agrees_with_every_distance_measured_one_by_one() -> None:
    torch.manual_seed(0)
    z, codebook = torch.randn(2, 6, 3, 4), torch.randn(2, 5, 3)
    codes = nearest(z, codebook)
    assert codes.shape == (2, 2, 3, 4) and codes.dtype == torch.int64
    for b, g, i, j in [(0, 0, 0, 0), (1, 0, 2, 3), (0, 1, 1, 2), (1, 1, 2, 0)]:
        gaps = [float((z[b, 3 * g : 3 * g + 3, i, j] - v).norm()) for v in codebook[g]]
        assert gaps[int(codes[b, g, i, j])] == min(gaps)


def test_lookup_puts_each_groups_vector_in_its_own_channels() -> None:
    codebook = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    codes = torch.tensor([1, 0]).view(1, 2, 1, 1)
    assert lookup(codes, codebook).flatten().tolist() == [3, 4, 5, 6]


def test_nearest_is_the_inverse_of_lookup() -> None:
    torch.manual_seed(0)
    codebook, codes = torch.randn(3, 7, 4), torch.randint(7, (2, 3, 5, 2))
    assert torch.equal(nearest(lookup(codes, codebook), codebook), codes)


def test_perplexity_runs_from_one_to_the_size_of_the_codebook() -> None:
    assert float(perplexity(torch.full((2, 1, 3, 3), 5), 8)) == pytest.approx(1)
    assert float(perplexity(torch.arange(8).view(2, 1, 2, 2), 8)) == pytest.approx(8)
    half = torch.tensor([0, 0, 1, 1, 0, 1, 2, 3]).view(1, 2, 2, 2)  # 2 codes, and 4
    assert float(perplexity(half, 8)) == pytest.approx((2 + 4) / 2)


def test_the_posterior_and_its_entropy_are_equation_2() -> None:
    quantizer = StochasticQuantizer(1, 3, 2)
    set_codebook(quantizer, [[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    quantizer.log_variance.data.fill_(math.log(0.5))
    z = positions([0.25, 1.0])
    squares = [0.0625 + 1, 0.5625 + 1, 0.0625 + 4]
    weights = [math.exp(-d / (2 * 0.5)) for d in squares]
    p = [w / sum(weights) for w in weights]
    assert quantizer.log_posterior(z).exp().flatten().tolist() == pytest.approx(p)
    entropy = quantizer(z).entropy
    assert float(entropy.detach()) == pytest.approx(-sum(q * math.log(q) for q in p), rel=1e-5)


def test_at_a_low_temperature_samples_are_code_vectors_drawn_from_the_posterior() -> None:
    torch.manual_seed(0)
    quantizer = StochasticQuantizer(1, 3, 1)
    set_codebook(quantizer, [[0.0], [1.0], [2.0]])
    quantizer.log_variance.data.zero_()
    n = 20_000
    sample = quantizer(torch.full((1, 1, 1, n), 0.4), 1e-4).z.flatten()
    p = quantizer.log_posterior(torch.full((1, 1, 1, 1), 0.4)).exp().flatten().detach()
    for vector in range(3):
        share = float(((sample - vector).abs() < 1e-3).float().mean())
        q = float(p[vector])
        assert abs(share - q) < 4 * math.sqrt(q * (1 - q) / n)


def test_a_high_temperature_blurs_a_sample_to_the_mean_of_the_codebook() -> None:
    torch.manual_seed(0)
    quantizer = StochasticQuantizer(1, 4, 2)
    sample = quantizer(torch.randn(2, 2, 3, 3), 1e5).z
    mean = quantizer.codebook.mean((0, 1))
    assert torch.allclose(sample, mean[:, None, None].expand_as(sample), atol=1e-3)


def test_in_eval_mode_the_stochastic_quantizer_takes_the_nearest() -> None:
    torch.manual_seed(0)
    quantizer, z = StochasticQuantizer(2, 8, 3).eval(), torch.randn(2, 6, 4, 4)
    out = quantizer(z)
    assert torch.equal(out.codes, nearest(z, quantizer.codebook))
    assert torch.equal(out.z, quantizer.decode(quantizer.encode(z)))


def test_samples_carry_gradients_to_the_latent_the_codebook_and_the_variance() -> None:
    torch.manual_seed(0)
    quantizer = StochasticQuantizer(2, 5, 3, layers=2)
    z = torch.randn(1, 6, 2, 2, requires_grad=True)
    quantizer(z, 0.7, 1).z.square().sum().backward()
    gradients = z.grad, quantizer.codebook.grad, quantizer.log_variance.grad
    assert all(g is not None and bool(g.abs().sum() > 0) for g in gradients)
    assert quantizer.log_variance.grad is not None
    assert float(quantizer.log_variance.grad[0]) == 0  # the other layer's


def test_the_variance_anneals_itself_where_the_codebook_fits_the_latents() -> None:
    torch.manual_seed(0)
    quantizer = StochasticQuantizer(1, 8, 16)
    codes = torch.randint(8, (4, 1, 4, 4))
    optimizer = torch.optim.Adam([quantizer.log_variance], 0.1)
    seen = [float(quantizer.variance().detach())]
    for _ in range(15):
        z = quantizer.decode(codes).detach()
        out = quantizer(z)
        error = (out.z - z).square()  # eq 6 where x is z and the decoder is the identity
        loss = z.numel() / 2 * error.mean().log() + error.sum() / (2 * quantizer.variance())
        optimizer.zero_grad()
        (loss - out.entropy.sum()).backward()
        optimizer.step()
        seen.append(float(quantizer.variance().detach()))
    assert seen == sorted(seen, reverse=True) and seen[-1] < 0.3 * seen[0]


def test_an_ema_step_is_the_one_worked_out_by_hand() -> None:
    quantizer = make_ema([[0.0, 0.0], [4.0, 4.0]], decay=0.9)
    quantizer(positions([1.0, 0.0], [0.0, 1.0], [5.0, 4.0]))
    # N = .9 + .1 n: [1.1, 1.0]; m = .9 b + .1 sum of z: [.1, .1] and [3.6 + .5, 3.6 + .4]
    assert quantizer.uses.flatten().tolist() == pytest.approx([1.1, 1.0])
    first, second = quantizer.codebook[0].tolist()
    assert first == pytest.approx([0.1 / 1.1, 0.1 / 1.1])
    assert second == pytest.approx([4.1, 4.0])


def test_groups_of_an_ema_quantizer_move_apart_from_each_other() -> None:
    torch.manual_seed(0)
    both, z = EmaQuantizer(2, 4, 3), torch.randn(2, 6, 3, 3)
    alone = EmaQuantizer(1, 4, 3)
    alone.codebook.copy_(both.codebook[1:])
    alone.sums.copy_(both.sums[1:])
    both(z)
    alone(z[:, 3:])
    assert torch.allclose(both.codebook[1:], alone.codebook)


def test_an_ema_codebook_stays_put_in_eval_mode() -> None:
    torch.manual_seed(0)
    quantizer = EmaQuantizer(1, 4, 2).eval()
    before = quantizer.codebook.clone()
    quantizer(torch.randn(1, 2, 3, 3))
    assert torch.equal(quantizer.codebook, before)


def test_the_gradient_passes_straight_through_an_ema_quantizer() -> None:
    torch.manual_seed(0)
    quantizer, weight = EmaQuantizer(2, 4, 3), torch.randn(1, 6, 2, 2)
    z = torch.randn(1, 6, 2, 2, requires_grad=True)
    expected = quantizer.decode(quantizer.encode(z))
    out = quantizer(z)
    assert torch.allclose(out.z, expected)
    (out.z * weight).sum().backward()
    assert z.grad is not None and torch.equal(z.grad, weight)


def test_a_code_that_is_never_used_stays_where_it_is() -> None:
    torch.manual_seed(0)
    quantizer = make_ema([[0.0], [100.0]], decay=0.5)
    for _ in range(300):  # 0.5^300 is below what float32 holds
        quantizer(torch.rand(1, 1, 2, 2))
    assert quantizer.codebook[0, 1].tolist() == [100.0]


def test_reset_revives_dead_codes_from_the_batch() -> None:
    torch.manual_seed(0)
    vectors = [[0.0, 0.0], *([100.0 + k, 100.0] for k in range(7))]
    plain, reset = make_ema(vectors, 0.9), make_ema(vectors, 0.9, reset=True)
    for _ in range(60):
        z = torch.randn(4, 2, 4, 4)
        plain(z)
        reset(z)
    assert len(set(plain.encode(z).flatten().tolist())) == 1
    assert len(set(reset.encode(z).flatten().tolist())) == 8


def test_a_start_from_data_makes_code_vectors_of_latents() -> None:
    torch.manual_seed(0)
    z = 5 + torch.randn(2, 6, 4, 4)
    for quantizer in (StochasticQuantizer(2, 8, 3), EmaQuantizer(2, 8, 3)):
        quantizer.start(z)
        gap = (quantizer.decode(quantizer.encode(z)) - z).square().mean()
        assert float(gap.detach()) < 0.5  # the variance of z is 1
        assert float(perplexity(quantizer.encode(z), 8)) > 4


def test_a_start_with_fewer_latents_than_codes_gives_distinct_vectors() -> None:
    torch.manual_seed(0)
    quantizer = EmaQuantizer(1, 16, 2)
    quantizer.start(torch.randn(1, 2, 2, 2))
    assert len({tuple(vector) for vector in quantizer.codebook[0].tolist()}) == 16


def test_the_variance_starts_at_a_chosen_part_of_the_mean_squared_distance() -> None:
    z = torch.randn(4, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for soft in (16.0, 128.0):
        torch.manual_seed(0)
        quantizer = StochasticQuantizer(2, 8, 3, 2, soft)
        quantizer.start(z)
        apart = vectors(z, 2)[..., None, :] - quantizer.codebook[:, None, None]
        distance = float(apart.detach().square().sum(-1).mean())
        found.append(float(quantizer.variance(1).detach()))
        assert found[-1] == pytest.approx(distance / soft, rel=1e-4)
    assert found[0] == pytest.approx(8 * found[1])
