"""Categorical and Gaussian layers of an HD-VAE, against loops, enumeration and torch's own."""

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from hqcodec.errors import HqcodecError
from hqcodec.models.gaussian_layer import GaussianLayer
from hqcodec.models.hd_vae_config import HDVAEConfig
from hqcodec.models.variational_memory import VariationalMemory


@pytest.fixture
def memory() -> VariationalMemory:
    torch.manual_seed(0)
    return VariationalMemory(2, 9, 4)


def query(scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(1))


def test_a_factored_key_is_one_sub_key_beside_another(memory: VariationalMemory) -> None:
    q = query()
    p = memory.distribution(q)
    for b in range(5):
        for n in range(2):
            keys = [
                torch.cat([memory.keys[0, n, i], memory.keys[1, n, j]])
                for i in range(3)
                for j in range(3)
            ]
            logits = torch.stack([q[b, n] @ key for key in keys])
            assert torch.allclose(p[b, n], logits.log_softmax(0), atol=1e-5)


def test_what_is_read_is_the_sum_of_values_by_weight(memory: VariationalMemory) -> None:
    z = memory.distribution(query()).exp()
    y = memory.read(z)
    for b in range(5):
        for n in range(2):
            expected = sum((z[b, n, k] * memory.values[n, k] for k in range(9)), torch.zeros(4))
            assert torch.allclose(y[b, n], expected, atol=1e-5)


def test_codes_and_one_hot_samples_are_inverse(memory: VariationalMemory) -> None:
    codes = torch.randint(9, (5, 2))
    assert torch.equal(memory.codes(memory.one_hot(codes)), codes)
    assert torch.equal(memory.read(memory.one_hot(codes))[3, 1], memory.values[1, codes[3, 1]])


def test_relaxed_samples_become_the_hard_ones_as_the_temperature_falls(
    memory: VariationalMemory,
) -> None:
    p = memory.distribution(query()).detach()
    drawn = []
    for temperature in (1.0, 0.1, 1e-4, 0.0):
        torch.manual_seed(3)
        drawn.append(memory.draw(p, temperature))
        assert torch.allclose(drawn[-1].sum(-1), torch.ones(5, 2))
    hard = drawn[-1]
    assert torch.equal(hard, memory.harden(hard))
    gaps = [float((z - hard).norm()) for z in drawn[:-1]]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 1e-3
    assert all(torch.equal(memory.harden(z), hard) for z in drawn)


def test_hard_samples_have_the_probabilities_of_the_distribution(
    memory: VariationalMemory,
) -> None:
    torch.manual_seed(0)
    p = memory.distribution(query(1.0))[:1].expand(20_000, -1, -1)
    assert torch.allclose(memory.draw(p, 0).mean(0), p[0].exp(), atol=0.015)


def test_densities_of_categorical_variables_are_torchs(memory: VariationalMemory) -> None:
    q, p = memory.distribution(query()), memory.distribution(query(1.0).flip(0))
    z = memory.draw(q, 0)
    mine, other = Categorical(logits=q), Categorical(logits=p)
    codes = memory.codes(z)
    assert torch.allclose(memory.log_prob(z, p), other.log_prob(codes).sum(1), atol=1e-5)
    assert torch.allclose(memory.entropy(q), mine.entropy().sum(1), atol=1e-5)
    assert torch.allclose(memory.divergence(q, p), kl_divergence(mine, other).sum(1), atol=1e-5)


def test_densities_of_gaussian_variables_are_torchs() -> None:
    layer = GaussianLayer(3)
    torch.manual_seed(0)
    q, p = layer.distribution(torch.randn(5, 3, 2)), layer.distribution(torch.randn(5, 3, 2))
    mine, other = (Normal(d[..., 0], (d[..., 1] / 2).exp()) for d in (q, p))
    z = layer.draw(q, 0.5)
    assert torch.allclose(layer.log_prob(z, p), other.log_prob(z).sum(1), atol=1e-5)
    assert torch.allclose(layer.entropy(q), mine.entropy().sum(1), atol=1e-5)
    assert torch.allclose(layer.divergence(q, p), kl_divergence(mine, other).sum(1), atol=1e-4)
    assert torch.equal(layer.mode(q), q[..., 0]) and torch.equal(layer.harden(z), z)


def test_gaussian_samples_have_the_mean_and_variance_of_the_distribution() -> None:
    layer = GaussianLayer(1)
    torch.manual_seed(0)
    z = layer.draw(torch.tensor([[[2.0, -1.0]]]).expand(20_000, -1, -1), 0)
    assert float(z.mean()) == pytest.approx(2, abs=0.02)
    assert float(z.var()) == pytest.approx(torch.tensor(-1.0).exp().item(), rel=0.05)


@pytest.mark.parametrize("layer", [VariationalMemory(2, 16, 4), GaussianLayer(2)])
def test_queries_of_any_size_leave_all_terms_finite(
    layer: VariationalMemory | GaussianLayer,
) -> None:
    for scale in (0.0, 1e2, 1e4):
        p = layer.distribution(scale * torch.randn(4, 2, layer.query_dim))
        q = layer.distribution(-scale * torch.ones(4, 2, layer.query_dim))
        z = layer.draw(q, 0.1)
        for found in (layer.log_prob(z, p), layer.entropy(q), layer.divergence(q, p), z):
            assert bool(found.isfinite().all())


def test_a_memory_starts_as_a_real_number_cut_into_ordered_classes() -> None:
    torch.manual_seed(0)
    memory = VariationalMemory(1, 81, 8)
    first = memory.keys[0, 0].detach()  # [9,4], along a half circle
    for point in range(1, 8):
        query = torch.cat([first[point], torch.zeros(4)])[None, None]
        p = memory.distribution(query).exp().view(9, 9).sum(1)  # of the first factor
        order = p.argsort(descending=True).tolist()
        assert order[0] == point and set(order[1:3]) == {point - 1, point + 1}
    values = memory.values.detach().view(9, 9, 8)
    near = (values[1:] - values[:-1]).norm(dim=-1).mean()
    assert float((values[8] - values[0]).norm(dim=-1).mean()) > 4 * float(near)


def test_a_memory_may_start_without_any_order_of_its_classes() -> None:
    torch.manual_seed(0)
    memory = VariationalMemory(8, 256, 8, "normal")
    for part in (memory.keys, memory.values):
        assert float(part.detach().mean()) == pytest.approx(0, abs=0.1)
        assert float(part.detach().std()) == pytest.approx(1, abs=0.1)
    values = memory.values.detach().view(8, 16, 16, 8)
    near = (values[:, 1:] - values[:, :-1]).norm(dim=-1).mean()
    far = (values[:, 8:] - values[:, :8]).norm(dim=-1).mean()
    assert float(far / near) == pytest.approx(1, abs=0.1)
    with pytest.raises(HqcodecError, match="memory_start 'zeros'; known are arcs, normal"):
        HDVAEConfig(memory_start="zeros")


def test_keys_of_too_few_dimensions_for_an_arc_are_refused() -> None:
    with pytest.raises(HqcodecError, match="dim 2; want an even number from 4"):
        HDVAEConfig(dim=2)
