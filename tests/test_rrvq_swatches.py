"""App. B of the RRVQ-VAE paper: pictures of one colour, and what priors make of them."""

import torch
from torch import Tensor

from hqcodec.models.rrvq_vae import RRVQVAE, RRVQConfig
from hqcodec.models.sample import draw

SIDE = 8
COLOURS = torch.tensor(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1],
     [0.5, 0.5, 0.5]]
)  # fmt: skip


def swatches(n: int, generator: torch.Generator) -> Tensor:
    """[n,3,8,8], each of one of nine colours."""
    chosen = COLOURS[torch.randint(len(COLOURS), (n,), generator=generator)]
    return chosen[:, :, None, None].expand(-1, -1, SIDE, SIDE).contiguous()


def spread(x: Tensor) -> float:
    """Mean deviation of the 2x2 patches' colours within a picture [N,3,8,8]."""
    patches = torch.nn.functional.avg_pool2d(x, 2).flatten(2)
    return float(patches.std(2).mean().detach())


def spreads(resolutions: tuple[int, ...], sigma: str) -> tuple[float, float]:
    """Of reconstructions and of samples, after a short training."""
    torch.manual_seed(0)
    generator, layers = torch.Generator().manual_seed(0), len(resolutions)
    config = RRVQConfig(
        resolutions, (1,) * layers, (16,) * layers, dim=8, width=12, blocks=1, ladder_blocks=0,
        sigma=sigma, temperature=0.7, last_temperature=0.3, temperature_decay=1e-2,
    )  # fmt: skip
    model = RRVQVAE(config)
    model.initialize(swatches(64, generator))
    optimizer = torch.optim.Adamax(model.train().parameter_groups(1e-2))
    for step in range(100):
        loss = model.loss(swatches(32, generator), step)["loss"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    with torch.no_grad():
        shown = model.decode(model.encode(swatches(32, generator)))
    return spread(shown), spread(torch.stack(list(draw(model, 32, (SIDE, SIDE)))))


def test_samples_of_one_layer_are_patchworks_and_those_of_a_hierarchy_have_one_colour() -> None:
    flat_shown, flat_drawn = spreads((2,), "fixed")  # the rVQ-VAE
    deep_shown, deep_drawn = spreads((8, 4, 2), "learnt")  # the RRVQ-VAE, up to one code
    assert flat_shown < 0.06 and deep_shown < 0.06
    assert flat_drawn > 2 * flat_shown
    assert deep_drawn < flat_drawn / 2
