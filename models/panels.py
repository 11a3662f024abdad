"""Weights of exact layers as whole numbers, laid out for the compiled products of c/product.h."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from hqcodec.models.narrow import FINEST, GRID, Conv, Linear

LANES = 16  # as in c/product.h


class Panels(NamedTuple):
    """Weights of a product or of a convolution, laid out for c/product.h."""

    weight: Tensor  # [outputs/LANES,taps,pairs,LANES,2] int16: of pairs of inputs
    bias: Tensor | None  # [outputs] float32
    unit: float  # of sums of products of whole numbers
    channels: int  # outputs without padding
    kernel: int
    dilation: int

    @property
    def outputs(self) -> int:
        """In whole LANES."""
        return self.weight.shape[0] * LANES


def panels(weight: Tensor, bias: Tensor | None, bits: int, dilation: int = 1) -> Panels:
    """Of a weight [outputs,inputs] or [outputs,inputs,k,k], of multiples of 2^-bits."""
    (outputs, inputs), kernel = weight.shape[:2], weight.shape[2] if weight.dim() > 2 else 1
    whole = weight.double().mul(2.0**bits).reshape(outputs, inputs, -1).to(torch.int16)
    padded = pad(whole, (0, 0, 0, inputs % 2, 0, -outputs % LANES))
    pairs = padded.view(-1, LANES, (inputs + 1) // 2, 2, kernel**2)
    if bias is not None:
        bias = pad(bias.float(), (0, -outputs % LANES))
    laid, unit = pairs.permute(0, 4, 2, 1, 3).contiguous(), 2.0**-bits / GRID
    return Panels(laid, bias, unit, outputs, kernel, dilation)


def bits_of(weight: Tensor) -> int:
    """Behind the point, of weights of a fixed layer."""
    for bits in range(FINEST + 1):
        whole = weight * 2.0**bits
        if torch.equal(whole, whole.round()):
            return bits
    raise ValueError(f"weights that are no multiples of 2^-{FINEST}")


def panels_of(module: nn.Module) -> Panels:
    """Of a layer."""
    assert isinstance(module, Conv | Linear)
    dilation = module.dilation[0] if isinstance(module, Conv) else 1
    return panels(module.weight, module.bias, bits_of(module.weight), dilation)
