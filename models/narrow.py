"""Exact arithmetic in float32: coarser than exact.py's and twice as fast, for the context models.

What enters a product is a multiple of 2^-5 within +-16, and weights are multiples of a power of two
that `fix` chooses for each layer: the finest for which no sum can leave the 24 bits of a float32.
So nothing is ever rounded inside a sum, in whatever order it is taken. Between products everything
is elementwise, and rounds alike on every machine.

A library may be told to compute float32 products in a narrower type. `wide_enough` asks whether
this one does; if so products go through float64, with the same results. Tensors have their channels
last, as rows of a matrix.
"""

import copy
from collections.abc import Callable
from functools import cache, wraps
from math import floor, log2
from typing import Concatenate, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID, LIMIT = 2.0**5, 16.0  # of what enters a product
FACTOR_GRID = 2.0**8  # of other parameters, within the same limit
SLOPE = 0.125  # of the leaky rectifier
FINEST = 14  # bits behind the point of a weight; half-precision ones have hardly more
BLOCK = 1024  # rows that a convolution sums at a time, to stay in the cache

EVERYWHERE = slice(None)

M = TypeVar("M", bound=nn.Module)
N = TypeVar("N", bound="Narrow")


def snap(x: Tensor) -> Tensor:
    """Nearest multiple of 2^-5 within +-16: any shape."""
    return x.mul(GRID).round_().clamp_(-LIMIT * GRID, LIMIT * GRID).mul_(1 / GRID)


class Narrow(nn.Module):
    """A part of a network that runs in floating point until `fix` makes an exact twin of it."""

    fixed = False

    def rectify(self, x: Tensor) -> Tensor:
        """Leaky rectifier, ready to enter a product: any shape."""
        x = F.leaky_relu(x, SLOPE)
        return snap(x) if self.fixed else x

    def enter(self, x: Tensor) -> Tensor:
        """`x` as it may enter a product: any shape."""
        return snap(x) if self.fixed else x


P = ParamSpec("P")
T = TypeVar("T")


def exactly(f: Callable[Concatenate[N, P], T]) -> Callable[Concatenate[N, P], T]:
    """A method of a `Narrow` in which autocast lets a fixed network's products be."""

    @wraps(f)
    def plain(self: N, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not (self.fixed and torch.is_autocast_enabled("cpu")):
            return f(self, *args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return f(self, *args, **kwargs)

    return plain


class Conv(nn.Conv2d):
    """A convolution of odd kernel and same size, channels last."""

    fixed = False

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, bias: bool = True, dilation: int = 1
    ) -> None:
        """Zero padding keeps the size: [B,h,w,inputs] -> [B,h,w,outputs]."""
        pad = kernel // 2 * dilation
        super().__init__(inputs, outputs, kernel, padding=pad, bias=bias, dilation=dilation)

    def forward(self, x: Tensor, where: Tensor | slice = EVERYWHERE) -> Tensor:
        """[B,h,w,inputs] -> [n,outputs] at some of the B*h*w positions."""
        if not self.fixed:
            return super().forward(x.movedim(-1, 1)).movedim(1, -1).flatten(0, 2)[where]
        pad = self.kernel_size[0] // 2 * self.dilation[0]
        flat = F.pad(x, (0, 0, pad, pad, pad, pad + 1)).flatten(0, 2).to(self.weight.dtype)
        if isinstance(where, slice):
            return self._everywhere(flat, x.shape)[where].to(x.dtype)
        return self._somewhere(flat, x.shape, where).to(x.dtype)

    def _taps(self, wide: int) -> Tensor:
        """How far behind the first each tap reads, in rows of padded pictures [k*k]."""
        steps = self.dilation[0] * torch.arange(self.kernel_size[0])
        return (steps[:, None] * wide + steps).flatten()

    def _everywhere(self, flat: Tensor, shape: torch.Size) -> Tensor:
        """A product for each tap, of rows that lie side by side: [B*h*w,outputs]."""
        (B, h, w, _), pad = shape, self.kernel_size[0] // 2 * self.dilation[0]
        wide, high = w + 2 * pad, h + 2 * pad + 1
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 1).contiguous()  # [k*k,I,O]
        out = flat.new_empty(B, h * wide, self.out_channels)
        for number, picture in enumerate(out):
            for start in range(0, h * wide, BLOCK):
                block, at = picture[start : start + BLOCK], number * high * wide + start
                block.zero_() if self.bias is None else block.copy_(self.bias)
                for shift, tap in zip((at + self._taps(wide)).tolist(), weight, strict=True):
                    block.addmm_(flat[shift : shift + len(block)], tap)
        return out.view(B, h, wide, -1)[:, :, :w].reshape(B * h * w, -1)

    def _somewhere(self, flat: Tensor, shape: torch.Size, where: Tensor) -> Tensor:
        """One product of rows that are gathered first: [n,outputs] at flat positions [n]."""
        (_, h, w, _), pad = shape, self.kernel_size[0] // 2 * self.dilation[0]
        wide, row = w + 2 * pad, where // w  # rows of all pictures, one above the other
        place = (row + row // h * (2 * pad + 1)) * wide + where % w  # where the first tap reads
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [k*k*I,O]
        out = flat.new_empty(len(where), self.out_channels)
        for block, part in zip(torch.split(out, BLOCK), torch.split(place, BLOCK), strict=True):
            seen = flat.index_select(0, (part[:, None] + self._taps(wide)).flatten())
            torch.mm(seen.view(len(part), -1), weight, out=block)
        return out if self.bias is None else out.add_(self.bias)


class Linear(nn.Linear):
    """A matrix product over rows."""

    fixed = False

    def forward(self, x: Tensor, part: slice = EVERYWHERE) -> Tensor:
        """[...,inputs] -> [...,outputs], or a part of the outputs."""
        return product(x, self.weight[part], self.bias[part])

    def side_by_side(self, *parts: Tensor) -> Tensor:
        """Of inputs that come in parts: [...,inputs_i] -> [...,outputs]."""
        if not self.fixed:
            return F.linear(torch.cat(parts, -1), self.weight, self.bias)
        weights = torch.split(self.weight.T, [x.shape[-1] for x in parts])
        out = self.bias.repeat(parts[0][..., 0].numel(), 1)
        for x, weight in zip(parts, weights, strict=True):
            out.addmm_(x.flatten(0, -2).to(weight.dtype), weight)
        return out.view(*parts[0].shape[:-1], -1).to(parts[0].dtype)


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x weight^T + bias, through the weights' type if that is wider: [...,I], [O,I] -> [...,O]."""
    if weight.dtype == torch.float64:
        return F.linear(x.double(), weight, bias).to(x.dtype)
    return F.linear(x, weight, bias)


def fix(module: M) -> M:
    """The exact twin of a network of this module's layers, on the CPU.

    Its other parameters are rounded to multiples of 2^-8 within +-16. Raises ValueError if weights
    of a layer are so large that they would have to be rounded to more than whole numbers.
    """
    twin = copy.deepcopy(module).cpu().float().eval().requires_grad_(False)
    exact = torch.float32 if wide_enough() else torch.float64
    done: set[int] = set()
    for name, layer in twin.named_modules():
        if isinstance(layer, Narrow):
            layer.fixed = True
        if not isinstance(layer, Conv | Linear):
            continue
        layer.fixed = True
        bits = bits_behind(layer.weight, layer.bias)
        if bits < 0:
            raise ValueError(f"weights of {name} are too large for exact decoding")
        for p in layer.parameters():
            p.copy_((p * 2.0**bits).round() / 2.0**bits)
            done.add(id(p))
    for p in twin.parameters():
        if id(p) not in done:
            p.mul_(FACTOR_GRID).round_().div_(FACTOR_GRID).clamp_(-LIMIT, LIMIT)
    for layer in twin.modules():
        if isinstance(layer, Conv | Linear):
            layer.to(exact)
    return twin


def bits_behind(weight: Tensor, bias: Tensor | None) -> int:
    """The finest grid of weights [O,...], in bits behind the point, whose sums have 24 bits.

    Rounding can lengthen a sum by half a step a weight, which the bound leaves room for.
    """
    size = weight.abs().double().flatten(1).sum(1) * LIMIT
    if bias is not None:
        size = size + bias.abs().double()
    worst, terms = float(size.max()), weight[0].numel()
    for bits in range(min(FINEST, floor(23 - log2(GRID))), -1, -1):
        step = 2.0**-bits
        if (worst + (terms * LIMIT + 1) * step / 2) * GRID / step < 2**24:
            return bits
    return -1


def wide_enough() -> bool:
    """Whether float32 products keep 24 bits now: so set, and so found in a product."""
    try:
        if torch.get_float32_matmul_precision() != "highest":
            return False
    except RuntimeError:  # set by torch's newer switches, which the probe sees
        pass
    a, b, exact = probe()
    with torch.autocast("cpu", enabled=False):
        return torch.equal(a @ b, exact)


@cache
def probe() -> tuple[Tensor, Tensor, Tensor]:
    """Two float32 matrices whose product float32 can hold, and that product: each [128,128]."""
    number = torch.arange(128 * 128, dtype=torch.float64).view(128, 128)
    a, b = (number * 7919 % 509) - 254, (number * 104_729 % 503) - 251  # sums below 2^23
    return a.float(), b.float(), (a @ b).float()
