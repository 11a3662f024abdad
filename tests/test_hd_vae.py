"""HD-VAE: loss terms by hand, what a layer sees, and the codec."""

import math

import pytest
import torch

from hqcodec.errors import HqcodecError
from hqcodec.models.hd_vae import HDVAE, HDVAEConfig
from hqcodec.models.hd_vae_bounds import log_weights
from hqcodec.models.hd_vae_config import ARCHITECTURES
from hqcodec.models.run import read_config
from hqcodec.models.sample import draw
from hqcodec.models.tiles import cut, join
from ladders import binary, make


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("latent", ["categorical", "gaussian"])
def test_the_loss_is_reconstruction_and_divergences_above_their_free_bits(
    architecture: str, latent: str
) -> None:
    free = 0.05
    model = make(architecture, latent=latent, free_bits=free).train()
    model.decoder.connection.eval()  # without dropout, so that both passes see the same
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x = binary()
    torch.manual_seed(4)
    terms = model.loss(x.expand(-1, 3, -1, -1), 2)
    tau = model.temperature(2)
    torch.manual_seed(4)
    path = model.infer(model.encoder.features(x), lambda s, p: s.draw(p, tau))
    probability = model.decoder(path.state).sigmoid()
    reconstruction = -torch.where(x == 1, probability, 1 - probability).log().sum() / len(x)
    assert terms["reconstruction"].item() == pytest.approx(reconstruction.item(), rel=1e-4)
    expected = reconstruction
    for n, (z, q, p) in enumerate(zip(path.z, path.posterior, path.prior, strict=True)):
        layer = model.layer(n)
        if model.config.ladder:
            kl = layer.divergence(q, p).mean()
        else:
            kl = -(layer.entropy(q) + layer.log_prob(z, p)).mean()
        assert terms[f"kl_{n + 1}"].item() == pytest.approx(kl.item(), abs=1e-4)
        expected = expected + max(kl.item(), free)
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert terms["temperature"].item() == pytest.approx(0.8 - 0.5 * 2 / 5)


def test_an_entropy_cost_makes_a_code_cost_what_a_file_pays() -> None:
    model, x = make("lvae", entropy_cost=1.0, beta=0.5).train(), binary()
    model.decoder.connection.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    torch.manual_seed(4)
    terms = model.loss(x.expand(-1, 3, -1, -1), 10)
    torch.manual_seed(4)
    path = model.infer(
        model.encoder.features(x), lambda s, p: s.draw(p, terms["temperature"].item())
    )
    pairs = zip(path.posterior, path.prior, strict=True)
    cross = sum(-(q.exp() * p).sum((1, 2)).mean().item() for q, p in pairs)
    expected = terms["reconstruction"].item() + 0.5 * cross
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-4)
    assert terms["elbo"].item() > -terms["loss"].item()


@pytest.mark.parametrize(("cost", "latent"), [(-0.1, "categorical"), (1.0, "gaussian")])
def test_costs_that_make_no_sense_are_one_clear_line(cost: float, latent: str) -> None:
    with pytest.raises(HqcodecError, match=r"beta 0.0; want a number above 0"):
        HDVAEConfig(beta=0.0)
    with pytest.raises(HqcodecError, match=f"entropy_cost {cost} of {latent} latents; want 0 or"):
        HDVAEConfig(latent=latent, entropy_cost=cost)


def test_the_entropy_cost_rises_in_the_second_half_of_annealing() -> None:
    model = make(entropy_cost=0.5)
    found = [model.entropy_cost(step) for step in (0, 5, 8, 10, 1000)]
    assert found == pytest.approx([0.0, 0.0, 0.3, 0.5, 0.5])


def test_in_eval_mode_the_loss_is_minus_the_bound_of_hard_samples() -> None:
    model, x = make(free_bits=50.0), binary(1)
    torch.manual_seed(0)
    found = [model.loss(x.expand(-1, 3, -1, -1), 0) for _ in range(100)]
    mean = sum(float(terms["elbo"]) for terms in found) / len(found)
    assert mean == pytest.approx(float(log_weights(model, x, 400).mean()), abs=0.3)
    assert found[0]["loss"].item() == pytest.approx(-found[0]["elbo"].item())


def test_the_temperature_falls_in_two_straight_lines() -> None:
    model = make()
    found = [model.temperature(step) for step in (0, 5, 10, 1000)]
    assert found == pytest.approx([0.8, 0.3, 0.1, 0.1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_layer_sees_what_its_architecture_says(architecture: str) -> None:
    model = make(architecture, (1, 1, 1))
    with torch.no_grad():
        seen = []
        for first in range(4):
            state = model.ladder.begin(1)
            for n, code in enumerate((first, 2)):
                memory = model.memory(n)
                state = model.ladder.advance(
                    n, state, memory.read(memory.one_hot(torch.tensor([[code]])))
                )
            seen.append(model.memory(2).distribution(model.ladder.query(2, state)))
    differs = any(not torch.allclose(seen[0], other) for other in seen[1:])
    assert differs == architecture.startswith("skip")


def test_posteriors_of_a_ladder_see_the_coarser_layers_and_those_of_a_vae_the_finer() -> None:
    for architecture, first in (("lvae", 0), ("vae", 1)):
        model, x = make(architecture), binary(1)
        features = model.encoder.features(x)
        found = []
        for code in range(4):
            forced = torch.full((1, 2), code)
            memory = model.memory(first)
            path = model.infer(
                features, lambda s, p, m=memory, c=forced: m.one_hot(c) if s is m else s.mode(p)
            )
            found.append(path.posterior)
        same = [torch.allclose(found[0][first], other[first]) for other in found[1:]]
        others = [torch.allclose(found[0][1 - first], other[1 - first]) for other in found[1:]]
        assert all(same) and not all(others)


def test_pictures_come_back_black_and_white_with_equal_channels() -> None:
    model = make()
    x = torch.rand(2, 3, 40, 60)
    x_hat = model.decode(model.encode(x), (40, 60))
    assert set(x_hat.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(x_hat[:, 0], x_hat[:, 2]) and x_hat.shape == x.shape


def test_missing_layers_take_their_most_likely_codes() -> None:
    model = make()
    codes = model.encode(binary(2).expand(-1, 3, -1, -1))
    state = model.ladder.begin(2)
    memory = model.memory(0)
    state = model.ladder.advance(0, state, memory.read(memory.one_hot(codes[0][..., 0, 0])))
    p = model.memory(1).distribution(model.ladder.query(1, state))
    assumed = p.argmax(-1)[..., None, None]
    assert torch.equal(model.decode(codes[:1]), model.decode([codes[0], assumed]))


def test_cutting_and_joining_tiles_are_inverse() -> None:
    x = (torch.rand(2, 1, 56, 84) < 0.5).float().expand(-1, 3, -1, -1)
    assert torch.equal(join(cut(x, 28), 2, 3), x)


def test_a_tile_does_not_change_its_neighbours_codes() -> None:
    model, x = make(), torch.rand(1, 3, 28, 56)
    changed = x.clone()
    changed[..., 28:] = 1 - changed[..., 28:]
    pairs = zip(model.encode(x), model.encode(changed), strict=True)
    assert all(torch.equal(a[..., :1], b[..., :1]) for a, b in pairs)


def test_memory_values_learn_faster_than_the_rest() -> None:
    model = make()
    rest, values = model.parameter_groups(0.01)
    assert values["lr"] == pytest.approx(0.1) and rest["lr"] == 0.01
    assert {id(p) for p in values["params"]} == {id(model.memory(n).values) for n in range(2)}
    assert len(rest["params"]) + 2 == len(list(model.parameters()))
    assert len(make(latent="gaussian").parameter_groups(0.01)) == 1


def test_gradients_of_the_integer_prior_do_not_reach_the_rest() -> None:
    grads = []
    for context in (0, 4):
        model = make(context=context)  # in eval mode: no dropout, hard samples
        torch.manual_seed(7)
        model.loss(binary().expand(-1, 3, -1, -1), 0)["loss"].backward()  # type: ignore[no-untyped-call]
        assert model.decoder.out.bias is not None and model.decoder.out.bias.grad is not None
        grads.append(model.decoder.out.bias.grad)
    assert torch.allclose(grads[0], grads[1])


def test_a_gaussian_model_is_no_codec_and_says_so() -> None:
    model, x = make(latent="gaussian"), torch.rand(1, 3, 28, 28)
    for call in (lambda: model.encode(x), lambda: model.decode([]), lambda: model.tables([], x)):
        with pytest.raises(HqcodecError, match="no codes"):
            call()
    model.calibrate(x)  # as the trainer does at its end


@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": "biva"}, {"latent": "uniform"}, {"units": ()}, {"classes": (4,)},
        {"classes": (16, 60, 256)}, {"dim": 3}, {"width": 1}, {"last_temperature": 0.0},
    ],
)  # fmt: skip
def test_a_hierarchy_that_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(HqcodecError):
        HDVAEConfig(**wrong)  # type: ignore[arg-type]


def test_training_with_large_weights_and_a_high_rate_stays_finite() -> None:
    for latent in ("categorical", "gaussian"):
        model = make(latent=latent).train()
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(5)
        optimizer = torch.optim.Adamax(model.parameter_groups(0.05))
        x = torch.cat(
            [torch.zeros(1, 3, 28, 28), torch.ones(1, 3, 28, 28), 1e6 * torch.rand(1, 3, 28, 28)]
        )
        for step in range(8):
            loss = model.loss(x, step)["loss"]
            assert math.isfinite(loss.item())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1000.0)
            optimizer.step()


def test_the_loss_falls_in_a_few_steps() -> None:
    model = make(units=(4,)).train()
    optimizer = torch.optim.Adamax(model.parameter_groups(0.02))
    x = binary(1).expand(8, 3, -1, -1)
    losses = []
    for step in range(30):
        optimizer.zero_grad()
        loss = model.loss(x, step)["loss"]
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_samples_are_drawn_from_the_tables() -> None:
    model = make(context=4)
    drawn = list(draw(model, 2, (28, 56)))
    again = list(draw(model, 2, (28, 56)))
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert all(x.shape == (3, 28, 56) and set(x.unique().tolist()) <= {0.0, 1.0} for x in drawn)


def test_the_configuration_for_scans_builds() -> None:
    run = read_config("hd_vae-scans")
    model = HDVAE(
        HDVAEConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in run.model.items()})
    )
    assert [layer.groups for layer in model.layers] == [4, 8, 16, 24]
    assert 2 * sum(p.numel() for p in model.parameters()) < 2_300_000
