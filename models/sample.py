"""New pictures and sounds from a model's own probabilities: codes drawn as they are coded.

Ancestral sampling of P(z_1) P(z_2 | z_1) ... A model that is generative by itself draws a layer at
once from its own conditional distribution. For all others the entropy coder's tables are the
distribution: every model that can be a codec can be sampled, and what is drawn shows what its
tables know.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models.base import Model, count


@torch.no_grad()
def sample(
    model: Model,
    size: tuple[int, int],
    layers: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    given: Sequence[Tensor] = (),
) -> list[Tensor]:
    """Codes [1,groups,h,w] of one picture of `size` (H, W), a tensor a layer, for `Model.decode`.

    layers: how many to draw, coarse to fine; by default all. temperature: above 0; 1 draws from the
    model's probabilities p, others from p^(1/temperature), scaled to sum to 1. given: codes of the
    coarsest layers, [1,groups,h,w] each, kept as they are. Equal seeds draw equal codes.
    Raises HqcodecError for a temperature or number of layers that is none.
    """
    wanted = len(model.layers) if layers is None else layers
    if not temperature > 0:
        raise HqcodecError(f"temperature {temperature}; it is above 0")
    if not 1 <= wanted <= len(model.layers):
        raise HqcodecError(f"{wanted} layers; the model has 1 to {len(model.layers)}")
    generator = torch.Generator().manual_seed(seed)
    codes = [layer[0].cpu() for layer in given[:wanted]]
    for n in range(len(codes), wanted):
        current = torch.zeros(model.code_shape(n, size), dtype=torch.int64)
        device = next(model.parameters()).device
        own = model.log_prior([layer[None].to(device) for layer in codes], size)
        if own is not None:
            rows = (own[0].cpu() / temperature).softmax(0).flatten(1).T  # [h*w,K]
            drawn = torch.multinomial(rows, 1, generator=generator)
            codes.append(drawn.view_as(current))
            continue
        for batch in model.tables(codes, current):
            p = (batch.frequencies + 1).pow(1 / temperature)
            rows = p.expand(count(batch.where), -1)
            drawn = torch.multinomial(rows / rows.amax(1, keepdim=True), 1, generator=generator)
            current.view(-1)[batch.where] = drawn[:, 0] + batch.first
        codes.append(current)
    return [layer[None] for layer in codes]


def draw(
    model: Model,
    count: int,
    size: tuple[int, int],
    layers: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> Iterator[Tensor]:
    """`count` pictures [3,H,W] in 0..1, drawn as by `sample` with seeds seed, seed + 1, ...

    Sounds are [channels,samples] of size (channels, samples).
    """
    for n in range(count):
        codes = sample(model, size, layers, temperature, seed + n)
        device = next(model.parameters()).device
        yield model.decode([layer.to(device) for layer in codes], size)[0].cpu()
