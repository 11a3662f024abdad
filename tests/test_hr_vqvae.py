"""HR-VQVAE: eqs 5 and 6, its gradients, the start, and files; the search is in test_linked.py."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

import hqcodec
from hqcodec import container
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.base import Layer, Model
from hqcodec.models.hr_vqvae import HRVQVAE, MOST, HRVQVAEConfig
from hqcodec.models.run import read_config
from trees import SIZES, make, pictures, walk


def square(a: list[float], b: list[float]) -> float:
    return math.dist(a, b) ** 2


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
