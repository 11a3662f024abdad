"""Growing a convolutional network: trained weights in a wider one, which starts as the same map.

Chen, Goodfellow, Shlens, Net2Net, 2016; here new channels begin at random, and count for nothing.
"""

import torch
from torch import Tensor


@torch.no_grad()
def widen(old: Tensor, fresh: Tensor) -> Tensor:
    """A weight [O,I,k,k] or bias [O] of a convolution, grown to the shape of `fresh`.

    The first channels are the old ones and get nothing from the new; the new ones are as in
    `fresh`. `old` itself if it does not fit into `fresh` as a leading corner.
    """
    if old.shape == fresh.shape or old.dim() != fresh.dim() or old.shape[2:] != fresh.shape[2:]:
        return old
    if any(a > b for a, b in zip(old.shape, fresh.shape, strict=True)):
        return old
    grown, outputs = fresh.clone(), len(old)
    grown[:outputs] = 0
    grown[(slice(outputs), slice(old.shape[1])) if old.dim() > 1 else slice(outputs)] = old.to(
        fresh.dtype
    )
    return grown
