"""Binary pictures as square tiles: what a model of pictures of one size makes of any size."""

from torch import Tensor

THRESHOLD = 0.5  # a grey from here up is white


def cut(x: Tensor, side: int) -> Tensor:
    """Black and white tiles of x [B,3,H,W] in 0..1, H and W multiples of side: [B*h*w,1,side,side].

    A pixel is 1. where the mean of its channels is at least THRESHOLD, else 0.
    """
    B, _, H, W = x.shape
    grey = x.mean(1).view(B, H // side, side, W // side, side).swapaxes(2, 3)
    return (grey.reshape(-1, 1, side, side) >= THRESHOLD).to(x.dtype)


def join(tiles: Tensor, h: int, w: int) -> Tensor:
    """Inverse of `cut`: [B*h*w,1,side,side] -> [B,3,h*side,w*side], three equal channels."""
    side = tiles.shape[-1]
    rows = tiles.view(-1, h, w, side, side).swapaxes(2, 3)
    return rows.reshape(-1, 1, h * side, w * side).expand(-1, 3, -1, -1)
