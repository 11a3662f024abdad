"""Small HQ-VAEs of any hierarchy, made on the spot."""

import torch

from hqcodec.models.hq_vae import HQVAE, HQVAEConfig


def make(
    resolutions: tuple[int, ...] = (4, 2),
    chain: tuple[int, ...] = (2, 1),
    quantizer: str = "stochastic",
    progressive: bool = False,
    shared: bool = False,
    reset: bool = False,
) -> HQVAE:
    torch.manual_seed(0)
    sizes = (8,) * sum(chain)
    return HQVAE(
        HQVAEConfig(
            resolutions, chain, sizes, groups=2, dim=3, width=8, blocks=1, quantizer=quantizer,
            shared_codebook=shared, progressive=progressive, reset=reset,
        )
    )  # fmt: skip
