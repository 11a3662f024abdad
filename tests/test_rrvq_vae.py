"""RRVQ-VAE: its path, its bound term by term, and what its configurations mean."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from hqcodec.models.rrvq_vae import RRVQVAE, RRVQConfig

Array = npt.NDArray[np.float64]


def make(
    resolutions: tuple[int, ...] = (4, 2),
    chain: tuple[int, ...] = (1, 2),
    codebook: tuple[int, ...] = (3, 4, 5),
    parameterisation: str = "embed",
    sigma: str = "learnt",
    top: str = "uniform",
    free_bits: float = 0.0,
    decoder_scale: str = "predicted",
    codebook_rate: float = 1.0,
    entry: float = 1.0,
) -> RRVQVAE:
    torch.manual_seed(0)
    config = RRVQConfig(
        resolutions, chain, codebook, dim=3, width=6, blocks=1, ladder_blocks=0,
        parameterisation=parameterisation, sigma=sigma, top=top, free_bits=free_bits,
        codebook_rate=codebook_rate, decoder_scale=decoder_scale, entry=entry,
    )  # fmt: skip
    return RRVQVAE(config).eval()


def pictures(n: int = 2, size: tuple[int, int] = (8, 4)) -> Tensor:
    levels = torch.randint(256, (n, 3, *size), generator=torch.Generator().manual_seed(1))
    return levels / 255


def array(x: Tensor) -> Array:
    return x.detach().double().numpy()


def responsibilities(e: Tensor, means: Tensor, log_variances: Tensor) -> Array:
    """Eqs 6 and 7: [B,dim,h,w] -> [B,K,h,w]."""
    distance = array(e)[:, None] - array(means)[None, :, :, None, None]  # [B,K,dim,h,w]
    variances = np.exp(array(log_variances))[None, :, :, None, None]
    density = np.exp(-(distance**2) / (2 * variances)) / np.sqrt(2 * np.pi * variances)
    joint = density.prod(2)
    return np.asarray(joint / joint.sum(1, keepdims=True))


def likelihood_nats(x: Tensor, mean: Tensor, log_scale: Tensor) -> Array:
    """-log p(x|z) of each value, from the logistic's distribution function."""
    levels, m, s = np.rint(array(x) * 255), array(mean), np.exp(array(log_scale))
    above = np.where(levels == 255, 1, 1 / (1 + np.exp(-((levels + 0.5) / 255 - m) / s)))
    below = np.where(levels == 0, 0, 1 / (1 + np.exp(-((levels - 0.5) / 255 - m) / s)))
    return np.asarray(-np.log(above - below))


@pytest.mark.parametrize("top", ["uniform", "learned"])
@pytest.mark.parametrize("free_bits", [0.0, 0.3])
def test_each_term_of_equation_5_is_what_the_definition_says(top: str, free_bits: float) -> None:
    model, x = make(top=top, free_bits=free_bits), pictures()
    with torch.no_grad():
        for codebook in model.codebooks:
            codebook.log_variance.normal_()  # type: ignore[operator, union-attr]
        torch.manual_seed(7)
        terms = {key: float(value) for key, value in model.loss(x, 0).items()}
        torch.manual_seed(7)
        state, features = model.start(2, (8, 4)), model.features(x)
        divergences = []
        for layer, size in enumerate(model.config.codebook):
            codebook = model.codebook(layer)
            parts = codebook.mean, codebook.log_variance
            q = responsibilities(model.encoder.embedding(layer, state, features[layer]), *parts)
            if layer or top == "learned":
                p = responsibilities(model.generator.embedding(layer, state), *parts)
            else:
                p = np.full_like(q, 1 / size)
            divergences.append(float((q * np.log(q / p)).sum()) / len(x))
            noise = -torch.log(-torch.log1p(-torch.rand(q.shape)))  # the model's own draw
            codes = (torch.from_numpy(np.log(q)) + noise).argmax(1, keepdim=True)
            state = model.advance(state, layer, codes)
        distortion = likelihood_nats(x, *model.likelihood(state)).mean()
    values = 3 * 8 * 4
    free = [free_bits * count for count in (2, 8, 8)]  # codes of each layer: 2x1, 4x2, 4x2
    assert terms["distortion"] == pytest.approx(distortion, rel=1e-4)
    for n, kl in enumerate(divergences, 1):
        assert terms[f"kl_{n}"] == pytest.approx(kl / values, rel=1e-3, abs=1e-6)
    floored = sum(max(a, b) for a, b in zip(divergences, free, strict=True)) / values
    assert terms["loss"] == pytest.approx(distortion + floored, rel=1e-4)
    bound = (distortion + sum(divergences) / values) / math.log(2)
    assert terms["bpd"] == pytest.approx(bound, rel=1e-4)


@pytest.mark.parametrize("size", [(8, 4), (5, 3)])
def test_the_bound_is_its_parts_and_counts_only_the_pictures_own_pixels(
    size: tuple[int, int],
) -> None:
    model, x = make(), pictures(3, size)
    torch.manual_seed(3)
    bits, divergences = model.parts(x)
    assert bits.shape == (3,) and divergences.shape == (3, 3)
    assert float(divergences.min()) >= -1e-4
    torch.manual_seed(3)
    found = model.bound(x)
    assert torch.allclose(found, (bits + divergences.sum(1)) / (3 * size[0] * size[1]))


def exact_bits(model: RRVQVAE, x: Tensor) -> float:
    """-log2 p(x) of one picture with a single code a layer, summed over all codes."""
    total, size = [], (x.shape[2], x.shape[3])

    def visit(state: Tensor, layer: int, log_p: float) -> None:
        if layer == len(model.layers):
            nats = likelihood_nats(x, *model.likelihood(state)).sum()
            total.append(log_p - nats)
            return
        table = model.prior(state, layer)[0, :, 0, 0].tolist()
        for code, log_p_code in enumerate(table):
            codes = torch.full((1, 1, 1, 1), code)
            visit(model.advance(state, layer, codes), layer + 1, log_p + log_p_code)

    with torch.no_grad():
        visit(model.start(1, size), 0, 0.0)
    return -float(np.logaddexp.reduce(total)) / math.log(2)


def test_more_samples_tighten_the_bound_towards_the_exact_likelihood() -> None:
    model = make((2,), (2,), (3, 4))
    x = pictures(1, (2, 2))
    truth = exact_bits(model, x) / 12
    torch.manual_seed(0)
    many = x.expand(64, -1, -1, -1)
    one, few, more = (float(model.bound(many, n).mean()) for n in (1, 4, 256))
    assert truth < few < one
    assert more == pytest.approx(truth, abs=0.01)


def test_prior_and_posterior_are_normalised_in_every_ablation() -> None:
    x = pictures()
    for parameterisation in ("embed", "direct"):
        for sigma in ("learnt", "fixed"):
            model = make(parameterisation=parameterisation, sigma=sigma)
            state, features = model.start(2, (8, 4)), model.features(x)
            for layer, codes in enumerate(model.encode(x)):
                for log_p in (
                    model.prior(state, layer), model.posterior(state, features, layer)
                ):  # fmt: skip
                    assert log_p.shape == (2, model.layers[layer].codebook, *codes.shape[2:])
                    assert torch.allclose(log_p.exp().sum(1), torch.ones(()), atol=1e-5)
                state = model.advance(state, layer, codes)


def test_the_ablations_differ_in_what_they_learn() -> None:
    direct, embed = make(parameterisation="direct"), make()
    assert direct.generator.strap[0][-1].weight.shape[0] == 4  # type: ignore[index, union-attr]
    assert embed.generator.strap[0][-1].weight.shape[0] == 3  # type: ignore[index, union-attr]
    fixed = {key for key, _ in make(sigma="fixed").named_parameters()}
    learnt = {key for key, _ in make().named_parameters()}
    assert learnt - fixed == {f"codebooks.{n}.log_variance" for n in range(3)}
    uniform, learned = make(), make(top="learned")
    assert torch.allclose(uniform.prior(uniform.start(1, (4, 4)), 0), torch.tensor(1 / 3).log())
    assert not torch.allclose(learned.prior(learned.start(1, (4, 4)), 0), torch.tensor(1 / 3).log())


def test_a_layer_that_is_missing_is_the_mean_embedding_the_prior_expects() -> None:
    model, x = make(), pictures()
    codes = model.encode(x)
    state = model.follow(codes[:2])
    mean = torch.einsum("bkhw,kd->bdhw", model.prior(state, 2).exp(), model.codebook(2).mean)
    expected = model.likelihood(model.generator.advance(2, state, mean))[0].clamp(0, 1)
    assert torch.allclose(model.decode(codes[:2]), expected, atol=1e-6)


def test_finer_codes_are_of_what_the_coarser_ones_leave() -> None:
    model, x = make(), pictures()
    codes, features = model.encode(x), model.features(x)
    state = model.start(2, (8, 4))
    for layer, expected in enumerate(codes):
        assert torch.equal(model.posterior(state, features, layer).argmax(1, True), expected)
        state = model.advance(state, layer, expected)


@pytest.mark.parametrize("decoder_scale", ["global", "predicted"])
def test_a_picture_far_outside_its_range_leaves_loss_and_gradients_finite(
    decoder_scale: str,
) -> None:
    model = make(decoder_scale=decoder_scale).train()
    for size in (1e3, 1e8):
        terms = model.loss(size * (pictures() - 0.5), 0)
        model.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        assert bool(terms["loss"].isfinite())
        for key, p in model.named_parameters():
            assert p.grad is not None and bool(p.grad.isfinite().all()), key


def test_training_lowers_the_bound_and_stays_finite_at_a_rate_far_too_high() -> None:
    for lr, lower in ((1e-2, True), (1.0, False)):
        model, x = make().train(), pictures(8)
        before = float(model.eval().bound(x).mean())
        optimizer = torch.optim.Adamax(model.train().parameter_groups(lr))
        for step in range(40):
            loss = model.loss(x, step)["loss"]
            assert bool(loss.isfinite())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1000.0)
            optimizer.step()
        if lower:
            assert float(model.eval().bound(x).mean()) < before - 0.5


def test_codebooks_and_the_scale_learn_at_rates_of_their_own() -> None:
    model = make(codebook_rate=5.0)
    rest, books, scale = model.parameter_groups(0.01)
    assert rest["lr"] == 0.01 and books["lr"] == pytest.approx(0.05)
    assert scale["lr"] == pytest.approx(0.1) and scale["params"][0] is model.decoder.log_scale
    named = {id(p) for key, p in model.named_parameters() if key.startswith("codebooks.")}
    assert {id(p) for p in books["params"]} == named
    assert sum(len(group["params"]) for group in (rest, books, scale)) == len(
        list(model.parameters())
    )


@pytest.mark.parametrize("entry", [1.0, 0.1])
def test_codes_enter_the_backbone_as_loudly_as_asked(entry: float) -> None:
    model, x = make(entry=entry).train(), pictures(8)
    model.initialize(x)
    for layer, ladder in enumerate(model.generator.ladder):
        seen: list[Tensor] = []
        hook = ladder.register_forward_hook(lambda _, __, y, seen=seen: seen.append(y))
        torch.manual_seed(2)
        model.loss(x, 0)
        hook.remove()
        assert float(seen[0].detach().std((0, 2, 3)).mean()) == pytest.approx(entry, rel=0.7), layer


def test_the_temperature_falls_to_its_least() -> None:
    model = make()
    assert [model.temperature(n) for n in (0, 100, 10**6)] == pytest.approx(
        [1.0, math.exp(-0.1), 0.5]
    )
