"""Weight-normalised convolutions, residual blocks of them, and their data-dependent start.

(Salimans and Kingma 2016; ELU and residual blocks as in Kingma et al. 2016.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BRANCH = 0.1  # deviation of a residual branch at the start: 32 layers stay near the identity
TINY = 1e-4  # deviation of a channel that counts as constant


class Conv(nn.Conv2d):
    """A weight-normalised convolution of odd kernel: weight = gain * v / |v|, a gain an output."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        """[B,inputs,h,w] -> [B,outputs,h/stride,w/stride]; sides are multiples of the stride."""
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        self.gain = nn.Parameter(self.weight.detach().flatten(1).norm(dim=1))
        self.deviation = 1.0  # of its outputs after a data-dependent start

    def forward(self, x: Tensor) -> Tensor:
        """[B,inputs,h,w] -> [B,outputs,h/stride,w/stride]."""
        direction = F.normalize(self.weight.flatten(1), dim=1).view_as(self.weight)
        weight = direction * self.gain[:, None, None, None]
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Up(nn.ConvTranspose2d):
    """A weight-normalised transposed convolution: [B,inputs,h,w] -> [B,outputs,2h,2w]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Its kernel has 4 x 4 taps, of which each pixel sees 2 x 2."""
        super().__init__(inputs, outputs, 4, stride=2, padding=1)
        self.gain = nn.Parameter(self.weight.detach().movedim(0, 1).flatten(1).norm(dim=1))
        self.deviation = 1.0

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """[B,inputs,h,w] -> [B,outputs,2h,2w]."""
        direction = F.normalize(self.weight, dim=(0, 2, 3))  # type: ignore[arg-type]
        weight = direction * self.gain[:, None, None]
        return F.conv_transpose2d(x, weight, self.bias, stride=2, padding=1)


class Block(nn.Module):
    """x + conv(ELU(conv(ELU(x)))); `scale` -1 halves the sides, 1 doubles them."""

    def __init__(self, width: int, scale: int = 0) -> None:
        """[B,width,h,w] -> the same, or [B,width,h/2,w/2], or [B,width,2h,2w]."""
        super().__init__()
        self.scale = scale
        self.first = Up(width, width) if scale > 0 else Conv(width, width, 3, 2 if scale else 1)
        self.second = Conv(width, width)
        self.second.deviation = BRANCH

    def forward(self, x: Tensor) -> Tensor:
        """[B,width,h,w] -> see `__init__`."""
        change: Tensor = self.second(F.elu(self.first(F.elu(x))))
        if self.scale < 0:
            x = F.avg_pool2d(x, 2)
        elif self.scale:
            x = F.interpolate(x, scale_factor=2)
        return x + change


def start(module: Conv | Up, _: object, y: Tensor) -> Tensor:
    """A forward hook: centre and rescale what a convolution gives, [B,C,h,w], on its first batch.

    The data-dependent start of weight normalisation (Salimans and Kingma 2016). Channels that do
    not vary stay as they are.
    """
    assert module.bias is not None
    deviation, mean = torch.std_mean(y, (0, 2, 3), correction=0)
    varies = deviation > TINY
    factor = torch.where(varies, module.deviation / deviation.clamp(min=TINY), 1)
    mean = torch.where(varies, mean, 0)
    module.gain.mul_(factor)
    module.bias.copy_((module.bias - mean) * factor)
    return (y - mean[:, None, None]) * factor[:, None, None]
