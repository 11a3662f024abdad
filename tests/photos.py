"""Small pictures and a small photo model, made on the spot."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from hqcodec.models.photo import Photo
from hqcodec.models.transforms import PhotoConfig

SMALL = PhotoConfig(
    scalars=4, vectors=9, codebook=8, layers=3, widths=(8, 8, 8), encoder_depth=(1, 1, 1),
    decoder_depth=(1, 1, 1), context=12, first_context=12, strong=4,
)  # fmt: skip


def pictures(n: int, side: int, seed: int = 1) -> Tensor:
    """Smooth random pictures [n,3,side,side] in 0..1 with an edge in each."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=g)
    x = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
    row = torch.arange(side) / side
    edge = (row[:, None] + torch.rand(n, 1, 1, 1, generator=g) * row > 0.8) * 0.3
    fine = torch.rand(n, 3, side, side, generator=g) * 0.05
    return (x * 0.6 + edge + fine).clamp(0, 1)


@cache
def small_photo() -> Photo:
    """A model of three layers after a few steps of training, so that no branch is zero."""
    torch.manual_seed(0)
    model = Photo(SMALL)
    x = pictures(48, 64)
    model.initialize(x)
    optimizer = torch.optim.Adam(model.parameter_groups(1e-3))
    for step in range(12):
        optimizer.zero_grad()
        model.loss(x[step % 4 * 12 :][:12], step)["loss"].backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimizer.step()
    with torch.no_grad():  # as a weights file would round
        for p in model.parameters():
            p.copy_(p.half())
    return model.requires_grad_(False).eval()
