"""RRVQ-VAE (Willetts et al. 2020) on CIFAR-10: its ablations, one layer, and 32 layers.

Run from the root of the repository, with sheets of CIFAR-10:

    python -m hqcodec.benchmarks.papers.rrvq_vae --data TRAIN --test TEST --runs FOLDER --size small

The four ablations of table G.1 differ in what parameterises p and in whether sigma is learnt, and
in nothing else. The rVQ-VAE has one layer, on the finest grid of the others, with sigma 1 and a
uniform prior. All have equal data, batches, steps and learning rate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from hqcodec.benchmarks.papers.options import check_groups, choose
from hqcodec.benchmarks.papers.rrvq_measure import add_bounds
from hqcodec.benchmarks.papers.runner import Sources, Variant, compare
from hqcodec.benchmarks.results import Result, write_result
from hqcodec.benchmarks.script import run

PAPER = "rrvq_vae"
JSON = Path("benchmarks/papers/rrvq_vae.json")
SIDE = 32
GROUPS = {
    "ablation": "What parameterises p, and whether sigma is learnt, with five layers; table G.1",
    "depth": "One layer and 32 layers beside the five, table 1",
}
FULL = "RRVQ-VAE, L = 5"
ABLATIONS = {  # (parameterisation, sigma) -> how the paper calls it
    ("direct", "fixed"): "Direct-Cat, σ = 1",
    ("embed", "fixed"): "Embed-Cat, σ = 1",
    ("direct", "learnt"): "Direct-Cat, σ learnt",
    ("embed", "learnt"): FULL,
}
BASELINE, DEEP = "rVQ-VAE", "RRVQ-VAE, L = 32"
METHODS = *ABLATIONS.values(), BASELINE, DEEP


@dataclass(frozen=True)
class Size:
    """How much smaller than the paper."""

    steps: int
    batch: int
    lr: float
    shared: dict[str, Any]  # what all models have that differs from the defaults
    five: dict[str, Any]  # what L = 5 has beyond it
    deep: dict[str, Any]  # what L = 32 has
    pictures: int  # for the importance-weighted bound and for files
    seeds: int


SHORT = {
    "temperature": 0.7, "last_temperature": 0.3, "free_bits": 1.0, "decoder_scale": "predicted",
    "context": 16, "codebook_rate": 10.0,
}  # fmt: skip
TINY = {"width": 6, "dim": 4, "blocks": 1, "context": 4}
FIVE_TINY = {"codebook": [8] * 5, "ladder_blocks": 0}
GRIDS = {"resolutions": [16, 8, 4, 2], "chain": [8, 8, 8, 8], "ladder_blocks": 0}
# In the smoke run eight layers stand for 32.
# Short trainings take a higher rate and a likelihood whose scale is predicted for each pixel; both
# were chosen by trials of 250 steps.
SIZES = {
    "smoke": Size(
        2, 4, 2e-3, TINY, FIVE_TINY, GRIDS | {"chain": [2] * 4, "codebook": [8] * 8}, 1, 1
    ),
    "small": Size(
        1000, 32, 2e-2, SHORT | {"width": 32, "dim": 32, "blocks": 1},
        {"ladder_blocks": 1},
        GRIDS | {"codebook": [64] * 32, "dim": 16, "width": 20}, pictures=100, seeds=1,
    ),
    "medium": Size(
        20_000, 64, 2e-3, {"width": 96, "dim": 64, "blocks": 2, "context": 32},
        {"ladder_blocks": 2},
        GRIDS | {"codebook": [256] * 32, "dim": 32, "blocks": 1}, pictures=500, seeds=2,
    ),
    "full": Size(
        390_000, 64, 8e-4, {"context": 32}, {},
        GRIDS | {"codebook": [256] * 32, "dim": 32, "blocks": 1}, pictures=1000, seeds=2,
    ),
}  # fmt: skip


def variants(size: Size) -> list[Variant]:
    """All that is compared, all of the first seed before the second."""
    return [replace(v, seed=seed) for seed in range(size.seeds) for v in firsts(size)]


def firsts(size: Size) -> Iterator[Variant]:
    """The ablations, then the baseline and the deep model."""
    how = {
        "steps": size.steps,
        "batch": size.batch,
        "crop": SIDE,
        "tile": SIDE,
        "shrink": 1.0,
        "lr": size.lr,
        "optimizer": "adamax",
        "hold": 0.3,
        "warmup": min(100, size.steps // 4),
        "bf16": False,
        "validate_every": size.steps,
        "checkpoint_every": max(1, size.steps // 10),
    }

    def variant(group: str, name: str, method: str, setting: str, model: dict[str, Any]) -> Variant:
        return Variant(group, name, method, setting, PAPER, size.shared | model, how)

    for parameterisation, sigma in product(("embed", "direct"), ("learnt", "fixed")):
        model = size.five | {"parameterisation": parameterisation, "sigma": sigma}
        method = ABLATIONS[parameterisation, sigma]
        yield variant("ablation", f"{parameterisation}-{sigma}", method, "L = 5", model)
    one = {"resolutions": [2], "chain": [1], "sigma": "fixed"}
    layer = {"codebook": size.five.get("codebook", [256])[:1]}
    yield variant("depth", "rvq", BASELINE, "L = 1", size.five | one | layer)
    yield variant("depth", "deep", DEEP, "L = 32", size.deep)


def rrvq_vae(
    data: Annotated[Path, typer.Option(help="Folder with sheets of training pictures.")],
    test: Annotated[Path, typer.Option(help="A sheet of test pictures, elsewhere.")],
    runs: Annotated[Path, typer.Option(help="Folder for what is trained.")],
    size: Annotated[str, typer.Option(help=f"{', '.join(SIZES)}.")] = "small",
    seeds: Annotated[int | None, typer.Option(min=1, help="So many; by default of size.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this group. Repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Train and measure RRVQ-VAEs and what they are compared with; finished ones are kept."""
    check_groups(only, GROUPS)
    chosen = choose(SIZES, size, seeds)
    about: Result = {"paper": PAPER, "size": size, "seeds": chosen.seeds}
    sources = Sources(data, test, runs / PAPER / size, SIDE)
    trained = variants(chosen)
    result = compare(trained, sources, about, out, only or GROUPS)
    add_bounds(result, trained, sources, chosen.pictures)
    write_result(out, result)


if __name__ == "__main__":
    run(rrvq_vae)
