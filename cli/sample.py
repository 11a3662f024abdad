"""`hqcodec sample`: pictures that a model makes up."""

import re
from pathlib import Path
from typing import Annotated

import typer

from hqcodec.cli.jobs import Job
from hqcodec.errors import HqcodecError


def sample(
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture file to write.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Name, or weights file.")] = "photo",
    count: Annotated[int, typer.Option("--count", "-n", help="How many, in one sheet.")] = 16,
    size: Annotated[
        str, typer.Option(help="WIDTHxHEIGHT of each; best is what the model was trained on.")
    ] = "128x128",
    layers: Annotated[
        int | None, typer.Option("--layers", "-l", help="How many, coarse to fine; by default all.")
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", help="Below 1: likelier, less varied.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal pictures.")] = 0,
    device: Annotated[str, typer.Option(help="Where the networks run, as torch names it.")] = "cpu",
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")] = False,
) -> None:
    """Draw pictures from a model's own probabilities.

    The codes are drawn from the tables that the entropy coder uses, coarse layers first: what comes
    out shows how much of pictures those tables know.

    Example: hqcodec sample --model runs/hqa/hqa.safetensors --size 32x32 -n 64 -o samples.png
    """
    import io

    from rich.console import Console
    from rich.progress import track

    from hqcodec import image

    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    width, height = map(int, found.groups()) if found else (0, 0)
    if not width * height:
        raise HqcodecError(f"size {size!r}; want WIDTHxHEIGHT in pixels, as 128x128")
    if not 1 <= count <= 10_000:
        raise HqcodecError(f"{count} pictures; want 1 to 10000")
    suffix = out.suffix.lower()
    if suffix not in image.FORMATS:
        known = ", ".join(known[1:] for known in image.FORMATS)
        raise HqcodecError(f"cannot write pictures as {suffix[1:]!r}; known are {known}")
    job = Job(None, out)
    job.check(force)
    from PIL import Image

    # torch, which takes seconds: not before all else is well
    from hqcodec.models import zoo
    from hqcodec.models.sample import pictures
    from hqcodec.picture import from_tensor

    loaded = zoo.load(model, device)
    columns = min(count, max(1, round((count * height / width) ** 0.5)))
    sheet = Image.new("RGB", (columns * width, -(-count // columns) * height), "white")
    drawn = pictures(loaded, count, (height, width), layers, temperature, seed)
    console = Console(stderr=True)
    shown = track(
        drawn, "drawing", count, console=console, disable=quiet or not console.is_terminal
    )
    for n, x in enumerate(shown):
        pixels = Image.fromarray(from_tensor(x[None]))
        sheet.paste(pixels, (n % columns * width, n // columns * height))
    data = io.BytesIO()
    image.save(sheet, data, suffix)
    job.write(data.getvalue())
    if not quiet:
        typer.echo(f"{out}  {count} pictures of {width}x{height} by {loaded.name}")
