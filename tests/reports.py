"""Small reports, made of generated pictures by codecs that need no network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from hqcodec.benchmarks.baselines import BASELINES, Codec
from hqcodec.benchmarks.metrics import Judge
from hqcodec.benchmarks.page import write_page
from hqcodec.benchmarks.published import Published
from hqcodec.benchmarks.results import Result
from hqcodec.benchmarks.sweep import sweep
from toycodec import codec

JUDGE = Judge(("rmse", "psnr"))


def save_pictures(folder: Path, names: tuple[str, ...] = ("a.png", "b.png")) -> list[Path]:
    """Smooth pictures with some noise, each of another colour."""
    folder.mkdir(exist_ok=True)
    paths = [folder / name for name in names]
    y, x = np.mgrid[:96, :128]
    for i, path in enumerate(paths):
        noise = np.random.default_rng(i).integers(0, 24, (96, 128))
        planes = [x + noise, 2 * y, np.full_like(x, 60 + 40 * i)]
        Image.fromarray(np.stack(planes, -1).clip(0, 255).astype(np.uint8)).save(path, "PNG")
    return paths


def codecs() -> list[Codec]:
    """Ours, in whose place a toy stands, with a second decoder; and JPEG."""
    mine = codec("hqcodec")
    darker = {"hqcodec (dark)": lambda data: mine.decode(data).point(lambda v: v // 2)}
    return [replace(mine, others=darker), replace(BASELINES["jpeg"], settings=(2, 50, 95))]


def write_report(path: Path, pictures: list[Path], further: Sequence[Published] = ()) -> Result:
    """Measure the pictures and write the page, which shows them all, and `further` curves."""
    runners = codecs()
    result = sweep(pictures, runners, JUDGE)
    write_page(path, result, pictures, runners, JUDGE, len(pictures), further)
    return result
