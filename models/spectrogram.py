"""RSQ-VAE and RQ-VAE of log-mel spectrograms, HQ-VAE (Takida et al. 2024), App. F.2.3.

    encoder   x [B,1,bins,frames] -> four branches side by side, kernels 2, 4, 6, 8
              (two convolutions of stride 2, residual blocks), summed -> 3x3 convolution
    decoder   3x3 convolution, residual blocks, two transposed convolutions of stride 2

The multi-scale branches are those of Xian et al. 2021 and Liu et al. 2021. This model answers a
question of the paper and makes no files: a .hqc file holds pictures or sounds, so it is not in the
zoo.
"""

from math import inf

from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.hierarchy import Encoder, HQVAEConfig
from hqcodec.models.hq_vae import HQVAE

KERNELS = 2, 4, 6, 8  # of the branches
STRIDE = 4  # two halvings: 80 x 344 -> 20 x 86


class SpectrogramVAE(HQVAE):
    """`HQVAE` of one resolution for standardised spectrograms [B,1,bins,frames] of any values.

    Sides are padded to multiples of 4 as those of pictures are.
    """

    family = "spectrogram"
    bounds = -inf, inf

    def __init__(self, config: HQVAEConfig) -> None:
        """Random weights; see `initialize`. HqcodecError if the config has other resolutions."""
        if config.resolutions != (STRIDE,):
            raise HqcodecError(f"resolutions {config.resolutions}; spectrograms have ({STRIDE},)")
        channels = config.groups * config.dim
        inject = nn.Sequential(nn.Conv2d(config.width, channels, 3, padding=1))
        encoder = Encoder(MultiScale(config.width, config.blocks), [inject])
        super().__init__(config, encoder, decoder(channels, config.width, config.blocks))


class ReluBlock(nn.Module):
    """x plus ReLU, 3x3, ReLU, 1x1 of it, half as wide in the middle, as in VQ-VAE's encoder."""

    def __init__(self, width: int) -> None:
        """As many channels in as out."""
        super().__init__()
        middle = max(1, width // 2)
        self.block = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, middle, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(middle, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B,width,h,w] -> [B,width,h,w]."""
        change: Tensor = self.block(x)
        return x + change


class MultiScale(nn.Module):
    """The strided branches: what each kernel size sees, summed."""

    def __init__(self, width: int, blocks: int) -> None:
        """`blocks` residual blocks a branch."""
        super().__init__()
        self.branches = nn.ModuleList(branch(kernel, width, blocks) for kernel in KERNELS)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B,1,4h,4w] -> one feature [B,width,h,w], as `Encoder` takes them."""
        first, *rest = (net(x) for net in self.branches)
        return [sum(rest, first)]


def branch(kernel: int, width: int, blocks: int) -> nn.Sequential:
    """One kernel size: [B,1,4h,4w] -> [B,width,h,w]."""
    half, padding = max(1, width // 2), kernel // 2 - 1  # each convolution halves exactly
    return nn.Sequential(
        nn.Conv2d(1, half, kernel, stride=2, padding=padding),
        nn.ReLU(),
        nn.Conv2d(half, width, kernel, stride=2, padding=padding),
        *(ReluBlock(width) for _ in range(blocks)),
        nn.ReLU(),
    )


def decoder(channels: int, width: int, blocks: int) -> nn.Sequential:
    """The decoding function f_theta: [B,channels,h,w] -> [B,1,4h,4w]."""
    half = max(1, width // 2)
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        *(ReluBlock(width) for _ in range(blocks)),
        nn.ReLU(),
        nn.ConvTranspose2d(width, half, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(half, 1, 4, stride=2, padding=1),
    )
