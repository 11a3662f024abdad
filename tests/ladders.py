"""A small HD-VAE, and pictures for it."""

import torch
from torch import Tensor

from hqcodec.models.hd_vae import HDVAE, HDVAEConfig


def make(
    architecture: str = "skip-lvae", units: tuple[int, ...] = (2, 2), latent: str = "categorical",
    free_bits: float = 0.0, context: int = 0, entropy_cost: float = 0.0, beta: float = 1.0,
) -> HDVAE:  # fmt: skip
    torch.manual_seed(0)
    config = HDVAEConfig(
        architecture, latent, units, (4,) * len(units), dim=4, width=4, blocks=1,
        free_bits=free_bits, anneal_steps=10, context=context,
        entropy_cost=entropy_cost, beta=beta,
    )  # fmt: skip
    model = HDVAE(config).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".queries." in name:  # distributions that differ from each other
                p.mul_(2)
            if name.endswith(".keys"):  # but not by much: few samples are to see all classes
                p.normal_(0, 0.3)
            if name.endswith(".values"):
                p.normal_(0, 5)
    return model


def binary(n: int = 3) -> Tensor:
    g = torch.Generator().manual_seed(1)
    return (torch.rand(n, 1, 28, 28, generator=g) < 0.3).float()
