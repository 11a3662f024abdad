"""A small HR-VQVAE, pictures for it, and its search in plain Python."""

import math

import torch
from torch import Tensor

from hqcodec.models import zoo
from hqcodec.models.hr_vqvae import HRVQVAE
from hqcodec.models.linked import LinkedCodebooks

SIZES = (3, 2, 4)


def make(sizes: tuple[int, ...] = SIZES, **values: float) -> HRVQVAE:
    torch.manual_seed(0)
    shape = {"stride": 2, "codebook": sizes, "dim": 3, "width": 8, "blocks": 1}
    model = zoo.build("hr_vqvae", shape | values)
    assert isinstance(model, HRVQVAE)
    return model


def pictures(n: int = 3, side: int = 8) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


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
