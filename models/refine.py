"""Encoder effort: the latent of one picture, moved until that picture's own file is better.

The encoder was trained for all pictures; for one picture and a file of L layers we can do better by
descending on what training minimised (Campos et al. 2019; Yang, Bamler, Mandt 2020),

    J = D(y) / lambda_L + R,

D: squared error of the decoded picture, y: the sum of the L layers that the latent z is quantized
to, R: nats. The decoder is close to linear and orthonormal, so that around y

    D(v) ~ D(y) + g (v - y) + |v - y|^2 = |v - (y - g/2)|^2 + constant,  g = dD/dy,

and D(v) + lambda R is what quantizing the latent y - g/2 minimises already. So each step pulls z
towards y - g/2 (straight through the quantizer, with the commitment of training) and quantizes
anew; pulls shrink, since the model of D holds only nearby and codes change in jumps. The least J
wins, the start included. The format stays what it is: any decoder reads the file. Its first layers
alone, measured as means over pictures, were no worse at equal rate.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hqcodec.models.transforms import reach, spans

if TYPE_CHECKING:
    from hqcodec.models.photo import Photo

STEPS = {1: 0, 2: 3, 3: 16}  # of descent, at each effort
PULL = 0.9  # how far towards y - g/2, and by what factor that shrinks at each step
TILE = 64  # positions a side that are refined at a time: bounds the memory of the gradient
BOARD = 4  # tiles start at a multiple of this, so that they are coded in the picture's order


@torch.no_grad()
def refine(model: "Photo", x: Tensor, z: Tensor, layers: int, effort: int) -> Tensor:
    """The latent z [B,D,h,w] of pictures x [B,3,H,W], refined for files of so many layers.

    Weights, and what the model keeps, stay as they are; the same input gives the same result.
    """
    z = z.clone()
    for b in range(len(z)):
        refine_one(model, x[b : b + 1], z[b : b + 1], layers, STEPS[effort])
    return z


def refine_one(model: "Photo", x: Tensor, z: Tensor, layers: int, steps: int) -> None:
    """`refine` for one picture, in place and tile by tile; each sees what others became."""
    c = model.config
    margin = -(-reach(c.decoder_depth, (1, 0, 1)) // BOARD) * BOARD
    h, w = z.shape[-2:]
    tile = TILE if max(h, w) > TILE + 2 * margin else max(h, w)
    for top, bottom, above, below in spans(h, tile, margin):
        for left, right, before, behind in spans(w, tile, margin):
            piece = z[..., above:below, before:behind]
            free = torch.zeros_like(piece[:, :1])  # [1,1,h',w'], 1 where the latent may move
            free[..., top - above : bottom - above, left - before : right - before] = 1
            rows = slice(above * c.patch, below * c.patch)
            columns = slice(before * c.patch, behind * c.patch)
            piece.copy_(descend(model, x[..., rows, columns], piece, free, layers, steps))


def descend(model: "Photo", x: Tensor, z: Tensor, free: Tensor, layers: int, steps: int) -> Tensor:
    """The best of z and the latents that `steps` pulls lead to, where `free` is 1.

    x [1,3,H,W], z [1,D,h,w], free [1,1,h,w].
    """
    rate_lambda = model.config.rate_lambda(layers - 1)
    best, least = z, float("inf")
    for step in range(steps + 1):
        y, nats = model.quantized(z, layers)
        with torch.enable_grad():
            error = distortion(model, x, y.requires_grad_())
        cost = error.item() / rate_lambda + nats
        if cost < least:
            best, least = z, cost
        if step < steps:
            (gradient,) = torch.autograd.grad(error, y)
            z = z + free * PULL ** (step + 1) * (y.detach() - gradient / 2 - z)
    return best


def distortion(model: "Photo", x: Tensor, y: Tensor) -> Tensor:
    """Squared error of the picture [1,3,H,W] decoded from y [1,D,h,w].

    The float decoder, clamped as a file's pixels are; what pads the picture does not count.
    """
    x_hat = model.decoder(y)[..., : x.shape[-2], : x.shape[-1]].clamp(0, 1)
    error: Tensor = (x_hat - x).square().sum()
    return error
