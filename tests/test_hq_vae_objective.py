"""HQ-VAE's objectives, each term against the equation worked out in plain Python."""

import math

import pytest
import torch
from torch import Tensor

from hierarchies import make
from hqcodec.models.hq_vae import HQVAE


def pictures(n: int = 3, side: int = 8) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def top_down(model: HQVAE, x: Tensor) -> tuple[list[Tensor], list[list[Tensor]], list[Tensor]]:
    """For each resolution: G^r, the Z_l of its chain, V^r; most likely codes, by the definition."""
    codes = iter(model.encode(x))
    layer = 0
    targets: list[Tensor] = []
    chains: list[list[Tensor]] = []
    variables: list[Tensor] = []
    for r, feature in enumerate(model.encoder.bottom_up(x)):
        above = model.upsample[r - 1](variables[-1]) if r else None
        targets.append(model.encoder.target(r, feature, above))
        chain = []
        for _ in range(model.config.chain[r]):
            chain.append(model.quantizer(layer).decode(next(codes)))
            layer += 1
        chains.append(chain)
        variables.append(sum(chain, torch.zeros(()) if above is None else above))
    return targets, chains, variables


def squares(a: Tensor, b: Tensor) -> float:
    """Sum of squared differences, added up in float64 outside torch's means."""
    return math.fsum(
        (p - q) ** 2 for p, q in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
    )


def posterior_entropy(model: HQVAE, layer: int, z: Tensor) -> float:
    """Entropy of eq 2 summed over the positions of z [B,2*3,h,w], in plain Python."""
    slot = layer if model.config.shared_codebook else 0
    quantizer, total = model.quantizer(layer), 0.0
    s2 = math.exp(quantizer.get_parameter("log_variance").tolist()[slot])
    for g in range(2):
        vectors = z[:, 3 * g : 3 * g + 3].movedim(1, -1).reshape(-1, 3).tolist()
        for v in vectors:
            d = [math.dist(v, b) ** 2 for b in quantizer.codebook[g].tolist()]
            w = [math.exp((min(d) - e) / (2 * s2)) for e in d]
            total -= math.fsum(p / sum(w) * math.log(p / sum(w)) for p in w)
    return total


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("resolutions", "chain"), [((4,), (2,)), ((4, 2), (1, 1)), ((4, 2), (2, 1))]
)
def test_each_term_of_the_stochastic_objective_is_that_of_equations_6_14_and_26(
    resolutions: tuple[int, ...], chain: tuple[int, ...], shared: bool
) -> None:
    model, x = make(resolutions, chain, shared=shared).eval(), pictures()
    with torch.no_grad():
        for n, quantizer in enumerate(model.quantizers):
            log_s2 = torch.arange(len(quantizer.get_parameter("log_variance"))) / 4 + n / 3 - 3
            quantizer.get_parameter("log_variance").copy_(log_s2)
        targets, chains, variables = top_down(model, x)
        terms = {k: float(v) for k, v in model.loss(x, 0).items()}
        x_hat = model.decoder(variables[-1])
        latent, entropy, layer = 0.0, 0.0, 0
        for target, zs in zip(targets, chains, strict=True):
            s2 = sum(float(model.variance(layer + n)) for n in range(len(zs)))
            latent += squares(target, torch.stack(zs).sum(0)) / (2 * s2)
            for n in range(len(zs)):
                entropy += posterior_entropy(model, layer, target - sum(zs[:n], torch.zeros(())))
                layer += 1
    mse = squares(x, x_hat) / x.numel()
    assert terms["distortion"] == pytest.approx(math.log(mse) / 2, rel=1e-4)
    assert terms["latent"] == pytest.approx(latent / x.numel(), rel=1e-4)
    assert terms["entropy"] == pytest.approx(entropy / x.numel(), rel=1e-3)
    assert terms["psnr"] == pytest.approx(10 * math.log10(1 / mse), rel=1e-4)
    total = terms["distortion"] + terms["latent"] - terms["entropy"]
    assert terms["loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(("resolutions", "chain"), [((4,), (1,)), ((4,), (3,)), ((4, 2), (2, 1))])
def test_each_term_of_the_deterministic_objective_is_that_of_equations_7_and_15(
    resolutions: tuple[int, ...], chain: tuple[int, ...]
) -> None:
    model, x = make(resolutions, chain, "ema").eval(), pictures()
    with torch.no_grad():
        targets, chains, variables = top_down(model, x)
        terms = {k: float(v) for k, v in model.loss(x, 0).items()}
        x_hat = model.decoder(variables[-1])
    commitment = sum(
        squares(target, torch.stack(zs[: n + 1]).sum(0))
        for target, zs in zip(targets, chains, strict=True)
        for n in range(len(zs))
    )
    assert terms["distortion"] == pytest.approx(squares(x, x_hat) / x.numel(), rel=1e-4)
    assert terms["latent"] == pytest.approx(0.25 * commitment / x.numel(), rel=1e-4)
    assert terms["entropy"] == 0
    assert terms["loss"] == pytest.approx(terms["distortion"] + terms["latent"], rel=1e-5)


def test_the_progressive_objective_adds_a_distortion_for_each_resolution() -> None:
    model, x = make((4, 2), (2, 2), progressive=True).eval(), pictures()
    with torch.no_grad():
        _, _, variables = top_down(model, x)
        coarse = model.decoder(model.upsample[0](variables[0]))  # the finer layers are zero
        errors = [squares(x, x_hat) / x.numel() for x_hat in (coarse, model.decoder(variables[1]))]
        distortion = float(model.loss(x, 0)["distortion"])
    assert distortion == pytest.approx(sum(math.log(e) / 2 for e in errors), rel=1e-4)


def test_the_most_likely_variance_leaves_a_constant_of_the_quadratic_term() -> None:
    mse = 0.03  # D/2 log s + D mse / 2 s is least at s = mse, where it is D/2 (log mse + 1)
    best = min((math.log(s) + mse / s, s) for s in (0.01, 0.02, mse, 0.04, 0.05))
    assert best[1] == mse and best[0] == pytest.approx(math.log(mse) + 1)
