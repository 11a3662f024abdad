"""The discretised logistic likelihood of pixels (Kingma et al. 2016, inverse autoregressive flow).

A channel is one of 256 levels, level k at k / 255. Its probability is the mass that a logistic
distribution puts between k - 1/2 and k + 1/2; what lies below 0 goes to level 0 and what lies above
255 to level 255, so that the 256 probabilities sum to 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 256
# Scales from a tenth of a level to more than the whole range; outside, a step of training could
# make a picture's likelihood 0 in floating point.
LOG_SCALE = -7.8, 3.0


def log_prob(levels: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log p of levels, in nats.

    levels: whole numbers 0..255, of any shape and dtype. mean: like levels, where the mode lies, as
    a pixel in 0..1. log_scale: of the logistic, in the same unit; clamped to LOG_SCALE.
    """
    inverse = (-log_scale.clamp(*LOG_SCALE)).exp()
    step = inverse / (LEVELS - 1)  # one level, in scales
    high = (levels / (LEVELS - 1) - mean) * inverse + step / 2
    low = high - step
    # F(b) - F(a) = F(b) F(-a) (1 - exp(a - b)) for the logistic's F: no difference of near equals
    between = F.logsigmoid(high) + F.logsigmoid(-low) + (-torch.expm1(-step)).log()
    ends = torch.where(levels == 0, F.logsigmoid(high), F.logsigmoid(-low))
    return torch.where((levels > 0) & (levels < LEVELS - 1), between, ends)


def pmf(mean: Tensor, log_scale: Tensor) -> Tensor:
    """Probabilities of all levels: two of shape [...] -> [...,256]; each row sums to about 1."""
    levels = torch.arange(LEVELS, device=mean.device)
    return log_prob(levels.expand(*mean.shape, -1), mean[..., None], log_scale[..., None]).exp()


def to_levels(x: Tensor) -> Tensor:
    """The levels of pixels in 0..1, as float: any shape."""
    return (x.float() * (LEVELS - 1)).round().clamp(0, LEVELS - 1)
