"""The shape of an HQ-VAE: its configuration, and the encoder that feeds its top-down path."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.blocks import BottomUp, ConvBlock
from hqcodec.models.grids import check_grids
from hqcodec.models.quantize import SOFT


@dataclass(frozen=True)
class HQVAEConfig:
    """The shape of the hierarchy and how it is trained; the defaults are SQ-VAE-2 on CIFAR-10."""

    resolutions: tuple[int, ...] = (8, 4)  # strides, falling powers of two >= 2
    chain: tuple[int, ...] = (1, 1)  # residual layers at each resolution
    codebook: tuple[int, ...] = (512, 512)  # K of each layer
    groups: int = 1  # code vectors at a position, in every layer
    dim: int = 64  # of a code vector
    width: int = 64  # channels of the convolution blocks
    blocks: int = 2  # residual blocks between two resolutions
    quantizer: str = "stochastic"  # or "ema"
    shared_codebook: bool = False  # one codebook for all layers
    progressive: bool = False  # decode after every resolution in training, eqs 28, 29
    temperature_decay: float = 1e-5  # tau = exp(-decay * step), App. E
    soft: float = SOFT  # s^2 starts at the mean squared distance to code vectors over this
    commitment: float = 0.25  # beta of eqs 7, 15 (ema)
    ema_decay: float = 0.99  # App. F (ema)
    context: int = 0  # hidden channels of the learned prior; 0: static tables
    reset: bool = False  # revive codes that nothing is nearest to (ema)

    def __post_init__(self) -> None:
        """Refuse a hierarchy that does not fit together."""
        check_grids(self.resolutions, self.chain)
        if len(self.codebook) != sum(self.chain):
            raise HqcodecError(
                f"codebook {self.codebook}; want {sum(self.chain)} sizes, one a layer"
            )
        if self.quantizer not in ("stochastic", "ema"):
            raise HqcodecError(f'quantizer {self.quantizer!r}; want "stochastic" or "ema"')
        if self.soft <= 0:
            raise HqcodecError(f"soft {self.soft}; want more than 0")
        if self.shared_codebook and len(set(self.codebook)) > 1:
            raise HqcodecError(f"codebook {self.codebook}; one that is shared has one size")

    @property
    def chains(self) -> list[range]:
        """The layers of each resolution, l_r of App. D."""
        ends = [sum(self.chain[: r + 1]) for r in range(len(self.chain))]
        return [range(end - n, end) for end, n in zip(ends, self.chain, strict=True)]


class Encoder(nn.Module):
    """What decoding never needs: bottom-up path and encoding blocks of the top-down path."""

    def __init__(self, bottom_up: nn.Module, inject: Iterable[nn.Sequential]) -> None:
        """bottom_up: x -> H^1 .. H^R, a list. inject: a block a resolution, ends in a Conv2d."""
        super().__init__()
        self.bottom_up = bottom_up
        self.inject = nn.ModuleList(inject)

    def target(self, r: int, feature: Tensor, above: Tensor | None) -> Tensor:
        """G^r of eq 21 from H^r [B,width,h,w] and up(V^{r-1}) [B,C,h,w]: [B,C,h,w]."""
        both = feature if above is None else torch.cat([feature, above], 1)
        target: Tensor = self.inject[r](both)
        return target.float()  # quantizers stay float32 where autocast makes the rest bfloat16

    def normalise(self, r: int, target: Tensor) -> None:
        """Rescale a block so that the G^r [B,C,h,w] it gave has zero mean and unit variance."""
        mean = target.mean((0, 2, 3))
        *_, last = self.inject[r].children()
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        last.bias.sub_(mean)
        spread = (target - mean[:, None, None]).std()
        last.weight.div_(spread)
        last.bias.div_(spread)


def picture_encoder(config: HQVAEConfig) -> Encoder:
    """The encoder of pictures [B,3,H,W] in 0..1, App. F.1."""
    width, channels = config.width, config.groups * config.dim
    return Encoder(
        BottomUp(config.resolutions, width, config.blocks),
        (
            ConvBlock(width + (channels if r else 0), max(1, width // 2), channels)
            for r in range(len(config.resolutions))
        ),
    )
