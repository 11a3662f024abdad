"""`hqcodec sample`: pictures and sounds that a model makes up."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqcodec.cli.jobs import Job
from hqcodec.errors import HqcodecError

if TYPE_CHECKING:
    from torch import Tensor

MOST = 10_000  # pictures or sounds of one file
PAUSE = 0.5  # seconds of silence between two sounds
LONGEST = 600.0  # seconds of one sound


def sample(
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture or sound file to write.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Name, or weights file.")] = "photo",
    count: Annotated[int, typer.Option("--count", "-n", help="How many, in one file.")] = 16,
    size: Annotated[
        str, typer.Option(help="WIDTHxHEIGHT of each; best is what the model was trained on.")
    ] = "128x128",
    seconds: Annotated[float, typer.Option(help="Of each sound.")] = 4.0,
    layers: Annotated[
        int | None, typer.Option("--layers", "-l", help="How many, coarse to fine; by default all.")
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", help="Below 1: likelier, less varied.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give the same again.")] = 0,
    device: Annotated[str, typer.Option(help="Where the networks run, as torch names it.")] = "cpu",
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")] = False,
) -> None:
    """Draw pictures, or sounds, from a model's own probabilities.

    Codes are drawn coarse layers first: by RRVQ-VAE from its own p(z), by all others from the
    tables that the entropy coder uses. What comes out shows how much of pictures these know.

    Example: hqcodec sample --model runs/hqa/hqa.safetensors --size 32x32 -n 64 -o samples.png
    """
    from hqcodec import image, soundfiles
    from hqcodec.models import zoo

    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    width, height = map(int, found.groups()) if found else (0, 0)
    if not width * height:
        raise HqcodecError(f"size {size!r}; want WIDTHxHEIGHT in pixels, as 128x128")
    if not 0 < seconds <= LONGEST:
        raise HqcodecError(f"{seconds:g} seconds; want above 0, and {LONGEST:g} at most")
    kind = zoo.kind_of(zoo.read_metadata(zoo.path(model))["family"])
    if not 1 <= count <= MOST:
        raise HqcodecError(f"{count} {kind}s; want 1 to {MOST}")
    suffix = out.suffix.lower()
    formats = tuple(image.FORMATS if kind == "picture" else soundfiles.FORMATS)
    if suffix not in formats:
        known = ", ".join(known[1:] for known in formats)
        raise HqcodecError(f"cannot write {kind}s as {suffix[1:]!r}; known are {known}")
    job = Job(None, out)
    job.check(force)
    # torch, which takes seconds: not before all else is well
    from hqcodec.models.sample import draw

    loaded = zoo.load(model, device)
    each = (height, width) if kind == "picture" else (1, max(1, round(seconds * loaded.rate)))
    drawn = _shown(draw(loaded, count, each, layers, temperature, seed), count, quiet)
    if kind == "picture":
        job.write(_sheet(drawn, count, width, height, suffix))
    else:
        job.write(_row(drawn, loaded.rate, suffix))
    if not quiet:
        what = f"of {width}x{height}" if kind == "picture" else f"of {seconds:g} s"
        typer.echo(f"{out}  {count} {kind}s {what} by {loaded.name}")


def _shown(drawn: "Iterator[Tensor]", count: int, quiet: bool) -> "Iterable[Tensor]":
    """The same, with a bar on stderr if someone is there to see it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(drawn, "drawing", count, console=console, disable=quiet or not console.is_terminal)


def _sheet(drawn: "Iterable[Tensor]", count: int, width: int, height: int, suffix: str) -> bytes:
    """A picture file with all pictures [3,H,W], in rows."""
    import io

    from PIL import Image

    from hqcodec import image
    from hqcodec.picture import from_tensor

    columns = min(count, max(1, round((count * height / width) ** 0.5)))
    sheet = Image.new("RGB", (columns * width, -(-count // columns) * height), "white")
    for n, x in enumerate(drawn):
        pixels = Image.fromarray(from_tensor(x[None]))
        sheet.paste(pixels, (n % columns * width, n // columns * height))
    data = io.BytesIO()
    image.save(sheet, data, suffix)
    return data.getvalue()


def _row(drawn: "Iterable[Tensor]", rate: int, suffix: str) -> bytes:
    """A sound file with all sounds [1,samples], one after the other."""
    import io

    import numpy as np

    from hqcodec import audio

    pause = np.zeros((round(PAUSE * rate), 1), np.float32)
    parts = [part for x in drawn for part in (x.numpy().T, pause)][:-1]
    data = io.BytesIO()
    audio.save(audio.Audio(np.concatenate(parts), rate), data, suffix)
    return data.getvalue()
