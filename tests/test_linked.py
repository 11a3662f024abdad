"""Linked codebooks: the search of a path through them, and how they start and move."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from hqcodec.models.linked import LinkedCodebooks
from hqcodec.models.quantize import nearest
from trees import SIZES, make, pictures, walk


def latents(n: int = 2, dim: int = 3, side: int = 5) -> Tensor:
    return torch.randn(n, dim, side, side, generator=torch.Generator().manual_seed(2))


def tree(sizes: tuple[int, ...] = SIZES, decay: float = 0.0) -> LinkedCodebooks:
    torch.manual_seed(0)
    return LinkedCodebooks(sizes, 3, decay)


def test_layer_i_has_a_codebook_for_every_path_through_the_layers_before_it() -> None:
    shapes = [tuple(tree((4, 4, 4)).table(n).shape) for n in range(3)]
    assert shapes == [(1, 4, 3), (4, 4, 3), (16, 4, 3)]
    assert [tuple(tree((2, 5, 3)).table(n).shape) for n in range(3)] == [
        (1, 2, 3),
        (2, 5, 3),
        (10, 3, 3),
    ]


def test_codes_are_of_the_nearest_children_of_the_parent_chosen_before() -> None:
    codebooks, z = tree(), latents()
    codes = codebooks.encode(z)
    parts = codebooks.parts(codes)
    for b, y, x in product(range(2), range(5), range(5)):
        expected, chosen = walk(codebooks, z[b, :, y, x].tolist())
        assert [int(layer[b, 0, y, x]) for layer in codes] == expected
        assert [part[b, :, y, x].tolist() for part in parts] == chosen


def test_children_of_other_parents_are_not_searched() -> None:
    codebooks, z = tree((2, 3)), latents()
    first, second = codebooks.encode(z)
    with torch.no_grad():  # what parent 0 would choose from, were it parent 1's, fits perfectly
        codebooks.table(1)[1] = 1e3
    after = codebooks.encode(z)
    assert torch.equal(after[0], first)
    assert torch.equal(after[1][first == 0], second[first == 0])
    assert bool((first == 1).any()) and bool((first == 0).any())
    # beside a perfect vector under the other parent, the chosen one's own child is taken
    with torch.no_grad():
        codebooks.table(0).copy_(torch.tensor([[[0.0, 0, 0], [9.0, 0, 0]]]))
        codebooks.table(1).copy_(torch.zeros(2, 3, 3))
        codebooks.table(1)[1, 2] = torch.tensor([-8.0, 0, 0])  # 9 - 8 = 1
    one = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert int(codebooks.encode(one)[0]) == 0
    assert codebooks.decode(codebooks.encode(one)).flatten().tolist() == [0, 0, 0]


def test_the_search_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    codebooks, z = tree(), latents()
    whole = codebooks.encode(z)
    monkeypatch.setattr("hqcodec.models.linked.SEARCHED", 40)
    for a, b in zip(codebooks.encode(z), whole, strict=True):
        assert torch.equal(a, b)


def test_where_layers_say_different_things_the_exhaustive_search_finds_the_same() -> None:
    codebooks, z = tree((4, 3, 2)), 20 * latents(8)
    with torch.no_grad():
        for n, table in enumerate(map(codebooks.table, range(3))):
            # layer n says where the dimension n is; each parent has its children in another order
            parents, children = table.shape[:2]
            order = torch.arange(children) + torch.arange(parents)[:, None]
            table.zero_()
            table[:, :, n] = 10.0 * (order % children) - 15
    path = codebooks.paths(codebooks.encode(z))[-1]
    assert torch.equal(path, nearest(z, codebooks.sums(3)[None]))
    assert len(path.unique()) > 12


def test_the_exhaustive_search_never_finds_worse_and_where_layers_mix_finds_better() -> None:
    codebooks, z = tree(), latents(4)
    linked = (z - codebooks.decode(codebooks.encode(z))).square().sum(1)
    sums = codebooks.sums(3)
    best = (z - sums[nearest(z, sums[None])[:, 0]].movedim(-1, 1)).square().sum(1)
    assert bool((best <= linked + 1e-5).all())
    assert bool(best.mean() < 0.95 * linked.mean())


def test_the_sums_are_those_of_every_path() -> None:
    codebooks = tree()
    sums = codebooks.sums(3).view(*SIZES, 3)
    for i, j, k in product(*map(range, SIZES)):
        a, b, c = map(codebooks.table, range(3))
        assert torch.allclose(sums[i, j, k], a[0, i] + b[i, j] + c[2 * i + j, k])


def test_averages_move_towards_the_residuals_that_chose_them_and_the_unchosen_stay() -> None:
    codebooks, z = tree(decay=0.75), latents(1, 3, 4)
    codebooks.start(z)
    # [m_1, .., m_i, D] of each layer, so that codes so far are the indices
    before = [codebooks.table(n).clone().view(*SIZES[: n + 1], 3) for n in range(3)]
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for vector in z.movedim(1, -1).reshape(-1, 3):
        codes, chosen = walk(codebooks, vector.tolist())
        for n in range(3):
            left = vector - torch.tensor(chosen[:n]).sum(0) if n else vector
            found.setdefault(tuple(codes[: n + 1]), []).append(left)
    codebooks.update(z, codebooks.encode(z))
    for n, old in enumerate(before):
        share = 1 / math.prod(SIZES[: n + 1])  # what each has at the start
        now = codebooks.table(n).view(old.shape)
        for code in product(*map(range, SIZES[: n + 1])):
            rows = found.get(code, [])
            total = sum(rows, torch.zeros(3)) / 16
            uses = 0.75 * share + 0.25 * len(rows) / 16
            expected = (0.75 * share * old[code] + 0.25 * total) / uses
            assert torch.allclose(now[code], expected, atol=1e-5)
    assert 0 < len(found) < 3 + 6 + 24


def test_only_training_moves_averages() -> None:
    model, x = make(), pictures()
    first = model.codebooks.table(0).clone()
    model.eval().loss(x, 0)
    assert torch.equal(model.codebooks.table(0), first)
    model.train().loss(x, 0)
    assert not torch.equal(model.codebooks.table(0), first)


@pytest.mark.parametrize("sizes", [(64,), (8, 8), (4, 4, 4), (2,) * 6])
def test_the_start_uses_nearly_all_code_vectors_at_every_depth(sizes: tuple[int, ...]) -> None:
    model, x = make(sizes), pictures(24, 16)
    model.initialize(x)
    assert float(model.loss(x, 0)[f"perplexity_{len(sizes)}"]) > 32


def test_a_parent_of_too_few_vectors_still_gets_children_that_differ() -> None:
    codebooks = tree((4, 4, 4))
    codebooks.start(latents(1, 3, 2))  # four vectors in all
    for table in map(codebooks.table, range(3)):
        assert bool(table.isfinite().all())
        for children in table.tolist():
            assert len({tuple(child) for child in children}) == 4
