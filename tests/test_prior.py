"""The learned prior: exact tables that agree with what was trained."""

import copy

import pytest
import torch
from torch import Tensor

from hqcodec.models.base import TOTAL, Layer
from hqcodec.models.prior import Prior, corners

LAYERS = Layer(8, 2, 5), Layer(4, 1, 7), Layer(4, 1, 6)


def codes(batch: int = 3) -> list[Tensor]:
    """Layers that say much of each other: the second repeats the first, the third the second."""
    g = torch.Generator().manual_seed(0)
    first = torch.randint(0, 5, (batch, 2, 3, 2), generator=g)
    second = first[:, :1].repeat_interleave(2, 2).repeat_interleave(2, 3) + 1
    return [first, second, second % 6]


def trained(steps: int = 60) -> Prior:
    torch.manual_seed(0)
    prior = Prior(LAYERS, 16)
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        prior.nats(codes()).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return prior.eval()


@pytest.fixture(scope="module")
def prior() -> Prior:
    return trained()


def table_nats(prior: Prior, layers: list[Tensor], picture: int) -> list[float]:
    """-log p of a picture's codes under the tables, one number a layer."""
    alone, found = [layer[picture] for layer in layers], []
    for n, layer in enumerate(alone):
        total = 0.0
        for batch in prior.tables(alone[:n], layer):
            f = batch.frequencies.expand(len(batch.where), -1)
            chosen = f.gather(1, layer.flatten()[batch.where][:, None])
            total -= float(((chosen + 1) / TOTAL).log().sum())
        found.append(total)
    return found


def test_before_training_every_code_costs_the_same() -> None:
    found = Prior(LAYERS, 8).nats(codes())
    expected = [12 * torch.tensor(5.0).log(), 24 * torch.tensor(7.0).log()]
    assert found[:2].tolist() == pytest.approx([float(e) for e in expected], rel=1e-5)


def test_tables_cost_what_training_minimised(prior: Prior) -> None:
    layers = codes()
    by_tables = [table_nats(prior, layers, picture) for picture in range(3)]
    mean = torch.tensor(by_tables).mean(0)
    assert mean.tolist() == pytest.approx(prior.nats(layers).tolist(), rel=0.02, abs=0.05)


def test_what_the_coarser_layers_say_saves_bits(prior: Prior) -> None:
    first, second, third = prior.nats(codes()).tolist()
    assert second < 0.2 * 24 * torch.tensor(5.0).log()  # five values occur, all of them implied
    assert third < 0.2 * 24 * torch.tensor(5.0).log()
    assert first > 0


def test_tables_are_the_same_whatever_the_threads_and_the_copy(prior: Prior) -> None:
    layers = [layer[0] for layer in codes()]
    twin, threads = copy.deepcopy(prior), torch.get_num_threads()
    for n, layer in enumerate(layers):
        torch.set_num_threads(1)
        ones = list(prior.tables(layers[:n], layer))
        torch.set_num_threads(threads)
        twos = list(twin.tables(layers[:n], layer))
        assert [b.where.tolist() for b in ones] == [b.where.tolist() for b in twos]
        pairs = zip(ones, twos, strict=True)
        assert all(torch.equal(a.frequencies, b.frequencies) for a, b in pairs)


def test_training_on_forgets_the_exact_twin() -> None:
    prior, layers = trained(1), codes()
    before = table_nats(prior, layers, 0)
    prior.train()
    with torch.no_grad():
        for p in prior.head(2).parameters():
            p.add_(0.5 * torch.randn_like(p))
    assert table_nats(prior.eval(), layers, 0)[2] != before[2]


def test_a_position_is_decoded_after_its_neighbours_of_earlier_steps() -> None:
    assert corners(4, 4).tolist() == [[0, 2, 0, 2], [3, 1, 3, 1], [0, 2, 0, 2], [3, 1, 3, 1]]


def test_a_prior_without_channels_counts_static_tables() -> None:
    prior, layers = Prior(LAYERS, 0), codes()
    prior.calibrate([layers, layers])
    prior.calibrate([layers])
    assert prior.static is not None and not list(prior.parameters())
    assert int(prior.static.counts(1).sum()) == 3 * 24 + 7
    assert table_nats(prior, layers, 0)[1] < 24 * 2.0


def test_a_grid_of_one_position_or_row_is_coded_too(prior: Prior) -> None:
    first = codes()[0][:, :, :1]  # [3,2,1,2]
    for width in (1, 2):
        layers = [first[..., :width]]
        by_tables = sum(table_nats(prior, layers, picture)[0] for picture in range(3)) / 3
        assert float(prior.nats(layers)[0].detach()) == pytest.approx(by_tables, rel=0.03)
