"""`hqcodec train`: a config and a folder of pictures in, weights and a model card out."""

from pathlib import Path
from typing import Annotated

import typer

COLUMNS = ("loss", "psnr", "mel", "bpp", "kbps", "perplexity", "lpips")


def train(
    config: Annotated[str, typer.Argument(help="A TOML file, or the name of a built-in config.")],
    data: Annotated[
        Path, typer.Option(help="Folder of pictures, sheet of tiles, .npy/.npz, IDX .gz.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, log and weights.")],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    start: Annotated[str, typer.Option(help="Weights to start from: a name or a file.")] = "",
    lpips: Annotated[
        Path | None, typer.Option(help="LPIPS weights, if the config's loss uses it.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Instead of the config's number of steps.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")] = False,
) -> None:
    """Train a model.

    Interrupt it whenever you like: the same command continues from the last checkpoint, exactly as
    if it had not stopped. OUT gets log.jsonl (a record a step), checkpoint.safetensors, and at the
    end the weights, which `--model OUT/NAME.safetensors` of the other commands takes. A config with
    `decoder = NAME` ends with a decoder alone, for `decompress --decoder FILE`.

    Example: hqcodec train photo --data pictures/ --out runs/photo
    """
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from hqcodec.models import train as trainer
    from hqcodec.models.run import read_config

    run = read_config(config)
    changes = {key: value for key, value in (("steps", steps), ("start", start)) if value}
    run = replace(run, train=replace(run.train, **changes))  # type: ignore[arg-type]
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("loading", total=run.train.steps)
        smooth: dict[str, float] = {}
        for record in trainer.train(run, data, out, device, lpips):
            for key, value in record.items():
                if key.startswith(COLUMNS):
                    smooth[key] = 0.98 * smooth.get(key, value) + 0.02 * value
            progress.update(task, completed=record["step"] + 1, description=_line(smooth))
            if "held_out_loss" in record:
                found = {
                    k.removeprefix("held_out_"): v for k, v in record.items() if "held_out" in k
                }
                console.print(
                    f"step {record['step'] + 1:.0f}, held out: {_line(found)}", highlight=False
                )
    typer.echo(out / run.file)


def _line(terms: dict[str, float]) -> str:
    """One line of figures: the loss, then each kind with its layers side by side."""
    parts = []
    for kind in COLUMNS:
        values = [f"{v:.4g}" for k, v in terms.items() if k == kind or k.startswith(f"{kind}_")]
        if values:
            parts.append(f"{kind} {' '.join(values)}")
    return "  ".join(parts)
