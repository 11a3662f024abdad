"""Convolution blocks that the models share, as in HQ-VAE App. F.1 (after Child 2021)."""

from torch import Tensor, nn


class ConvBlock(nn.Sequential):
    """1x1, 3x3, 3x3, 1x1 convolutions, a GELU before each."""

    def __init__(self, before: int, middle: int, after: int) -> None:
        """Channels: [B,before,h,w] -> [B,middle,h,w] -> [B,after,h,w]."""
        super().__init__(
            nn.GELU(),
            nn.Conv2d(before, middle, 1),
            nn.GELU(),
            nn.Conv2d(middle, middle, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(middle, middle, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(middle, after, 1),
        )


class ResBlock(nn.Module):
    """x + ConvBlock(x), half as wide in the middle (c_mid = 0.5 of App. F.1)."""

    def __init__(self, width: int) -> None:
        """As many channels in as out."""
        super().__init__()
        self.block = ConvBlock(width, max(1, width // 2), width)

    def forward(self, x: Tensor) -> Tensor:
        """[B,width,h,w] -> [B,width,h,w]."""
        change: Tensor = self.block(x)
        return x + change


def down(width: int, blocks: int) -> nn.Sequential:
    """Residual blocks, then average pooling: [B,width,h,w] -> [B,width,h/2,w/2]."""
    return nn.Sequential(*(ResBlock(width) for _ in range(blocks)), nn.AvgPool2d(2))


def up(width: int, blocks: int) -> nn.Sequential:
    """Inverse of `down` in shape: [B,width,h,w] -> [B,width,2h,2w]."""
    return nn.Sequential(nn.Upsample(scale_factor=2), *(ResBlock(width) for _ in range(blocks)))


class BottomUp(nn.Module):
    """Features of a picture at several strides (the bottom-up path, Fig. 1a)."""

    def __init__(self, strides: tuple[int, ...], width: int, blocks: int) -> None:
        """Strides, coarse to fine, are powers of two >= 2; `blocks` residual blocks a halving."""
        super().__init__()
        self.strides = strides  # coarse to fine
        halvings = strides[0].bit_length() - 2  # those after the stem's
        self.stem = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.stacks = nn.ModuleList(down(width, blocks) for _ in range(halvings))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B,3,H,W] in 0..1 -> [B,width,H/stride,W/stride] a stride, coarse to fine."""
        h = self.stem(2 * x - 1)
        at = {2: h}
        for n, stack in enumerate(self.stacks):
            h = at[4 << n] = stack(h)
        return [at[stride] for stride in self.strides]


class PictureDecoder(nn.Module):
    """The decoding function f_theta of a latent at one stride."""

    def __init__(self, channels: int, stride: int, width: int, blocks: int) -> None:
        """The stride is a power of two >= 2; `blocks` residual blocks at each resolution."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            *(ResBlock(width) for _ in range(blocks)),
            *(up(width, blocks) for _ in range(stride.bit_length() - 2)),
            nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """[B,channels,h,w] -> [B,3,stride*h,stride*w], about 0..1 and not clamped."""
        y: Tensor = self.net(z)
        return (y + 1) / 2
