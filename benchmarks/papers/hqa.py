"""HQA (Williams et al. 2020) on MNIST: one greedy stack against a VQ-VAE of one layer a rate.

Run from the root of the repository, with MNIST's IDX files:

    python -m hqcodec.benchmarks.papers.hqa --data TRAIN --test TEST --runs FOLDER --size small

A level of the stack and a VQ-VAE have equal bits, data, batches, steps and learning rate. Five
rates are one HQA, whose file holds all of them, and five VQ-VAEs. HQA resets codes that nothing
uses (App. C.4) and the paper's VQ-VAE does not, so there are five that do as well.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from hqcodec.benchmarks.papers.options import choose
from hqcodec.benchmarks.papers.rates import add_rates
from hqcodec.benchmarks.papers.runner import Sources, Variant, compare
from hqcodec.benchmarks.results import Result, write_result
from hqcodec.benchmarks.script import run
from hqcodec.models.hqa import HQAConfig

PAPER = "hqa"
JSON = Path("benchmarks/papers/hqa.json")
STRIDES = 2, 4, 8, 16, 32  # 2,048, 512, 128, 32 and 8 bits a picture of 32x32
GROUPS = {"digits": "HQA against VQ-VAE at equal bits, section 5 of the paper and tables 10 and 14"}
METHODS = "HQA", "VQ-VAE", "VQ-VAE with reset"
CODES = 256


@dataclass(frozen=True)
class Size:
    """How much smaller than the paper."""

    steps: int  # of each level, of the prior, and of each VQ-VAE
    batch: int
    lr: float
    width: int  # of the VQ-VAEs
    stack: dict[str, Any]  # what differs from the paper's HQA
    context: int  # hidden channels of the learned priors
    seeds: int


NARROW: dict[str, Any] = {"encoder_width": [8] * 5, "decoder_width": [8] * 5, "dim": 4}
# Short trainings take a higher rate; with the paper's steps it is the paper's.
SIZES = {
    "smoke": Size(steps=2, batch=4, lr=1e-3, width=8, stack=NARROW, context=4, seeds=1),
    "small": Size(steps=600, batch=64, lr=2e-3, width=32, stack={}, context=16, seeds=1),
    "medium": Size(steps=3000, batch=128, lr=1e-3, width=32, stack={}, context=32, seeds=2),
    "full": Size(steps=18_000, batch=512, lr=4e-4, width=32, stack={}, context=32, seeds=2),
}


def variants(size: Size) -> list[Variant]:
    """All that is compared, all of the first seed before the second."""
    return [replace(v, seed=seed) for seed in range(size.seeds) for v in firsts(size)]


def firsts(size: Size) -> Iterator[Variant]:
    """The stack, then a VQ-VAE for each of its levels from the top."""
    common = {
        "batch": size.batch,
        "crop": 32,
        "shrink": 1.0,
        "flip": False,
        "lr": size.lr,
        "optimizer": "radam",
        "hold": 2 / 3,  # cosine in the final third, App. C.1
        "warmup": 0,
        "bf16": False,
        "validate_every": size.steps,
        "checkpoint_every": max(1, size.steps // 10),
    }
    stack: dict[str, Any] = {"level_steps": size.steps, "context": size.context}
    model = asdict(HQAConfig()) | stack | size.stack
    stages = len(STRIDES) + 1
    how = common | {"steps": stages * size.steps, "stages": stages}
    yield Variant("digits", "hqa", "HQA", "five rates", "hqa", model, how)
    for stride, reset in product(sorted(STRIDES, reverse=True), (False, True)):
        model = {
            "resolutions": [stride],
            "chain": [1],
            "codebook": [CODES],
            "dim": model["dim"],
            "width": size.width,
            "blocks": 1,
            "quantizer": "ema",
            "commitment": 0.125,  # table 14
            "context": size.context,
            "reset": reset,
        }
        bits = f"{8 * (32 // stride) ** 2} bits"
        how = common | {"steps": size.steps}
        name, method = f"vq-vae-{stride}" + "-reset" * reset, METHODS[1 + reset]
        yield Variant("digits", name, method, bits, "hq_vae", model, how)


def hqa(
    data: Annotated[Path, typer.Option(help="MNIST's training pictures, idx.gz.")],
    test: Annotated[Path, typer.Option(help="Its test pictures.")],
    runs: Annotated[Path, typer.Option(help="Folder for what is trained.")],
    size: Annotated[str, typer.Option(help=f"{', '.join(SIZES)}.")] = "small",
    seeds: Annotated[int | None, typer.Option(min=1, help="So many; by default of size.")] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Train and measure HQA and VQ-VAEs at equal bits; what is finished is kept."""
    chosen = choose(SIZES, size, seeds)
    about: Result = {"paper": PAPER, "size": size, "seeds": chosen.seeds}
    sources = Sources(data, test, runs / PAPER / size, 0)
    trained = variants(chosen)
    result = compare(trained, sources, about, out, GROUPS)
    add_rates(result, trained, sources)
    write_result(out, result)


if __name__ == "__main__":
    run(hqa)
