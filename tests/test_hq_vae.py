"""HQ-VAE: its hierarchy, its configurations, and that it learns."""

import json
import math
from dataclasses import asdict
from importlib import resources

import pytest
import torch
from torch import Tensor

from hierarchies import make
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.base import Layer
from hqcodec.models.hq_vae import HQVAE, HQVAEConfig
from hqcodec.models.run import read_config

CONFIGS = (
    "sq_vae", "rsq_vae", "sq_vae_2", "hq_vae_hybrid", "hybrid-cifar10", "vq_vae", "rq_vae",
    "vq_vae_2",
)  # fmt: skip


def pictures(n: int = 3, side: int = 8) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_the_commitment_does_not_reach_the_codebook_and_the_elbo_does() -> None:
    model = make()
    model.loss(pictures(), 0)["latent"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in model.quantizers.parameters())
    assert not list(make(quantizer="ema").quantizers.parameters())


def test_the_temperature_falls_exponentially_with_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = make((4,), (1,)), []
    forward = type(model.quantizer(0)).forward

    def watch(self: object, z: Tensor, temperature: float, layer: int) -> object:
        seen.append(temperature)
        return forward(self, z, temperature, layer)  # type: ignore[arg-type, call-arg]

    monkeypatch.setattr(type(model.quantizer(0)), "forward", watch)
    for step in (0, 50_000, 100_000):
        model.loss(pictures(), step)
    assert seen == pytest.approx([1, math.exp(-0.5), math.exp(-1)])


def test_kept_layers_decode_to_their_partial_sum() -> None:
    model, x = make((4,), (3,)), pictures()
    codes = model.encode(x)
    for kept in (1, 2, 3):
        vectors = [model.quantizer(n).decode(codes[n]) for n in range(kept)]
        expected = model.decoder(torch.stack(vectors).sum(0)).clamp(0, 1)
        assert torch.allclose(model.decode(codes[:kept]), expected, atol=1e-6)


def test_each_residual_layer_quantizes_what_the_layers_before_it_left() -> None:
    model, x = make((4,), (3,)), pictures()
    target, residual = model._path(x, model._hard)[0].target, None
    for n, layer in enumerate(model.encode(x)):
        residual = target if residual is None else residual
        assert torch.equal(layer, model.quantizer(n).encode(residual))
        residual = residual - model.quantizer(n).decode(layer)


def test_layers_are_listed_coarse_to_fine_with_stride_groups_and_codebook() -> None:
    model = HQVAE(HQVAEConfig((16, 4), (1, 2), (7, 8, 9), groups=2, dim=3, width=8, blocks=1))
    assert model.layers == (Layer(16, 2, 7), Layer(4, 2, 8), Layer(4, 2, 9))
    assert [c.shape[1:] for c in model.encode(pictures(1, 20))] == [(2, 2, 2), (2, 8, 8), (2, 8, 8)]


def test_a_shared_codebook_has_one_set_of_vectors_and_a_variance_for_each_layer() -> None:
    model = make((4,), (3,), shared=True)
    assert [p.shape for p in model.quantizers.parameters()] == [(2, 8, 3), (3,)]
    assert model.quantizer(0) is model.quantizer(2)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("quantizer", ["stochastic", "ema"])
def test_a_few_steps_lower_the_loss(quantizer: str, reset: bool) -> None:
    model, x = make(quantizer=quantizer, progressive=True, reset=reset), pictures(8)
    x = (x[:, :, :2, :2]).repeat_interleave(4, 2).repeat_interleave(4, 3)  # four flat quarters
    model.initialize(x)
    losses, _ = fit(model, x, 40)
    assert math.fsum(losses[-5:]) / 5 < losses[0] - 0.02 * abs(losses[0])


def test_training_makes_the_quantization_less_and_less_random() -> None:
    torch.manual_seed(0)
    model = HQVAE(HQVAEConfig((4,), (1,), (8,), groups=1, dim=64, width=8, blocks=1))
    x = torch.rand(6, 3, 1, 1).expand(6, 3, 8, 8)  # six colours
    model.initialize(x)
    _, terms = fit(model, x, 140)
    entropy = [t["entropy"] for t in terms]
    assert math.fsum(entropy[-20:]) < 0.85 * math.fsum(entropy[:20])


def fit(model: HQVAE, x: Tensor, steps: int) -> tuple[list[float], list[dict[str, float]]]:
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    seen = []
    for step in range(steps):
        terms = model.loss(x, step)
        optimizer.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen.append({key: float(value.detach()) for key, value in terms.items()})
    return [terms["loss"] for terms in seen], seen


def test_the_start_gives_the_quantizers_latents_of_zero_mean_and_unit_variance() -> None:
    model, x = make(), pictures()
    model.initialize(x)
    for level in model._path(x, model._hard):
        assert torch.allclose(level.target.mean((0, 2, 3)), torch.zeros(6), atol=1e-3)
        assert level.target.std().tolist() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("quantizer", ["stochastic", "ema"])
def test_quantizers_stay_float32_where_autocast_makes_the_rest_bfloat16(quantizer: str) -> None:
    model = make(quantizer=quantizer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = model.loss(pictures(), 0)
    terms["loss"].backward()  # type: ignore[no-untyped-call]
    assert {value.dtype for value in terms.values()} == {torch.float32}


def test_calibrating_counts_the_codes_of_the_pictures_anew() -> None:
    model, x = make(), pictures()
    model.calibrate(x)
    model.calibrate(x)
    for n, layer in enumerate(model.encode(x)):
        expected = [row.flatten().bincount(minlength=8) + 1 for row in layer.unbind(1)]
        assert model.prior.static is not None
        assert torch.equal(model.prior.static.counts(n), torch.stack(expected))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_file_names_every_field_and_makes_a_model_for_32_pixels(name: str) -> None:
    run = read_config(name)
    assert run.model.keys() == asdict(HQVAEConfig()).keys()
    model = zoo.build(run.family, run.model)
    assert isinstance(model, HQVAE) and run.train.crop == 32
    assert zoo.from_dict(HQVAEConfig, json.loads(json.dumps(asdict(model.config)))) == model.config
    assert model.decode(model.encode(torch.zeros(1, 3, 32, 32))[:1]).shape == (1, 3, 32, 32)


def test_every_config_file_of_the_family_is_tested_here() -> None:
    files = [p for p in (resources.files("hqcodec.models") / "configs").iterdir()]
    ours = {p.name.removesuffix(".toml") for p in files if 'family = "hq_vae"' in p.read_text()}
    assert ours == set(CONFIGS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolutions": (4, 8)},
        {"resolutions": (6, 3)},
        {"resolutions": ()},
        {"chain": (1,)},
        {"chain": (0, 2)},
        {"codebook": (512,)},
        {"quantizer": "vq"},
        {"codebook": (8, 9), "shared_codebook": True},
    ],
)
def test_a_hierarchy_that_does_not_fit_together_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(HqcodecError):
        HQVAEConfig(**wrong)  # type: ignore[arg-type]


def test_no_layer_at_all_does_not_decode() -> None:
    with pytest.raises(HqcodecError, match="want 1 to 3"):
        make().decode([])
