"""Draw benchmarks/example.png, the picture at the top of the README, from the demo's photograph.

Run from the root of the repository:  python -m hqcodec.benchmarks.example
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from hqcodec.benchmarks.demo import CROP, demo
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError

PNG = Path("benchmarks/example.png")
COLUMNS = 5  # the original and 1 to 4 layers; beyond those the eye finds no difference
GAP = 8  # pixels that the demo leaves between columns


def example(
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
) -> None:
    """Run the demo and keep what the README shows of it."""
    if not PNG.parent.is_dir():
        raise HqcodecError(f"no folder {PNG.parent}/ here; run at the repository's root")
    with tempfile.TemporaryDirectory() as folder:
        demo(None, Path(folder), model)
        with Image.open(Path(folder, "side_by_side.png")) as sheet:
            shown = sheet.crop((0, 0, min(sheet.width, COLUMNS * (CROP + GAP) - GAP), sheet.height))
    shown.save(PNG, optimize=True)
    typer.echo(f"wrote {PNG}")


if __name__ == "__main__":
    run(example)
