"""One level of HQA, against the algorithm worked out in plain Python."""

import math

import pytest
import torch
from torch import Tensor

from hqcodec.models.hqa import HQA
from hqcodec.models.hqa_level import GumbelQuantizer, Normalise
from stacks import make


def pictures(n: int = 3) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def squares(a: list[float], b: list[float]) -> float:
    return math.fsum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def up(model: HQA, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
    """What a level reconstructs and its z_e, by the definition."""
    for lower in range(level):
        x = model.encoder[lower](model.norms[lower](x))
    x = model.norms[level](x)
    return x, model.encoder[level](x)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_each_term_is_that_of_algorithm_2_summed_over_a_picture_by_its_values(level: int) -> None:
    model, x = make(), pictures()
    with torch.no_grad():
        terms = {k: float(v) for k, v in model.loss(x, 4 * level + 1).items()}
        target, z = up(model, x, level)
        codebook = model.quantizer(level).codebook[0].tolist()
        entropy = commitment = 0.0
        nearest = []
        for vector in z.movedim(1, -1).reshape(-1, 4).tolist():
            d = [squares(vector, code) for code in codebook]
            weights = [math.exp(-0.5 * (e - min(d))) for e in d]
            p = [weight / math.fsum(weights) for weight in weights]
            entropy -= math.fsum(q * math.log(q) for q in p)
            commitment += math.fsum(q * e for q, e in zip(p, d, strict=True))
            nearest.append(codebook[d.index(min(d))])
        b, _, h, w = z.shape
        z_q = torch.tensor(nearest).view(b, h, w, 4).movedim(-1, 1)
        y = model.decoder[level](z_q).flatten().tolist()
    values = target.numel()
    assert terms["distortion"] == pytest.approx(squares(y, target.flatten().tolist()) / values)
    assert terms["entropy"] == pytest.approx(entropy / values, rel=1e-4)
    assert terms["commitment"] == pytest.approx(commitment / values, rel=1e-4)
    loss = terms["distortion"] - 1e-3 * terms["entropy"] + 1e-3 * terms["commitment"]
    assert terms["loss"] == pytest.approx(loss)
    assert terms["level"] == level + 1


def test_a_sample_is_a_soft_mixture_of_codes_that_hardens_with_the_temperature() -> None:
    torch.manual_seed(0)
    quantizer = GumbelQuantizer(5, 4).train()
    z = torch.randn(2, 4, 3, 3)
    error = {}
    for temperature in (1.0, 0.01):
        sample = quantizer.forward(z, temperature)
        error[temperature] = float((sample.z - quantizer.decode(sample.codes)).detach().norm())
    assert error[0.01] < 0.1 * error[1.0]


def test_codes_are_sampled_as_often_as_the_posterior_says() -> None:
    torch.manual_seed(0)
    quantizer = GumbelQuantizer(3, 2).train()
    with torch.no_grad():
        quantizer.codebook.copy_(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]]))
        quantizer.forward(torch.zeros(1, 2, 200, 200), 0.5)
    weights = [math.exp(-0.5 * d) for d in (0, 1, 4)]
    share = [count / 40_000 for count in quantizer.uses.tolist()]
    assert share == pytest.approx([w / sum(weights) for w in weights], abs=0.01)


def test_the_quantizer_in_eval_mode_takes_the_nearest_code_and_counts_nothing() -> None:
    quantizer = GumbelQuantizer(5, 4).eval()
    z = torch.randn(2, 4, 3, 3)
    sample = quantizer.forward(z, 0.5)
    assert torch.equal(sample.codes, quantizer.encode(z))
    assert torch.equal(sample.z, quantizer.decode(sample.codes))
    assert int(quantizer.uses.sum()) == 0


@pytest.mark.parametrize(("uses", "moves"), [([100, 3, 50], False), ([100, 2, 50], True)])
def test_the_least_used_code_moves_beside_the_most_used_below_three_per_cent(
    uses: list[int], moves: bool
) -> None:
    torch.manual_seed(0)
    quantizer = GumbelQuantizer(3, 2000)
    before = quantizer.codebook.detach().clone()[0]
    quantizer.uses.copy_(torch.tensor(uses))
    quantizer.reset()
    after = quantizer.codebook.detach()[0]
    assert torch.equal(after[0], before[0]) and torch.equal(after[2], before[2])
    assert quantizer.uses.tolist() == [0, 0, 0]
    assert torch.equal(after[1], before[1]) != moves
    if moves:
        assert float((after[1] - before[0]).var()) == pytest.approx(0.01, rel=0.2)


def test_statistics_are_those_of_all_batches_and_undo_inverts_them() -> None:
    torch.manual_seed(0)
    norm, batches = Normalise(3), [3 * torch.randn(4, 3, 2, 2) + 5 for _ in range(6)]
    x = torch.cat(batches)
    assert torch.equal(norm(x), x)  # nothing counted yet
    for batch in batches:
        norm.count(batch)
    assert torch.allclose(norm(x).mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(norm(x).std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)
    assert torch.allclose(norm.undo(norm(x)), x, atol=1e-5)


def test_a_channel_that_is_constant_is_only_shifted() -> None:
    norm = Normalise(1)
    norm.count(torch.full((2, 1, 2, 2), 7.0))
    assert torch.equal(norm(torch.tensor([[[[7.0, 9.0]]]])), torch.tensor([[[[0.0, 2.0]]]]))


def test_a_level_starts_with_latents_and_codes_of_the_same_spread() -> None:
    model = make()
    model.train().loss(pictures(), 4)  # the first step of level 2
    model.eval()
    _, z = up(model, pictures(), 1)
    assert float(z.detach().std()) == pytest.approx(0.3, rel=0.2)
    assert float(model.quantizer(1).codebook.detach().std()) == pytest.approx(0.3, rel=0.4)
