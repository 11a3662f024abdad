"""Arithmetic that gives the same bits on every machine: fixed point, carried in float64.

Every weight is a multiple of 2^-16 and every activation a multiple of 2^-12, clamped to +-512. So
each product is a multiple of 2^-28, and while a sum stays below 2^25 it fits the 53 bits of a
float64: nothing is ever rounded inside a sum, and no order of summation, no fused multiply-add, no
number of threads can change it. `exact_copy` proves the bound for the weights at hand. Rounding
happens only in `snap`, which is elementwise. The same modules run in float32 or bfloat16 for
training, where `snap` does nothing.
"""

import copy
from decimal import Context, Decimal, localcontext
from functools import cache
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.models.base import TOTAL, frequencies

WEIGHT_GRID = 2.0**16
GRID = 2.0**12
LIMIT = 512.0
SLOPE = 0.125  # of the leaky rectifier: a power of two, so that it only shifts

LOGIT_GRID = 64  # steps a nat
EXP_BITS = 20
MOST_ODDS = 16  # nats that log odds are clamped to; beyond lies the least probability there is

BLOCK = 2048  # positions that an exact convolution sums at a time, to stay in the cache

M = TypeVar("M", bound=nn.Module)


def snap(x: Tensor) -> Tensor:
    """Nearest activation on the grid, if `x` is float64; any other dtype passes unchanged."""
    if x.dtype != torch.float64:
        return x
    return x.mul(GRID).round_().clamp_(-LIMIT * GRID, LIMIT * GRID).mul_(1 / GRID)


def rectify(x: Tensor) -> Tensor:
    """Leaky rectifier, then `snap`: any shape."""
    return snap(F.leaky_relu(x, SLOPE))


class Conv(nn.Conv2d):
    """A convolution of odd kernel and same size; in float64 by a matrix product for each tap.

    Libraries may compute a convolution by transforms (Winograd, FFT) that round on the way; a
    matrix product only adds products, which is exact here.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, bias: bool = True, dilation: int = 1
    ) -> None:
        """Zero padding keeps the size: [B,inputs,h,w] -> [B,outputs,h,w]."""
        pad = kernel // 2 * dilation
        super().__init__(inputs, outputs, kernel, padding=pad, bias=bias, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """[B,inputs,h,w] -> [B,outputs,h,w]."""
        if x.dtype != torch.float64:
            return super().forward(x)
        kernel, apart = self.kernel_size[0], self.dilation[0]
        pad = kernel // 2 * apart
        B, C, h, w = x.shape
        if kernel > 1:
            x = F.pad(x, (pad, pad, pad, pad + 1))  # one row more, so that every shift stays inside
        wide = w + 2 * pad  # rows keep their padding, so a shift of the picture is a slice
        taps = [
            (apart * (row * wide + column), self.weight[:, :, row, column].contiguous())
            for row in range(kernel)
            for column in range(kernel)
        ]
        out = x.new_empty(B, self.out_channels, h * wide)
        for flat, result in zip(x.reshape(B, C, -1), out, strict=True):
            for start in range(0, h * wide, BLOCK):
                end = min(start + BLOCK, h * wide)
                total = torch.zeros_like(result[:, start:end])
                for shift, weight in taps:
                    total.addmm_(weight, flat[:, start + shift : end + shift])
                result[:, start:end] = total
        out = out.view(B, -1, h, wide)[..., :w]
        return out.contiguous() if self.bias is None else out + self.bias[:, None, None]


class Residual(nn.Module):
    """x + conv(rectify(conv(x))), both 3x3: [B,C,h,w] -> [B,C,h,w]."""

    def __init__(self, width: int) -> None:
        """The branch starts at zero, so that a stack of them starts as the identity."""
        super().__init__()
        self.first = Conv(width, width, 3)
        self.second = Conv(width, width, 3)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] -> [B,C,h,w]."""
        return snap(x + self.second(rectify(self.first(x))))


def exact_copy(module: M) -> M:
    """`module` in float64 with weights on the grid, on the CPU.

    Raises ValueError if a sum could leave the 53 bits, which takes weights far outside training's.
    """
    twin = copy.deepcopy(module).cpu().double().eval().requires_grad_(False)
    for p in twin.parameters():
        p.copy_((p * WEIGHT_GRID).round() / WEIGHT_GRID)
    for name, layer in twin.named_modules():
        if isinstance(layer, nn.Conv2d):
            worst = layer.weight.abs().flatten(1).sum(1) * LIMIT  # [outputs]
            if layer.bias is not None:
                worst = worst + layer.bias.abs()
            if not bool((worst < 2.0**25).all()):
                raise ValueError(f"weights of {name} are too large for exact decoding")
    return twin


@cache
def exponentials() -> Tensor:
    """round(2^20 exp(-i/64)) for i = 0, 1, ... until it is 0: float64, from decimal arithmetic."""
    scale = Decimal(2**EXP_BITS)
    values: list[int] = []
    with localcontext(Context(prec=40)):
        while not values or values[-1]:
            exact = scale * (Decimal(-len(values)) / LOGIT_GRID).exp()
            values.append(int(exact.to_integral_value()))
    return torch.tensor(values, dtype=torch.float64)


def softmax_frequencies(logits: Tensor) -> Tensor:
    """Frequencies of `Batch` for logits on the grid: [...,K] float64 -> [...,K] float64."""
    table = exponentials()
    logits = logits.float()  # exact: multiples of 2^-12 up to 512 have 21 bits
    behind = logits.amax(-1, keepdim=True) - logits
    index = behind.mul_(LOGIT_GRID).round_().clamp_(max=len(table) - 1).to(torch.int32)
    return frequencies(table.index_select(0, index.flatten()).view(index.shape))


@cache
def falls() -> Tensor:
    """Frequencies of 0 and of more, [2049,2] float64, for log odds i/64 of more, i = -1024..1024.

    The first is round((2^24 - 2) / (1 + exp(i/64))), from decimal arithmetic.
    """
    with localcontext(Context(prec=40)):
        reach = range(-MOST_ODDS * LOGIT_GRID, MOST_ODDS * LOGIT_GRID + 1)
        exact = ((TOTAL - 2) / (1 + (Decimal(i) / LOGIT_GRID).exp()) for i in reach)
        none = torch.tensor([int(x.to_integral_value()) for x in exact], dtype=torch.float64)
    return torch.stack([none, TOTAL - 2 - none], -1)


def odds_frequencies(log_odds: Tensor) -> Tensor:
    """Frequencies of `Batch` for 0 and for more, given log odds of more: [n] -> [n,2] float64."""
    middle = MOST_ODDS * LOGIT_GRID
    index = log_odds.mul(LOGIT_GRID).round_().clamp_(-middle, middle).add_(middle)
    return falls().index_select(0, index.to(torch.int32))
