"""HR-VQVAE (Adiban et al. 2022) on CIFAR-10: depth, and the growth of the codebook.

Run from the root of the repository, with sheets of 32x32 tiles:

    python -m hqcodec.benchmarks.papers.hr_vqvae --data TRAIN --test TEST --runs FOLDER --size small

All models have the same blocks, width, code vectors' dimensions, data, batches, steps and learning
rate, and codebooks that are moving averages. What is compared has as many code vectors in the last
layer. --only picks groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hqcodec.benchmarks.papers.measure import load_test
from hqcodec.benchmarks.papers.options import Size, check_groups, choose
from hqcodec.benchmarks.papers.runner import Sources, Variant, compare
from hqcodec.benchmarks.papers.search import last_perplexity, search
from hqcodec.benchmarks.results import Result, write_result
from hqcodec.benchmarks.script import run
from hqcodec.models import zoo
from hqcodec.models.hr_vqvae import HRVQVAE

PAPER = "hr_vqvae"
JSON = Path("benchmarks/papers/hr_vqvae.json")
TILE = 32
GROUPS = {
    "growth": "more code vectors: does a codebook collapse, Table 1 and Figure 6",
    "depth": "HR-VQVAE with 1 to 6 layers and 64 code vectors in the last, Figures 4 and 5",
    "light": "the same with commitments that weigh together what VQ-VAE's one does",
    "gradient": "the same with codebooks that learn by the gradient of eqs 5 and 6",
}
# Codebooks of equal depth would leave 4 and 5 layers out.
DEPTHS = ((64,), (8, 8), (4, 4, 4), (4, 4, 2, 2), (4, 2, 2, 2, 2), (2, 2, 2, 2, 2, 2))
BY_GRADIENT = ((64,), (8, 8), (4, 4, 4))
GROWTH = {512: (8, 8, 8), 64: (4, 4, 4), 4096: (16, 16, 16)}  # the paper's Table 1 first
LIGHT = "HR-VQVAE, β/4"
METHODS = "HR-VQVAE", LIGHT, "VQ-VAE", "VQ-VAE-2"
LIGHTER = "HR-VQVAE, β/(n+1)"  # LIGHT is the case of three layers
COMMITMENT = 0.25  # beta of all models
DECAY = 0.9  # of the averages in all models, tables 6 and 7


# The paper's network is not published.
SIZES = {
    "smoke": Size(steps=2, width=8, dim=4, blocks=1, batch=4, lr=1e-3, seeds=1),
    "small": Size(steps=1200, width=32, dim=16, blocks=1, batch=32, lr=3e-3, seeds=2),
    "medium": Size(steps=10_000, width=64, dim=16, blocks=2, batch=32, lr=3e-3, seeds=2),
    "full": Size(steps=390_234, width=64, dim=16, blocks=2, batch=128, lr=3e-3, seeds=2),
}


def variants(size: Size) -> list[Variant]:
    """All that is compared, all of the first seed before the second."""
    firsts = [*growth(size), *depths(size)]
    return [replace(v, seed=seed) for seed in range(size.seeds) for v in firsts]


def growth(size: Size) -> Iterator[Variant]:
    """All methods at each number of code vectors."""
    for codes, sizes in GROWTH.items():
        setting = f"{codes:,}"
        yield linked(size, "growth", "HR-VQVAE", setting, sizes)
        yield lighter(linked(size, "growth", LIGHT, setting, sizes))
        for method, strides in {"VQ-VAE": [2], "VQ-VAE-2": [8, 4, 2]}.items():
            model = {
                "resolutions": strides,
                "chain": [1] * len(strides),
                "codebook": [codes] * len(strides),
                "quantizer": "ema",
                "ema_decay": DECAY,
            }
            named = f"{method.lower()}-{codes}"
            yield make(size, "growth", named, method, setting, "hq_vae", model)


def depths(size: Size) -> Iterator[Variant]:
    """HR-VQVAEs of 64 code vectors; three layers of averages are among `growth`."""
    for sizes in DEPTHS:
        if sizes != GROWTH[64]:
            yield linked(size, "depth", "HR-VQVAE", layers(sizes), sizes)
    for sizes in DEPTHS:
        if sizes != GROWTH[64]:
            yield lighter(linked(size, "light", LIGHTER, layers(sizes), sizes))
    for sizes in BY_GRADIENT:
        yield linked(size, "gradient", "HR-VQVAE", layers(sizes), sizes, decay=0.0)


def lighter(variant: Variant) -> Variant:
    """An HR-VQVAE whose n + 1 commitments (eqs 5, 6) weigh together what VQ-VAE's one does."""
    beta = COMMITMENT / (len(variant.model["codebook"]) + 1)
    betas = {"commitment": beta, "layer_commitment": beta}
    return replace(variant, name=f"{variant.name}-light", model=variant.model | betas)


def layers(sizes: Sequence[int]) -> str:
    """How a setting says the code vectors of each layer, as the paper does."""
    return f"{len(sizes)} ({', '.join(map(str, sizes))})"


def linked(
    size: Size, group: str, method: str, setting: str, sizes: Sequence[int], decay: float = DECAY
) -> Variant:
    """An HR-VQVAE with codebooks of these sizes."""
    name = f"hr-{'x'.join(map(str, sizes))}" + ("" if decay else "-gradient")
    model = {"stride": 2, "codebook": list(sizes), "ema_decay": decay}
    return make(size, group, name, method, setting, PAPER, model)


def make(
    size: Size,
    group: str,
    name: str,
    method: str,
    setting: str,
    family: str,
    model: dict[str, Any],
) -> Variant:
    """A variant with the size's network."""
    network = {"width": size.width, "dim": size.dim, "blocks": size.blocks}
    how = {
        "steps": size.steps,
        "batch": size.batch,
        "crop": TILE,
        "tile": TILE,
        "shrink": 1.0,
        "lr": size.lr,
        "bf16": False,
        "validate_every": size.steps,
        "checkpoint_every": max(1, size.steps // 10),
    }
    return Variant(group, name, method, setting, family, model | network, how)


def add_searches(result: Result, trained: Sequence[Variant], sources: Sources) -> None:
    """Give every record its mean squared error, what it uses of its last layer, and its search.

    mse: of pixels in 0..1. codewords, used: code vectors of the last layer, and their perplexity.
    search: see `search`; of HR-VQVAE alone.
    """
    x = load_test(sources.test, sources.tile, TILE)
    variants = {(variant.name, variant.seed): variant for variant in trained}
    for record in result["records"]:
        run = variants[record["name"], record["seed"]].run()
        model = zoo.load(sources.runs / run.name / run.file)
        record["mse"] = (record["rmse"] / 100) ** 2
        record["used"], record["codewords"] = last_perplexity(model, x)
        record["parameters"] = sum(p.numel() for p in model.parameters())
        if isinstance(model, HRVQVAE):
            record["search"] = search(model, x)


def hr_vqvae(
    data: Annotated[Path, typer.Option(help="Sheets of 32x32 tiles to train on.")],
    test: Annotated[Path, typer.Option(help="Sheet or array of test pictures.")],
    runs: Annotated[Path, typer.Option(help="Folder for what is trained.")],
    size: Annotated[str, typer.Option(help=f"{', '.join(SIZES)}.")] = "small",
    only: Annotated[list[str] | None, typer.Option(help="Only this group. Repeatable.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="So many; by default of size.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Train and measure HR-VQVAE, VQ-VAE and VQ-VAE-2; what is finished is kept."""
    check_groups(only, GROUPS)
    chosen = choose(SIZES, size, seeds)
    about: Result = {"paper": PAPER, "size": size, "seeds": chosen.seeds}
    sources = Sources(data, test, runs / PAPER / size, TILE)
    trained = variants(chosen)
    result = compare(trained, sources, about, out, only or GROUPS)
    add_searches(result, trained, sources)
    write_result(out, result)


if __name__ == "__main__":
    run(hr_vqvae)
