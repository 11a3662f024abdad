"""The main job on a real picture: `python -m hqcodec.benchmarks.demo [PICTURE] [--out DIR]`.

Compresses at every layer count, writes the files, decodes each in a call of its own, prints sizes
and quality with JPEG's at no smaller a size beside them, and writes the pictures side by side.
"""

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw

from hqcodec.benchmarks.metrics import psnr, rmse
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError
from hqcodec.models.base import Model

CROP = 256  # pixels of the middle shown side by side


def demo(
    picture: Annotated[
        Path | None, typer.Argument(help="A picture; by default the photograph in matplotlib.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("demo"),
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
) -> None:
    """Compress and decompress one picture at every layer count."""
    from rich.console import Console
    from rich.table import Table

    import hqcodec
    from hqcodec import image
    from hqcodec.models import zoo

    source = image.to_pillow(image.load(picture)).convert("RGB") if picture else sample()
    loaded = {name: hqcodec.load(model, decoder=name) for name in zoo.decoders(model)}
    fidelity = loaded[zoo.FIDELITY]
    out.mkdir(parents=True, exist_ok=True)
    source.save(out / "original.png")
    pixels, reference = source.width * source.height, np.asarray(source)
    name = picture.name if picture else "Grace Hopper"
    table = Table(title=f"{name}, {source.width}x{source.height}")
    for heading in ("layers", "bytes", "ratio", "bpp", "PSNR dB", "JPEG, bytes", "JPEG, dB"):
        table.add_column(heading, justify="right")
    shown = [[("original", source)]]
    for layers in range(1, len(fidelity.layers) + 1):
        file = out / f"{layers}.hqc"
        file.write_bytes(hqcodec.compress(source, fidelity, layers))
        size = file.stat().st_size
        views = {x: shown_by(m, file.read_bytes()) for x, m in loaded.items()}
        for decoder, view in views.items():
            view.save(
                out / (f"{layers}.png" if decoder == zoo.FIDELITY else f"{layers}.{decoder}.png")
            )
        jpeg, jpeg_size = jpeg_near(source, size)
        quality, jpeg_quality = (
            psnr(rmse(reference, np.asarray(x))) for x in (views[zoo.FIDELITY], jpeg)
        )
        bpp = 8 * size / pixels
        table.add_row(
            str(layers), f"{size:,}", f"{3 * pixels / size:.1f} : 1", f"{bpp:.3f}",
            f"{quality:.2f}", f"{jpeg_size:,}", f"{jpeg_quality:.2f}",
        )  # fmt: skip
        titles = {zoo.FIDELITY: f"{layers} layers, {size:,} bytes"}
        column = [(titles.get(x, f"the same, {x}"), view) for x, view in views.items()]
        shown.append([*column, (f"JPEG {jpeg_size:,}", jpeg)])
    side_by_side(shown, out / "side_by_side.png")
    console = Console()
    console.print(table)
    console.print(f"files and pictures are in {out}/, side by side in {out / 'side_by_side.png'}")


def shown_by(model: Model, blob: bytes) -> Image.Image:
    """The picture of a file."""
    from hqcodec import api

    view = api.decompress(blob, model)
    assert isinstance(view, Image.Image)
    return view


def sample() -> Image.Image:
    """A photograph that matplotlib carries: Grace Hopper by James S. Davis, public domain.

    It comes as a JPEG, which JPEG alone can compress again for nearly nothing; at three quarters
    of its size that advantage is gone.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise HqcodecError(
            "matplotlib is missing; name a picture, or install hqcodec[bench]"
        ) from None
    with Image.open(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")) as file:
        width, height = file.size
        shrunk = file.convert("RGB").resize((width * 3 // 4, height * 3 // 4))
    return shrunk


def jpeg_near(source: Image.Image, size: int) -> tuple[Image.Image, int]:
    """The best JPEG (optimized, progressive) of at most `size` bytes, else the smallest."""
    best: tuple[Image.Image, int] | None = None
    for quality in range(1, 96):
        stream = io.BytesIO()
        source.save(stream, "JPEG", quality=quality, optimize=True, progressive=True)
        length = stream.tell()
        if best is not None and length > size:
            break
        best = Image.open(stream), length
    assert best is not None
    return best


def side_by_side(columns: list[list[tuple[str, Image.Image]]], target: Path) -> None:
    """The middles of pictures, a column a file: the original first, then ours above JPEG's."""
    source = columns[0][0][1]
    side = min(CROP, *source.size)
    left, top = (source.width - side) // 2, (source.height - side) // 4
    rows = max(map(len, columns))
    sheet = Image.new("RGB", ((side + 8) * len(columns), rows * (side + 24)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, views in enumerate(columns):
        for row, (title, x) in enumerate(views):
            place = (column * (side + 8), row * (side + 24))
            draw.text((place[0] + 2, place[1] + 6), title, fill="black")
            piece = x.crop((left, top, left + side, top + side))
            sheet.paste(piece, (place[0], place[1] + 24))
    sheet.save(target)


if __name__ == "__main__":
    run(demo)
