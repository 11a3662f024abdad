"""What each part of the photo codec brings: variants trained alike, measured on the same pictures.

Run from the root of the repository:

    python -m hqcodec.benchmarks.ablation KODAK --data PHOTOS --runs FOLDER

Every variant is trained from scratch by the `photo` config for the same few steps, then coded to
whole files. All of them are far from trained; only their differences mean something. A run that was
interrupted continues.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hqcodec.benchmarks.report import RATES, at_rate, curve, markdown, percent, replace_block
from hqcodec.benchmarks.script import run

JSON = Path("benchmarks/ablation.json")
README = Path("README.md")
BLOCK = "ablation"

# name -> what differs from the `photo` config; the last two take something from the full model,
# the others add to the one before
VARIANTS: dict[str, dict[str, Any]] = {
    "static tables, nearest code vector": {"order": "static", "constrained": False},
    "context models": {"order": "checkerboard", "constrained": False},
    "entropy-constrained choice": {"order": "checkerboard"},
    "first layer from coarse to fine": {},
    "the same from a random start": {"linear_start": False},
    "the same with static tables": {"order": "static"},
}
FULL = "first layer from coarse to fine"
SHOWN = (0.15, 0.3, 0.6, 1.0)  # bpp


def train_variant(name: str, steps: int, data: Path, runs: Path) -> Path:
    """Train a variant, or go on with it; its weights."""
    from hqcodec.models.run import read_config
    from hqcodec.models.train import train

    run = read_config("photo")
    number = list(VARIANTS).index(name)
    run = replace(
        run,
        name=f"variant-{number}",
        model=run.model | VARIANTS[name],
        train=replace(run.train, steps=steps, lr=1e-3, validate_every=steps, average=0.99),
    )
    out = runs / run.name
    weights = out / f"{run.name}.safetensors"
    if not weights.exists():
        for record in train(run, data, out):
            if int(record["step"]) % 50 == 0:
                typer.echo(f"{name}: step {record['step']:.0f}, loss {record['loss']:.1f}")
    return weights


def measure(weights: Path, folder: Path, limit: int | None) -> list[tuple[float, float]]:
    """(bpp, PSNR) of whole files at each number of layers, means over the pictures."""
    from hqcodec.benchmarks.baselines import ours
    from hqcodec.benchmarks.metrics import Judge
    from hqcodec.benchmarks.pictures import find_pictures
    from hqcodec.benchmarks.sweep import sweep

    result = sweep(find_pictures(folder, limit), [ours(str(weights))], Judge(("psnr",)))
    return curve(result, "hqcodec", "psnr")


def ablation(
    folder: Annotated[Path, typer.Argument(help="Folder with the pictures to measure on.")],
    data: Annotated[Path, typer.Option(help="Folder of pictures to train on.")],
    runs: Annotated[Path, typer.Option(help="Folder for what is trained.")],
    steps: Annotated[int, typer.Option(help="Training steps of every variant.")] = 600,
    pictures: Annotated[int | None, typer.Option(help="Measure on so many; default all.")] = None,
) -> None:
    """Train and measure all variants, write benchmarks/ablation.json and the README's table."""
    import torch

    from hqcodec.benchmarks.pictures import find_pictures
    from hqcodec.benchmarks.results import SCHEMA, environment, write_result

    curves = {}
    for name in VARIANTS:
        weights = train_variant(name, steps, data, runs)
        kept = weights.with_suffix(".json")
        if not kept.exists():
            kept.write_text(json.dumps(measure(weights, folder, pictures)))
        curves[name] = json.loads(kept.read_text())
    result = {
        "schema": SCHEMA,
        **environment(torch.get_num_threads()),
        "steps": steps,
        "pictures": len(find_pictures(folder, pictures)),
        "curves": [{"variant": name, "points": points} for name, points in curves.items()],
    }
    write_result(JSON, result)
    replace_block(README, BLOCK, table(result))
    typer.echo(table(result))


def table(result: dict[str, Any]) -> str:
    """The README's table: PSNR at some rates, and bits against the full model."""
    from hqcodec.benchmarks.curves import bd_rate

    curves = {c["variant"]: [tuple(p) for p in c["points"]] for c in result["curves"]}
    rows = []
    for name, points in curves.items():
        found = [at_rate(points, rate) for rate in SHOWN]
        bits = None if name == FULL else bd_rate(points, curves[FULL], RATES)
        shown = ["–" if value is None else f"{value:.2f}" for value in found]
        rows.append([name, *shown, "0" if name == FULL else percent(bits)])
    heads = ["variant", *(f"PSNR at {rate} bpp" for rate in SHOWN), "bits against the full model"]
    about = (
        "Each row adds to the one above, but the last two take from the full model. "
        f"{result['steps']} training steps each "
        f"(of the default model's many thousand), {result['pictures']} pictures, whole files."
    )
    return f"{markdown(heads, rows)}\n\n{about}"


if __name__ == "__main__":
    run(ablation)
