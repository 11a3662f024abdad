"""The photo model's transforms: picture <-> latent, each a linear patch transform plus a branch.

Without the branches they are a 16x16 block transform, which principal components start near the
best linear one; the branches then learn what overlapping, nonlinear transforms add.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.exact import Conv, Residual, rectify, snap


@dataclass(frozen=True)
class PhotoConfig:
    """What fixes a photo model's shape and objective."""

    patch: int = 16  # pixels a position, each side
    scalars: int = 16  # groups of one dimension
    vectors: int = 44  # groups of `vector` dimensions
    vector: int = 4
    codebook: int = 32
    layers: int = 6
    step: float = 0.62  # quantizer step q_1 of the first layer; pixels are 0..1
    ratio: float = 1.55  # q_l / q_{l+1}
    rate_weight: float = 0.18  # lambda_l = rate_weight * q_l^2, squared error a nat
    balance: float = 0.3  # a sample of l layers weighs (lambda_l / lambda_1)^balance
    commitment: float = 1.0  # the posterior's own weight: 1 / 2 s_l^2 = 1 / lambda_l
    widths: tuple[int, ...] = (48, 96, 144)  # channels at strides 4, 8, 16
    encoder_depth: tuple[int, ...] = (1, 1, 2)  # residual blocks at these strides
    # Keys decoder_* shape the decoder alone: another decoder of the same codes may differ in them.
    decoder_widths: tuple[int, ...] = ()  # as the encoder's
    decoder_depth: tuple[int, ...] = (1, 2, 2)
    decoder_layers: tuple[int, ...] = ()  # that a batch's samples keep in training; () all alike
    context: int = 64  # hidden channels of the context models
    first_context: int = 128  # of the first layer's
    strong: int = 12  # vectors that are coded before the others
    order: str = "lattices"  # of layer 1's scalars; or "checkerboard", "static" (no contexts)
    constrained: bool = True  # choose codes by distance + lambda * nats; else the nearest
    linear_start: bool = True  # principal components; else random transforms

    def __post_init__(self) -> None:
        """Refuse codebooks that leave nothing to tell apart when a code is not 0."""
        if self.codebook < 3:
            raise HqcodecError(f"codebook {self.codebook}; want 3 codes or more")

    @property
    def dim(self) -> int:
        """Dimensions of a position's latent."""
        return self.scalars + self.vectors * self.vector

    @property
    def kinds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(groups, dimensions of a group) of scalars and vectors."""
        return (self.scalars, 1), (self.vectors, self.vector)

    def quantizer_step(self, layer: int) -> float:
        """q_l, on a grid of 2^-12 so that exact arithmetic can divide by it."""
        return round(self.step / self.ratio**layer * 4096) / 4096

    def rate_lambda(self, layer: int) -> float:
        """lambda_l: squared error (pixels 0..1, summed over a patch) that one nat is worth."""
        return self.rate_weight * self.quantizer_step(layer) ** 2

    def choice_lambda(self, layer: int, thrift: float) -> float:
        """By which codes are chosen: thrift * lambda_l, or 0 if they are the nearest."""
        return thrift * self.rate_lambda(layer) * self.constrained


def run(branch: nn.Sequential, h: Tensor) -> Tensor:
    """Apply the modules of a branch, a rectifier after each plain convolution."""
    for module in branch:
        h = rectify(module(h)) if isinstance(module, Conv) else module(h)
    return h


class Encoder(nn.Module):
    """g_a: linear patch transform plus a branch at strides 4, 8, 16. [B,3,H,W] -> [B,D,h,w]."""

    def __init__(self, c: PhotoConfig) -> None:
        """The branch's last layer starts at zero."""
        super().__init__()
        a, b, d = c.widths
        self.linear = nn.Conv2d(3, c.dim, c.patch, stride=c.patch)
        self.branch = nn.Sequential(
            nn.PixelUnshuffle(4), Conv(48, a, 3), *map(Residual, [a] * c.encoder_depth[0]),
            nn.PixelUnshuffle(2), Conv(4 * a, b, 3), *map(Residual, [b] * c.encoder_depth[1]),
            nn.PixelUnshuffle(2), Conv(4 * b, d), *map(Residual, [d] * c.encoder_depth[2]),
        )  # fmt: skip
        self.out = Conv(d, c.dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """[B,3,H,W], sides multiples of the patch -> [B,D,H/16,W/16]."""
        with torch.autocast(x.device.type, enabled=False):
            linear = self.linear(x.float())
        return linear + self.out(run(self.branch, x - 0.5)).float()  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """g_s: the encoder's mirror image, on exact modules. [B,D,h,w] -> [B,3,H,W]."""

    def __init__(self, c: PhotoConfig) -> None:
        """The branch's last layer starts at zero."""
        super().__init__()
        a, b, d = c.decoder_widths or c.widths
        self.linear = Conv(c.dim, 3 * c.patch**2)
        self.shuffle = nn.PixelShuffle(c.patch)
        self.branch = nn.Sequential(
            Conv(c.dim, d, 3), *map(Residual, [d] * c.decoder_depth[2]),
            Conv(d, 4 * b), nn.PixelShuffle(2), *map(Residual, [b] * c.decoder_depth[1]),
            Conv(b, 4 * a), nn.PixelShuffle(2), *map(Residual, [a] * c.decoder_depth[0]),
        )  # fmt: skip
        self.out = nn.Sequential(Conv(a, 48, 3), nn.PixelShuffle(4))
        nn.init.zeros_(self.out[0].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.out[0].bias)  # type: ignore[arg-type]

    def forward(self, y: Tensor) -> Tensor:
        """[B,D,h,w] -> [B,3,16h,16w], not clamped."""
        y = snap(y)
        with torch.autocast(y.device.type, enabled=False):
            linear = self.shuffle(self.linear(y))
        return linear + self.out(run(self.branch, y)).to(linear.dtype)  # type: ignore[no-any-return]


def reach(depths: tuple[int, ...], convs: tuple[int, ...]) -> int:
    """Positions (of 16 pixels) that a transform sees beyond its own.

    depths: residual blocks at strides 4, 8, 16; convs: 3x3 convolutions beside them.
    """
    pixels = sum((2 * d + n) * s for d, n, s in zip(depths, convs, (4, 8, 16), strict=True))
    return -(-pixels // 16)


def tiled(
    f: Callable[[Tensor], Tensor], x: Tensor, tile: int, margin: int, sides: tuple[int, int]
) -> Tensor:
    """f(x) [B,C',h',w'] for a local map f, computed tile by tile so that memory stays bounded.

    sides: how many input and output pixels make a position (one is a multiple of the other);
    tile, margin: positions. A tile is cut with `margin` positions around it, as far as the picture
    goes, and the margin is dropped from the result; so no seam can show.
    """
    into, out = sides
    h, w = x.shape[-2] // into, x.shape[-1] // into
    if max(h, w) <= tile + 2 * margin:
        return f(x)
    result: Tensor | None = None
    for top, bottom, above, below in spans(h, tile, margin):
        for left, right, before, behind in spans(w, tile, margin):
            piece = f(x[..., above * into : below * into, before * into : behind * into])
            if result is None:
                result = piece.new_empty(*piece.shape[:2], h * out, w * out)
            rows = slice((top - above) * out, (bottom - above) * out)
            columns = slice((left - before) * out, (right - before) * out)
            target = result[..., top * out : bottom * out, left * out : right * out]
            target.copy_(piece[..., rows, columns])
    assert result is not None
    return result


def spans(length: int, tile: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, start with margin, end with margin) of each tile along an axis."""
    for start in range(0, length, tile):
        end = min(start + tile, length)
        yield start, end, max(start - margin, 0), min(end + margin, length)
