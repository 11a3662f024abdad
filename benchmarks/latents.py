"""Latents to look at: the figures of the papers, for any model and any pictures.

    python -m hqcodec.benchmarks.latents PICTURES --model NAME --out FOLDER

layers.png         every picture decoded from 1, 2 .. layers, and below what each layer added,
                   magnified (HQ-VAE Figure 4, HR-VQVAE Figure 8)
interpolation.png  from one picture to the next in the latent, a row for each number of layers (HQA
                   Tables 5 and 8); of families that have a latent to mix
codes.png          every code of a top layer that has but one a picture (HQA Figure 4)
samples.png        pictures drawn from what the entropy coder expects
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image
from torch import Tensor

import hqcodec
from hqcodec.benchmarks.montage import Cell, montage
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError
from hqcodec.models import data, sample
from hqcodec.models.base import Model

GAIN = 4  # what a layer adds is shown so many times as strong, around middle grey
STEPS = 9  # of an interpolation, both ends among them
COLUMNS = 16  # of the codes and samples
SIDE = 96  # pixels that a small picture is magnified to, about

Rows = list[list[Cell]]


def cell(title: str, x: Tensor) -> Cell:
    """A picture [3,H,W] in 0..1, with a title."""
    pixels = x.detach().clamp(0, 1).mul(255).round().byte().movedim(0, -1).cpu().numpy()
    return Cell(title, Image.fromarray(pixels))


def grid(cells: Sequence[Cell]) -> Rows:
    """Cells in rows of COLUMNS."""
    return [list(cells[n : n + COLUMNS]) for n in range(0, len(cells), COLUMNS)]


def prefixes(model: Model, codes: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """What 1, 2 .. layers of codes [B,groups,h,w] decode to: a [B,3,H,W] each."""
    return [model.decode(codes[:n], size) for n in range(1, len(codes) + 1)]


@torch.no_grad()
def by_layers(model: Model, pictures: Sequence[Tensor]) -> Rows:
    """Two rows a picture [3,H,W]: decoded from ever more layers; what each but the first added."""
    rows: Rows = []
    for x in pictures:
        found = prefixes(model, model.encode(x[None]), (x.shape[1], x.shape[2]))
        shown = [cell(f"{n} of {len(found)}", y[0]) for n, y in enumerate(found, 1)]
        added = [
            cell(f"+ layer {n}, x{GAIN}", 0.5 + GAIN * (after - before)[0])
            for n, (before, after) in enumerate(pairwise(found), 2)
        ]
        rows += [[cell("original", x), *shown], [Cell("", None), Cell("", None), *added]]
    return rows


@torch.no_grad()
def between(model: Model, pictures: Sequence[Tensor]) -> Rows:
    """Rows of the way from each picture [3,H,W] to the next, 1st to 2nd, 3rd to 4th.

    None of pictures of different sizes, and none if the family has no latent to mix.
    """
    rows: Rows = []
    for x, y in zip(pictures[::2], pictures[1::2], strict=False):
        if x.shape != y.shape:
            continue
        codes = model.interpolate(x[None], y[None], STEPS)
        if codes is None:
            return []
        for n, way in enumerate(prefixes(model, codes, (x.shape[1], x.shape[2])), 1):
            steps = [cell(f"{n} of {len(codes)}", picture) for picture in way]
            rows.append([cell("original", x), *steps, cell("original", y)])
    return rows


@torch.no_grad()
def every_code(model: Model, size: tuple[int, int]) -> Rows:
    """What each code of the top layer alone decodes to at `size` (H, W).

    None if a picture has more than one of them: too many to enumerate.
    """
    if model.code_shape(0, size) != (1, 1, 1):
        return []
    codes = torch.arange(model.layers[0].codebook)[:, None, None, None]
    decoded = model.decode([codes], size)
    return grid([cell(str(n), x) for n, x in enumerate(decoded)])


def drawn(model: Model, size: tuple[int, int], count: int, seed: int) -> Rows:
    """`count` pictures of `size` (H, W) drawn through the model's tables."""
    found = sample.draw(model, count, size, seed=seed)
    return grid([cell(f"seed {seed + n}", x) for n, x in enumerate(found)])


def latents(
    source: Annotated[
        Path, typer.Argument(metavar="PICTURES", help="A folder, a sheet of tiles, an array.")
    ],
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("latents"),
    tile: Annotated[int, typer.Option(help="Side of a sheet's tiles; 0: no sheets.")] = 0,
    count: Annotated[int, typer.Option(min=2, help="How many of the pictures.")] = 6,
    samples: Annotated[int, typer.Option(min=0, help="How many pictures to draw.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the first drawn picture.")] = 0,
) -> None:
    """Draw what a model's layers, latents, codes and probabilities look like."""
    loaded = hqcodec.load(model)
    found = data.load(source, tile, held_out=0).train[:count]
    pictures = [torch.tensor(pixels).movedim(2, 0).float() / 255 for pixels in found]
    size = pictures[0].shape[1], pictures[0].shape[2]
    makers: dict[str, Callable[[], Rows]] = {
        "layers": lambda: by_layers(loaded, pictures),
        "interpolation": lambda: between(loaded, pictures),
        "codes": lambda: every_code(loaded, size),
        "samples": lambda: drawn(loaded, size, samples, seed),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HqcodecError(f"{out}: not a folder to write to ({error.strerror})") from None
    for name, make in makers.items():
        rows = make()
        if rows:
            montage(rows, max(1, SIDE // max(size)), out / f"{name}.png")
        typer.echo(f"{name}: {f'{out}/{name}.png' if rows else 'nothing to draw of this model'}")


if __name__ == "__main__":
    run(latents)
