"""Small models of every family, for the tests that all of them must pass.

Where pictures have a size (H, W), sounds have (channels, samples).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hqcodec.models.base import Model
from hqcodec.models.hd_vae import HDVAE, HDVAEConfig
from hqcodec.models.hq_vae import HQVAE, HQVAEConfig
from hqcodec.models.hqa import HQA, HQAConfig
from hqcodec.models.hr_vqvae import HRVQVAE, HRVQVAEConfig
from hqcodec.models.photo import Photo
from hqcodec.models.rrvq_vae import RRVQVAE, RRVQConfig
from hqcodec.models.sound import Sound, SoundConfig
from photos import SMALL


def hq_vae(
    resolutions: tuple[int, ...],
    chain: tuple[int, ...],
    quantizer: str = "stochastic",
    shared: bool = False,
    progressive: bool = False,
    context: int = 0,
) -> Callable[[], Model]:
    sizes = (6,) * sum(chain) if shared else tuple(5 + n for n in range(sum(chain)))
    config = HQVAEConfig(
        resolutions, chain, sizes, groups=2, dim=3, width=8, blocks=1, quantizer=quantizer,
        shared_codebook=shared, progressive=progressive, context=context,
    )  # fmt: skip
    return lambda: HQVAE(config)


def hqa(context: int) -> Callable[[], Model]:
    config = HQAConfig(
        (5, 6, 7), (8, 6, 4), (8, 6, 4), (0.0, 0.5, 0.5), dim=3, level_steps=2, context=context
    )
    return lambda: HQA(config)


def rrvq_vae(
    resolutions: tuple[int, ...],
    chain: tuple[int, ...],
    parameterisation: str = "embed",
    sigma: str = "learnt",
    top: str = "uniform",
    ladder_blocks: int = 0,
    context: int = 0,
) -> Callable[[], Model]:
    config = RRVQConfig(
        resolutions, chain, tuple(3 + n for n in range(sum(chain))), dim=3, width=6, blocks=1,
        ladder_blocks=ladder_blocks, parameterisation=parameterisation, sigma=sigma, top=top,
        context=context,
    )  # fmt: skip
    return lambda: RRVQVAE(config)


def hd_vae(architecture: str, units: tuple[int, ...], context: int = 0) -> Callable[[], Model]:
    config = HDVAEConfig(
        architecture, units=units, classes=(4, 9, 4)[: len(units)], dim=4, width=4, blocks=1,
        anneal_steps=4, context=context,
    )  # fmt: skip
    return lambda: HDVAE(config)


def sound(quantizer: str, context: int) -> Callable[[], Model]:
    config = SoundConfig(
        hop=8, layers=3, codebook=4, dim=3, encoder_width=8, encoder_blocks=1, decoder_width=8,
        decoder_blocks=1, quantizer=quantizer, context=context,
    )  # fmt: skip
    return lambda: Sound(config)


# Small models; each is made anew, given a data-dependent start and calibrated.
MODELS: dict[str, Callable[[], Model]] = {
    "SQ-VAE": hq_vae((4,), (1,)),
    "RSQ-VAE": hq_vae((4,), (3,)),
    "RSQ-VAE, shared codebook": hq_vae((4,), (3,), shared=True),
    "SQ-VAE-2": hq_vae((8, 4), (1, 1), progressive=True),
    "hybrid": hq_vae((8, 2), (2, 2)),
    "hybrid, learned prior": hq_vae((8, 4), (2, 1), context=8),
    "VQ-VAE": hq_vae((2,), (1,), "ema"),
    "RQ-VAE": hq_vae((4,), (2,), "ema", shared=True),
    "HQA": hqa(0),
    "HQA, learned prior": hqa(4),
    "photo": lambda: Photo(SMALL),
    "VQ-VAE-2": hq_vae((16, 8, 4), (1, 1, 1), "ema"),
    "HR-VQVAE": lambda: HRVQVAE(HRVQVAEConfig(4, (3, 4, 2), dim=3, width=8, blocks=1)),
    "HR-VQVAE, learned prior": lambda: HRVQVAE(
        HRVQVAEConfig(4, (3, 2), dim=3, width=8, blocks=1, context=8)
    ),
    "HR-VQVAE, one layer": lambda: HRVQVAE(HRVQVAEConfig(2, (6,), dim=3, width=8, blocks=1)),
    "HR-VQVAE, by the gradient": lambda: HRVQVAE(
        HRVQVAEConfig(4, (3, 2), dim=3, width=8, blocks=1, ema_decay=0)
    ),
    "RRVQ-VAE, five grids": rrvq_vae((32, 16, 8, 4, 2), (1, 1, 1, 1, 1), ladder_blocks=1),
    "RRVQ-VAE, learned priors": rrvq_vae((8, 2), (2, 3), top="learned", context=4),
    "RRVQ-VAE, direct and fixed": rrvq_vae((8, 4), (1, 1), "direct", "fixed"),
    "RRVQ-VAE, direct and learnt": rrvq_vae((4, 2), (1, 1), "direct", top="learned"),
    "rVQ-VAE": rrvq_vae((4,), (1,), sigma="fixed"),
    "HD-VAE: VAE": hd_vae("vae", (2, 3)),
    "HD-VAE: skip-VAE": hd_vae("skip-vae", (1, 2, 3)),
    "HD-VAE: LVAE": hd_vae("lvae", (3,)),
    "HD-VAE, learned prior": hd_vae("skip-lvae", (1, 2, 3), 4),
    "sound": sound("stochastic", 4),
    "sound, moving averages, static tables": sound("ema", 0),
}


def pictures(n: int, size: tuple[int, int]) -> Tensor:
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(1))


def sounds(n: int, size: tuple[int, int]) -> Tensor:
    return 2 * torch.rand(n, *size, generator=torch.Generator().manual_seed(1)) - 1


def examples(model: Model, n: int, size: tuple[int, int]) -> Tensor:
    """What a model takes: [n,3,H,W] or [n,channels,samples]."""
    return pictures(n, size) if model.kind == "picture" else sounds(n, size)


def crops(model: Model, n: int) -> Tensor:
    """What a model is trained on."""
    return examples(model, n, (48, 48) if model.kind == "picture" else (1, 2400))


def make(name: str) -> Model:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    model.initialize(crops(model, 8))
    model.calibrate(crops(model, 4))
    return model
