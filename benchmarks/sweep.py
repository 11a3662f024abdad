"""Every picture through every codec at every setting: written, read back, decoded, judged."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.metrics import Judge, Pixels
from hqcodec.benchmarks.results import SCHEMA, Record, Result, as_dicts, environment, means
from hqcodec.errors import HqcodecError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"}


def find_pictures(folder: Path, limit: int | None = None) -> list[Path]:
    """The picture files of a folder, by name; `folder` may also be one picture."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise HqcodecError(f"no folder {folder}; name one with pictures in it")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise HqcodecError(f"no pictures in {folder}; looked for {' '.join(sorted(SUFFIXES))}")
    return found[:limit]


def load_pixels(path: Path) -> Pixels:
    """[H,W,3] uint8: upright, 24 bits a pixel, nothing else of the file is left."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def sweep(
    pictures: Sequence[Path],
    codecs: Sequence[Codec],
    judge: Judge,
    console: Console | None = None,
) -> Result:
    """Run it all and describe it; progress and failures are shown on `console` (stderr).

    A picture that cannot be read, or that a codec fails on, is left out everywhere, so that all
    means are over the same pictures; it costs a line, here and in the result's `failures`.
    """
    console = console or Console(stderr=True)
    records: list[Record] = []
    notes: dict[str, set[str]] = {}
    failures: list[str] = []
    steps = sum(len(codec.settings) for codec in codecs)
    with progress_bar(console) as bar, tempfile.TemporaryDirectory() as folder:
        task = bar.add_task("", total=steps * len(pictures))
        for i, path in enumerate(pictures):
            bar.update(task, description=path.name, completed=i * steps)
            try:
                found = one_picture(path, codecs, judge, Path(folder), lambda: bar.advance(task))
            except Exception as error:  # of any of the codecs: one line, and on
                failures.append(f"{path.name}: {one_line(error, path)}")
                console.print(f"left out: {failures[-1]}", markup=False, highlight=False)
                continue
            for record, reasons in found:
                records.append(record)
                for metric, reason in reasons.items():
                    notes.setdefault(metric, set()).add(reason)
        bar.update(task, completed=steps * len(pictures))
    if not records:
        raise HqcodecError(f"no picture came through; the first: {failures[0]}")
    # By codec, setting, picture; `one_picture` went by picture.
    order = [(name, setting) for c in codecs for name in c.curves for setting in c.settings]
    records.sort(key=lambda r: order.index((r.codec, r.setting)))
    return {
        "schema": SCHEMA,
        "what": "whole files, headers included, written, read back and decoded; "
        "rmse on 0..255; psnr: mean of PSNR in dB; ratio: 24-bit pixels over file bytes",
        **environment(torch.get_num_threads()),
        "metrics": {"names": list(judge.names), "lpips": judge.lpips and judge.lpips.net},
        "codecs": {
            name: {**c.about, "settings": list(c.settings)} for c in codecs for name in c.curves
        },
        "pictures": sorted({record.picture for record in records}),
        "failures": failures,
        "notes": {metric: sorted(reasons) for metric, reasons in sorted(notes.items())},
        "means": means(records),
        "records": as_dicts(records),
    }


def one_picture(
    path: Path, codecs: Sequence[Codec], judge: Judge, folder: Path, step: Callable[[], None]
) -> list[tuple[Record, dict[str, str]]]:
    """The records of one picture, each with the reasons for the metrics it lacks."""
    x = load_pixels(path)
    found = []
    for codec in codecs:
        for setting in codec.settings:
            try:
                found += one_file(path.name, x, codec, setting, judge, folder)
            except Exception as error:
                raise HqcodecError(f"{codec.name} {setting}: {one_line(error, path)}") from error
            step()
    return found


def one_file(
    name: str, x: Pixels, codec: Codec, setting: int, judge: Judge, folder: Path
) -> list[tuple[Record, dict[str, str]]]:
    """Pixels x [H,W,3] to a file in `folder`, and back by each of the codec's decoders."""
    height, width = x.shape[:2]
    picture = Image.fromarray(x)
    path = folder / f"picture{codec.suffix}"
    start = perf_counter()
    data = codec.encode(picture, setting)
    encode_seconds = perf_counter() - start
    path.write_bytes(data)
    stored = path.read_bytes()
    found = []
    for curve, decode in codec.curves.items():
        start = perf_counter()
        decoded = decode(stored)
        decode_seconds = perf_counter() - start
        if decoded.size != picture.size or decoded.mode != "RGB":
            wrong = f"{decoded.mode} {decoded.width}x{decoded.height}"
            raise HqcodecError(f"decodes to {wrong}, not RGB {width}x{height}")
        values, reasons = judge.measure(x, np.asarray(decoded))
        record = Record(
            codec=curve,
            setting=setting,
            picture=name,
            width=width,
            height=height,
            file_bytes=len(stored),
            payload_bytes=codec.payload(stored),
            ratio=3 * width * height / len(stored),
            bpp=8 * len(stored) / (width * height),
            **values,
            encode_seconds=encode_seconds,
            decode_seconds=decode_seconds,
        )
        found.append((record, reasons))
    return found


def one_line(error: Exception, path: Path) -> str:
    """What went wrong, in one line that does not say where the pictures lie."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(str(path), path.name)


def progress_bar(console: Console) -> Progress:
    """A bar with an estimate of the time that is left; gone when done."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
