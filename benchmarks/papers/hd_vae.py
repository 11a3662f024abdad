"""HD-VAE on static binarized MNIST and Omniglot: against Gaussian layers, and its relaxation bias.

Run from the root of the repository, with folders of packed bits (see binary_pictures.py):

    python -m hqcodec.benchmarks.papers.hd_vae --mnist A --omniglot B --runs FOLDER --size small

HD-VAE and the Gaussian ladder have the same network, number of variables, data, batches, steps and
learning rate (App. A); what differs is the layer of variables.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from hqcodec.benchmarks.papers import binary_pictures
from hqcodec.benchmarks.papers.binary_pictures import Bits
from hqcodec.benchmarks.papers.hd_vae_measure import SAMPLES, judge
from hqcodec.benchmarks.papers.options import check_groups, choose
from hqcodec.benchmarks.papers.records import Records
from hqcodec.benchmarks.papers.runner import Sources, Variant, record, train_variant
from hqcodec.benchmarks.results import SCHEMA, Result, environment, read_result, write_result
from hqcodec.benchmarks.script import run

PAPER = "hd_vae"
JSON = Path("benchmarks/papers/hd_vae.json")
GROUPS = {
    "depth": "HD-VAE against the Gaussian ladder, table 1",
    "bias": "The relaxation bias against the number of variables, table 4 and figure 1",
}
METHODS = {"categorical": "HD-VAE", "gaussian": "Gaussian"}
UNITS = {1: (16,), 2: (8, 16), 3: (4, 8, 16)}  # table 2, coarse to fine
CLASSES = {1: (256,), 2: (64, 256), 3: (16, 64, 256)}
BIAS_UNITS = {  # L -> units of N = 12, 24, 48, 96; the paper's last is 98
    2: ((4, 8), (8, 16), (16, 32), (32, 64)),
    6: ((2,) * 6, (4,) * 6, (8,) * 6, (16,) * 6),
}
BIAS_CLASSES = 256


@dataclass(frozen=True)
class Size:
    """How much smaller than the paper."""

    steps: int
    batch: int
    lr: float
    network: dict[str, Any]  # what differs from the paper's
    bias: dict[str, Any]  # what the bias is measured with instead
    pictures: int  # for testing
    wide: int  # for measuring the bias, which is a small difference
    samples: int  # S of L_S
    seeds: int
    bias_seeds: int
    bias_lr: dict[int, float]  # by the number of layers, if it is not `lr`


NARROW: dict[str, Any] = {
    "width": 24, "blocks": 1, "dropout": 0.0, "temperature": 1.5, "middle_temperature": 0.7,
    "last_temperature": 0.5,
}  # fmt: skip
# What relaxing does is measured on models whose classes have no order at first, and whose training
# ends as cold as the paper's.
UNORDERED = {"memory_start": "normal"}
COLD = {"temperature": 0.8, "middle_temperature": 0.3, "last_temperature": 0.1, **UNORDERED}
TINY: dict[str, Any] = {"width": 4, "blocks": 1}
# Short trainings take a higher rate, no dropout, for they do not overfit, and a warmer end; chosen
# by trials of 1,000 steps on MNIST with one layer, the rate for both methods. Of two layers of 96
# cold variables in all, the coarse one often stays half silent at that rate.
SIZES = {
    "smoke": Size(
        2, 4, 2e-3, TINY, {}, pictures=6, wide=8, samples=2, seeds=1, bias_seeds=1, bias_lr={},
    ),
    "small": Size(
        1000, 128, 6e-2, NARROW, COLD, pictures=400, wide=2000, samples=1000,
        seeds=1, bias_seeds=2, bias_lr={2: 3e-2},
    ),
    "medium": Size(
        20_000, 128, 2e-3, {"blocks": 2}, UNORDERED, pictures=2000, wide=2000, samples=200,
        seeds=2, bias_seeds=2, bias_lr={},
    ),
    "full": Size(
        400_000, 128, 2e-3, {}, UNORDERED, pictures=10_000, wide=10_000, samples=1000,
        seeds=2, bias_seeds=2, bias_lr={},
    ),
}  # fmt: skip


def variants(size: Size) -> Iterator[tuple[str, Variant]]:
    """All that is compared, each with the name of its pictures; the first seed before others."""
    for seed in range(max(size.seeds, size.bias_seeds)):
        made = [*(depths(size) if seed < size.seeds else ())]
        made += [*(wider(size) if seed < size.bias_seeds else ())]
        for pictures, each in made:
            yield pictures, replace(each, seed=seed)


def depths(size: Size) -> Iterator[tuple[str, Variant]]:
    """Both methods at each depth, with the name of their pictures."""
    for pictures, layers, latent in product(("mnist", "omniglot"), UNITS, METHODS):
        model = {"latent": latent, "units": UNITS[layers], "classes": CLASSES[layers]}
        name, setting = f"{pictures}-{layers}-{latent}", f"{pictures}, L = {layers}"
        yield pictures, variant(size, "depth", name, setting, model)


def wider(size: Size) -> Iterator[tuple[str, Variant]]:
    """Models of more and more variables, likewise."""
    for layers, units in ((layers, u) for layers, all_of in BIAS_UNITS.items() for u in all_of):
        classes = (BIAS_CLASSES,) * layers
        model = {"latent": "categorical", "units": units, "classes": classes, **size.bias}
        name, setting = f"bias-{layers}-{sum(units)}", bias_setting(layers, units)
        made = variant(size, "bias", name, setting, model)
        yield "mnist", replace(made, train=made.train | {"lr": size.bias_lr.get(layers, size.lr)})


def bias_setting(layers: int, units: tuple[int, ...]) -> str:
    """How a model whose bias is measured is called."""
    return f"L = {layers}, N = {sum(units)}"


def variant(size: Size, group: str, name: str, setting: str, model: dict[str, Any]) -> Variant:
    """One training; model: what it does not share with the others."""
    lists = {
        key: list(value) if isinstance(value, tuple) else value for key, value in model.items()
    }
    table = {"architecture": "skip-lvae", "anneal_steps": size.steps, **size.network, **lists}
    how = {
        "steps": size.steps,
        "batch": size.batch,
        "crop": binary_pictures.SIDE,
        "shrink": 1.0,
        "flip": False,
        "lr": size.lr,
        "optimizer": "adamax",
        "hold": 0.5,
        "warmup": min(50, size.steps // 4),
        "bf16": False,
        "validate_every": size.steps,
        "checkpoint_every": max(1, size.steps // 10),
    }
    return Variant(group, name, METHODS[model["latent"]], setting, PAPER, table, how)


def others(out: Path, size: str, groups: Collection[str]) -> Records:
    """The records that a JSON of this size has of other groups than these."""
    if not out.exists() or (found := read_result(out))["size"] != size:
        return []
    return [record for record in found["records"] if record["group"] not in groups]


def hd_vae(
    mnist: Annotated[Path, typer.Option(help="Folder with train_packed.npy, test_packed.npy.")],
    omniglot: Annotated[Path, typer.Option(help="Folder with Omniglot's *packed.npy.")],
    runs: Annotated[Path, typer.Option(help="Folder for what is trained.")],
    size: Annotated[str, typer.Option(help=f"{', '.join(SIZES)}.")] = "small",
    seeds: Annotated[int | None, typer.Option(min=1, help="So many; by default of size.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this group; of others the JSON keeps what it has. Repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option(help="JSON to write.")] = JSON,
) -> None:
    """Train and measure ladders of categorical and of Gaussian layers; finished ones are kept."""
    check_groups(only, GROUPS)
    chosen = choose(SIZES, size, seeds)
    if seeds is not None:
        chosen = replace(chosen, bias_seeds=seeds)
    read: dict[str, Callable[[], tuple[Bits, Bits]]] = {
        "mnist": lambda: binary_pictures.mnist(mnist),
        "omniglot": lambda: binary_pictures.omniglot(omniglot),
    }
    sources, tests, counts = {}, {}, {}
    for name, parts in read.items():
        train, test = parts()
        data = binary_pictures.save(train, runs / PAPER / f"{name}.npy")
        sources[name] = Sources(data, data, runs / PAPER / size, 0)
        tests[name, "depth"] = binary_pictures.spaced(test, chosen.pictures)
        tests[name, "bias"] = binary_pictures.spaced(test, chosen.wide)
        counts[name] = {"train": len(train), "test": len(tests[name, "depth"])}
    result: Result = {
        "schema": SCHEMA,
        "paper": PAPER,
        "size": size,
        "seeds": chosen.seeds,
        **environment(torch.get_num_threads()),
        "pictures": counts,
        "samples": chosen.samples,
        "wide": chosen.wide,
        "records": others(out, size, only or GROUPS),
    }
    for name, each in variants(chosen):
        if each.group not in (only or GROUPS):
            continue
        out_folder = train_variant(each, sources[name], typer.echo)
        samples = chosen.samples if each.group == "depth" else SAMPLES
        figures = judge(out_folder / each.run().file, tests[name, each.group], samples)
        entry = record(each, out_folder, figures) | {"data": name}
        result["records"].append(entry)
        typer.echo(
            f"{each.run().name}: ELBO {entry['elbo']:.2f}, L_{samples} "
            f"{entry['weighted']:.2f} nats, KL {sum(entry['kl']):.2f}, {entry['seconds']:.0f} s"
        )
        write_result(out, result)


if __name__ == "__main__":
    run(hd_vae)
