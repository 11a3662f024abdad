"""HQ-VAE (Takida et al. 2024) on log-mel spectrograms: RSQ-VAE against RQ-VAE, Table 2, App. F.2.3.

Run from the root of the repository, with two folders of sound files:

    python -m hqcodec.benchmarks.papers.hq_vae_sound --data TRAIN --test TEST --runs FOLDER

All models have the same network, crops, steps and learning rate, and one codebook of 8 code vectors
for all layers; only what quantizes differs. All of the first seed runs before the second.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from hqcodec.benchmarks.papers import options, spectrograms
from hqcodec.benchmarks.papers.hq_vae import DECAY, RESIDUAL
from hqcodec.benchmarks.papers.measure import measure
from hqcodec.benchmarks.papers.options import choose
from hqcodec.benchmarks.papers.runner import Variant, collect, record
from hqcodec.benchmarks.papers.spectrogram_pictures import add_pictures
from hqcodec.benchmarks.papers.spectrogram_training import train
from hqcodec.benchmarks.results import SCHEMA, Result, environment
from hqcodec.benchmarks.script import run
from hqcodec.models.spectrogram import STRIDE, SpectrogramVAE

PAPER = "hq_vae_sound"
JSON = Path("benchmarks/papers/hq_vae_sound.json")
PAPER_STEPS = 21_800  # 100 epochs of eight tenths of 8,732 sounds, batches of 32
BETAS = 0.9, 0.9  # of Adam, as in App. F
LAYERS = 4, 8
CODES = 8  # K
SHOWN = "RSQ-VAE", "RQ-VAE"  # whose spectrograms the report shows, as the paper's Figure 13


@dataclass(frozen=True)
class Size(options.Size):
    """How much smaller than the paper."""

    frames: int  # of a crop
    cooling: float  # RSQ-VAE's last temperature is exp(-cooling)
    soft: tuple[int, int]  # of `HQVAEConfig`, RSQ-VAE, for each of LAYERS


# The paper names no widths; `full` has those of VQ-VAE-2, on whose encoder its own is built, and
# the paper's temperatures. RSQ-VAE's settings come from trials, RMSE of a seed with L = 8:
#   1,200 steps, Adam's usual betas: 0.206 (soft = 32), 0.236 (soft = 128: one code left in its
#     first layer), 0.220 with cooling = 0.22, though only 0.140 in training, where
#     samples blend code vectors.
#     Over five seeds 0.191, RQ-VAE 0.184, with reset 0.173.
#   another seed, 1,200 steps: 0.219 with the usual betas, 0.181 with the paper's (0.9, 0.9), 0.224
#     with those and a third of the learning rate; RQ-VAE with reset 0.144 with the paper's betas
#   the same with 3,600 steps and the paper's betas: 0.124, RQ-VAE with reset 0.159
SIZES = {
    "smoke": Size(
        steps=2, width=4, dim=2, blocks=1, batch=2, frames=16, lr=1e-3, cooling=1.25,
        soft=(128, 32), seeds=1,
    ),
    "small": Size(
        steps=3600, width=32, dim=32, blocks=2, batch=8, frames=64, lr=3e-3, cooling=1.25,
        soft=(128, 32), seeds=2,
    ),
    "medium": Size(
        steps=5000, width=64, dim=64, blocks=2, batch=16, frames=128, lr=1e-3, cooling=1.25,
        soft=(128, 32), seeds=2,
    ),
    "full": Size(
        steps=PAPER_STEPS, width=128, dim=64, blocks=2, batch=32, frames=344, lr=1e-3,
        cooling=DECAY * PAPER_STEPS, soft=(16, 16), seeds=5,
    ),
}  # fmt: skip


def variants(size: Size) -> list[Variant]:
    """All that is compared, in the order it runs."""
    firsts = [
        make(size, layers, method, name, quantizer)
        for layers in LAYERS
        for method, (name, quantizer) in RESIDUAL.items()
    ]
    return [replace(variant, seed=seed) for seed in range(size.seeds) for variant in firsts]


def make(size: Size, layers: int, method: str, name: str, quantizer: dict[str, Any]) -> Variant:
    """One method with so many layers."""
    model = {
        "resolutions": [STRIDE],
        "chain": [layers],
        "codebook": [CODES] * layers,
        "shared_codebook": True,
        "width": size.width,
        "dim": size.dim,
        "blocks": size.blocks,
    }
    if quantizer["quantizer"] == "stochastic":
        place = LAYERS.index(layers)
        model |= {"temperature_decay": size.cooling / size.steps, "soft": size.soft[place]}
    how = {
        "steps": size.steps,
        "batch": size.batch,
        "crop": size.frames,
        "lr": size.lr,
        "betas": list(BETAS),
        "bf16": False,
        "checkpoint_every": max(1, size.steps // 10),
    }
    setting, family = f"L = {layers}, K = {CODES}", SpectrogramVAE.family
    return Variant("sound", f"{name}-{layers}", method, setting, family, model | quantizer, how)


def hq_vae_sound(
    data: Annotated[Path, typer.Option(help="Folder of sound files to train on.")],
    test: Annotated[Path, typer.Option(help="Folder of sound files to test with.")],
    runs: Annotated[Path, typer.Option(help="Folder for what is trained.")],
    size: Annotated[str, typer.Option(help=f"{', '.join(SIZES)}.")] = "small",
    seeds: Annotated[int | None, typer.Option(min=1, help="So many; by default of size.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Train and measure RSQ-VAE and RQ-VAE on spectrograms; what is finished is kept."""
    chosen = choose(SIZES, size, seeds)
    found = spectrograms.load(data, test)
    result: Result = {
        "schema": SCHEMA,
        "paper": PAPER,
        "size": size,
        "seeds": chosen.seeds,
        **environment(torch.get_num_threads()),
        "data": data.name,
        "test": test.name,
        "train_sounds": len(found.train),
        "test_sounds": len(found.test),
        "scale": asdict(found.scale),
        "failures": [],
        "records": [],
    }
    shown: dict[tuple[str, str], SpectrogramVAE] = {}

    def reach(variant: Variant) -> dict[str, Any]:
        folder = runs / PAPER / size / variant.run().name
        model = train(variant.run(), found.train, folder, typer.echo)
        if variant.seed == 0 and variant.method in SHOWN:
            shown[variant.method, variant.setting] = model
        add_pictures(result, shown, found)
        return record(variant, folder, measure(model, found.test))

    collect(variants(chosen), reach, result, out, typer.echo)


if __name__ == "__main__":
    run(hq_vae_sound)
