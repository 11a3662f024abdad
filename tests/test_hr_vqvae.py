"""HR-VQVAE: the search among the chosen parent's children, eqs 5 and 6, the start."""

import json
import math
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import hqcodec
from hqcodec import container
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.base import Layer, Model
from hqcodec.models.hr_vqvae import HRVQVAE, MOST, HRVQVAEConfig
from hqcodec.models.linked import LinkedCodebooks
from hqcodec.models.quantize import nearest
from hqcodec.models.run import read_config

SIZES = (3, 2, 4)


def make(sizes: tuple[int, ...] = SIZES, **values: float) -> HRVQVAE:
    torch.manual_seed(0)
    shape = {"stride": 2, "codebook": sizes, "dim": 3, "width": 8, "blocks": 1}
    model = zoo.build("hr_vqvae", shape | values)
    assert isinstance(model, HRVQVAE)
    return model


def pictures(n: int = 3, side: int = 8) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def latents(n: int = 2, dim: int = 3, side: int = 5) -> Tensor:
    return torch.randn(n, dim, side, side, generator=torch.Generator().manual_seed(2))


def tree(sizes: tuple[int, ...] = SIZES, decay: float = 0.0) -> LinkedCodebooks:
    torch.manual_seed(0)
    return LinkedCodebooks(sizes, 3, decay)


def walk(codebooks: LinkedCodebooks, vector: list[float]) -> tuple[list[int], list[list[float]]]:
    """Codes and code vectors of one vector, by eq 3 in plain Python: nested lists, no paths."""
    codes: list[int] = []
    chosen: list[list[float]] = []
    for n in range(len(codebooks.sizes)):
        table = codebooks.table(n)
        # [m_1, .., m_i, D], so that the codes so far are the indices
        children = table.view(*codebooks.sizes[: len(codes) + 1], -1)[tuple(codes)].tolist()
        codes.append(min(range(len(children)), key=lambda k: math.dist(vector, children[k])))
        chosen.append(children[codes[-1]])
        vector = [v - e for v, e in zip(vector, chosen[-1], strict=True)]
    return codes, chosen


def square(a: list[float], b: list[float]) -> float:
    return math.dist(a, b) ** 2


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


def test_kept_layers_decode_to_their_partial_sum() -> None:
    model, x = make(), pictures()
    codes = model.encode(x)
    parts = model.codebooks.parts(codes)
    for kept in (1, 2, 3):
        expected = model.decoder(torch.stack(parts[:kept]).sum(0)).clamp(0, 1)
        assert torch.allclose(model.decode(codes[:kept]), expected, atol=1e-6)


def test_layers_are_listed_with_their_children_not_with_all_code_vectors() -> None:
    assert make().layers == (Layer(2, 1, 3), Layer(2, 1, 2), Layer(2, 1, 4))


def test_each_term_of_the_objective_is_that_of_equations_5_and_6() -> None:
    model, x = make(commitment=0.5, layer_commitment=0.125).eval(), pictures()
    with torch.no_grad():
        terms = {key: float(value) for key, value in model.loss(x, 0).items()}
        z = model.latent(x)
        mse = float((model.decoder(model.codebooks.decode(model.encode(x))) - x).square().mean())
    whole, each = 0.0, 0.0  # |xi^0 - e_C|^2, sum over i of |xi^{i-1} - e^i|^2
    for vector in z.movedim(1, -1).reshape(-1, 3).tolist():
        residual = vector
        for part in walk(model.codebooks, vector)[1]:
            each += square(residual, part)
            residual = [r - e for r, e in zip(residual, part, strict=True)]
        whole += square(residual, [0.0] * 3)  # xi^n
    assert terms["distortion"] == pytest.approx(mse, rel=1e-4)
    assert terms["codebook"] == pytest.approx((whole + each) / x.numel(), rel=1e-4)
    expected = (0.5 * whole + 0.125 * each) / x.numel()
    assert terms["commitment"] == pytest.approx(expected, rel=1e-4)
    total = terms["distortion"] + terms["codebook"] + terms["commitment"]
    assert terms["loss"] == pytest.approx(total, rel=1e-5)
    assert terms["psnr"] == pytest.approx(-10 * math.log10(mse), rel=1e-4)


@pytest.mark.parametrize("decay", [0.0, 0.9])
@pytest.mark.parametrize(
    ("term", "reached"),
    [
        ("distortion", {"encoder", "decoder"}),  # straight through the quantizer
        ("commitment", {"encoder"}),
        ("loss", {"encoder", "decoder", "codebooks"}),
    ],
)
def test_gradients_flow_where_the_stops_of_equations_5_and_6_let_them(
    term: str, reached: set[str], decay: float
) -> None:
    model = make(ema_decay=decay)
    model.loss(pictures(), 0)[term].backward()  # type: ignore[no-untyped-call]
    found = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert found == (reached - {"codebooks"} if decay else reached)


def test_the_codebook_term_reaches_the_codebooks_alone_and_those_that_are_averages_never() -> None:
    model = make(ema_decay=0)
    model.loss(pictures(), 0)["codebook"].backward()  # type: ignore[no-untyped-call]
    found = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert found == {"codebooks"}
    assert not make().loss(pictures(), 0)["codebook"].requires_grad


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


def test_the_gradient_reaches_the_chosen_code_vectors_alone_and_is_that_of_the_equations() -> None:
    model, x = make(ema_decay=0), pictures(1, 4)
    with torch.no_grad():
        z = model.latent(x)
    model.loss(x, 0)["loss"].backward()  # type: ignore[no-untyped-call]
    expected = [torch.zeros(*SIZES[: n + 1], 3) for n in range(3)]
    for vector in z.movedim(1, -1).reshape(-1, 3):
        codes, chosen = walk(model.codebooks, vector.tolist())
        left, e_c = vector.clone(), torch.tensor(chosen).sum(0)
        for n, part in enumerate(chosen):
            step = 2 * (e_c - vector) + 2 * (torch.tensor(part) - left)
            expected[n][tuple(codes[: n + 1])] += step / x.numel()
            left = left - torch.tensor(part)
    for table, want in zip(map(model.codebooks.table, range(3)), expected, strict=True):
        assert table.grad is not None
        assert torch.allclose(table.grad, want.view_as(table), atol=1e-6)


def test_perplexities_count_the_code_vectors_of_all_codebooks_of_a_layer() -> None:
    model, x = make(), pictures(6)
    terms, codes = model.loss(x, 0), model.encode(x)
    rows = list(zip(*(layer.flatten().tolist() for layer in codes), strict=True))
    for n in range(3):
        paths = [row[: n + 1] for row in rows]
        shares = [paths.count(path) / len(paths) for path in set(paths)]
        entropy = -math.fsum(p * math.log(p) for p in shares)
        assert float(terms[f"perplexity_{n + 1}"]) == pytest.approx(math.exp(entropy), rel=1e-4)


@pytest.mark.parametrize("sizes", [(64,), (8, 8), (4, 4, 4), (2,) * 6])
def test_the_start_uses_nearly_all_code_vectors_at_every_depth(sizes: tuple[int, ...]) -> None:
    model, x = make(sizes), pictures(24, 16)
    model.initialize(x)
    assert float(model.loss(x, 0)[f"perplexity_{len(sizes)}"]) > 32


def test_the_start_scales_the_encoder_and_each_layer_leaves_less() -> None:
    model, x = make((4, 4, 4)), pictures(24, 16)
    model.initialize(x)
    with torch.no_grad():
        z = model.latent(x)
        left = z
        assert z.mean((0, 2, 3)).abs().max() < 1e-3
        assert float(z.std()) == pytest.approx(1, abs=1e-2)
        for part in model.codebooks.parts(model.encode(x)):
            before, left = left, left - part
            assert left.square().mean() < 0.8 * before.square().mean()


def test_a_parent_of_too_few_vectors_still_gets_children_that_differ() -> None:
    codebooks = tree((4, 4, 4))
    codebooks.start(latents(1, 3, 2))  # four vectors in all
    for table in map(codebooks.table, range(3)):
        assert bool(table.isfinite().all())
        for children in table.tolist():
            assert len({tuple(child) for child in children}) == 4


def test_a_start_keeps_what_was_loaded() -> None:
    model = make()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.initialize(pictures(), ["encoder.inject.0.7.weight", "codebooks.table_0"])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_few_steps_lower_the_loss(decay: float) -> None:
    model, x = make(ema_decay=decay), pictures(8)
    x = (x[:, :, :2, :2]).repeat_interleave(4, 2).repeat_interleave(4, 3)  # four flat quarters
    model.initialize(x)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for step in range(40):
        terms = model.loss(x, step)
        optimizer.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(terms["loss"].detach()))
    assert math.fsum(losses[-5:]) / 5 < 0.8 * losses[0]


def test_the_search_stays_float32_where_autocast_makes_the_rest_bfloat16() -> None:
    model = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = model.loss(pictures(), 0)
    assert {value.dtype for value in terms.values()} == {torch.float32}


def test_calibrating_counts_the_codes_of_the_pictures_anew() -> None:
    model, x = make(), pictures()
    model.calibrate(x)
    model.calibrate(x)
    for n, layer in enumerate(model.encode(x)):
        expected = layer.flatten().bincount(minlength=SIZES[n]) + 1
        assert model.prior.static is not None
        assert torch.equal(model.prior.static.counts(n)[0], expected)


def test_the_config_file_names_every_field_and_makes_the_papers_model() -> None:
    run = read_config("hr_vqvae")
    assert run.model.keys() == asdict(HRVQVAEConfig()).keys()
    model = zoo.build(run.family, run.model)
    assert isinstance(model, HRVQVAE) and model.config == HRVQVAEConfig(context=32)
    again = zoo.from_dict(HRVQVAEConfig, json.loads(json.dumps(asdict(model.config))))
    assert again == model.config
    assert [model.codebooks.table(n).shape[0] * 8 for n in range(3)] == [8, 64, 512]
    assert model.encode(torch.zeros(1, 3, 32, 32))[0].shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    "wrong",
    [
        {"codebook": []},
        {"codebook": [8, 1]},
        {"codebook": [8, 0]},
        {"codebook": [8, -8, -8]},
        {"codebook": [8, "8"]},
        {"codebook": [8, 8.0]},
        {"codebook": 512},
        {"codebook": [MOST // 2, 4]},
        {"stride": 0},
        {"stride": 1},
        {"stride": 6},
        {"dim": 0},
        {"width": 0},
        {"blocks": -1},
        {"context": -1},
        {"ema_decay": 1.0},
        {"ema_decay": -0.1},
        {"depth": 3},
    ],
)
def test_a_tree_that_cannot_be_built_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(HqcodecError):
        zoo.build("hr_vqvae", wrong)


def test_no_layer_at_all_does_not_decode() -> None:
    with pytest.raises(HqcodecError, match="want 1 to 3"):
        make().decode([])


@pytest.fixture(scope="module", params=[0, 6], ids=["static tables", "learned prior"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that was saved and loaded."""
    model, path = make(context=request.param), tmp_path_factory.mktemp("weights") / "hr.safetensors"
    model.initialize(pictures(8, 16))
    model.calibrate(pictures(8, 16))
    zoo.save(model, path, "hr", "a test")
    return hqcodec.load(path)


def picture() -> Image.Image:
    pixels = pictures(1, 9)[0].mul(255).byte().movedim(0, -1).numpy()
    return Image.fromarray(pixels[:, :7])


def test_a_file_decodes_to_the_models_own_reconstruction_after_every_cut(loaded: Model) -> None:
    source = picture()
    blob = hqcodec.compress(source, loaded)
    x = torch.from_numpy(np.array(source)).movedim(-1, 0)[None] / 255
    codes = loaded.encode(x)
    for kept in (1, 2, 3):
        cut = container.write(container.truncate(container.read(blob), kept))
        assert cut == hqcodec.compress(source, loaded, kept)
        expected = loaded.decode(codes[:kept], (9, 7))[0].mul(255).round().byte()
        found = np.asarray(hqcodec.decompress(cut, loaded))
        assert np.array_equal(found, expected.movedim(0, -1).numpy())


def test_the_learned_prior_learns_from_the_codes_and_leaves_the_rest_alone() -> None:
    model = make(context=6)
    model.loss(pictures(), 0)["prior"].backward()  # type: ignore[no-untyped-call]
    reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert reached == {"prior"}
