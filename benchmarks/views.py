"""The pictures that a report shows: the original, ours by layers, and baselines at equal bytes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.metrics import Judge, Pixels
from hqcodec.benchmarks.pictures import load_pixels, one_line
from hqcodec.errors import HqcodecError

ORIGINAL = "original"
SHOWN = ("psnr", "lpips")  # metrics beside the pictures
TYPES = {".jpg": "image/jpeg", ".webp": "image/webp", ".avif": "image/avif"}  # browsers show these
# What browsers cannot show is shown as WebP of this quality, whose own error is far smaller.
QUALITY = 90

# What the page knows of one side at one layer count: {image, bytes, bpp, setting, recompressed,
# larger, psnr, lpips}; image is an index into the page's list.
View = dict[str, Any]


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """`count` of the paths, evenly over the whole list, first and last among them."""
    if count >= len(paths):
        return list(paths)
    steps = max(count - 1, 1)
    return [paths[round(i * (len(paths) - 1) / steps)] for i in range(count)]


class Album:
    """Images as data URIs, each kept once; its pictures refer to them by number."""

    def __init__(self, judge: Judge) -> None:
        """Pictures are judged by those metrics of `judge` that the page shows."""
        self.judge = replace(judge, names=tuple(name for name in judge.names if name in SHOWN))
        self.numbers: dict[str, int] = {}

    @property
    def images(self) -> list[str]:
        """Data URIs by number."""
        return list(self.numbers)

    def picture(self, path: Path, codecs: Sequence[Codec]) -> dict[str, Any]:
        """{name, width, height, sides: {side: [View for each layer count]}} of one picture.

        codecs: ours first, whose files set the sizes for the others.
        """
        try:
            x = load_pixels(path)
            return {
                "name": path.name,
                "width": x.shape[1],
                "height": x.shape[0],
                "sides": self.sides(x, codecs),
            }
        except Exception as error:  # of any of the codecs
            raise HqcodecError(f"report: {path.name}: {one_line(error, path)}") from error

    def sides(self, x: Pixels, codecs: Sequence[Codec]) -> dict[str, list[View]]:
        """Pixels x [H,W,3] as each side shows them."""
        mine, *others = codecs
        source = Image.fromarray(x)
        files = [mine.encode(source, setting) for setting in mine.settings]
        original = self.view(x, source, x.nbytes) | dict.fromkeys(SHOWN)
        found = {ORIGINAL: [original] * len(files)}
        for name, decode in mine.curves.items():
            found[name] = [
                self.view(x, decode(data), len(data)) | {"setting": setting}
                for setting, data in zip(mine.settings, files, strict=True)
            ]
        for codec in others:
            ladder = Ladder(codec, source)
            known: dict[Any, View] = {}  # layers may share a file
            found[codec.name] = []
            for size in map(len, files):
                setting = ladder.at_most(size)
                data = ladder.file(setting)
                if setting not in known:
                    shown = data if codec.suffix in TYPES else None
                    view = self.view(x, codec.decode(data), len(data), shown, codec.suffix)
                    known[setting] = view | {"setting": setting}
                found[codec.name].append(known[setting] | {"larger": len(data) > size})
        return found

    def view(
        self,
        x: Pixels,
        decoded: Image.Image,
        size: int,
        file: bytes | None = None,
        suffix: str = "",
    ) -> View:
        """A decoded file of `size` bytes; `file`: its bytes, if a browser can show them."""
        values, _ = self.judge.measure(x, np.asarray(decoded))
        if recompressed := file is None:
            stream = io.BytesIO()
            decoded.save(stream, format="WEBP", quality=QUALITY, method=4)
            file, suffix = stream.getvalue(), ".webp"
        uri = f"data:{TYPES[suffix]};base64,{base64.b64encode(file).decode()}"
        return {
            "image": self.numbers.setdefault(uri, len(self.numbers)),
            "bytes": size,
            "bpp": 8 * size / (x.shape[0] * x.shape[1]),
            "setting": None,
            "recompressed": recompressed,
            "larger": False,
            **{name: values[name] for name in SHOWN},
        }


class Ladder:
    """The files of one codec for one picture, made when they are asked for."""

    def __init__(self, codec: Codec, source: Image.Image) -> None:
        """Nothing is encoded yet."""
        self.codec, self.source = codec, source
        self.files: dict[Any, bytes] = {}

    def file(self, setting: Any) -> bytes:
        """The file at this setting."""
        if setting not in self.files:
            self.files[setting] = self.codec.encode(self.source, setting)
        return self.files[setting]

    def at_most(self, size: int) -> Any:
        """The setting of the largest file of at most `size` bytes; the smallest's if none is.

        Between two rungs of the codec's ladder whole numbers are tried by bisection, so that a
        coarse ladder does not make a codec look worse than it is at that size.
        """
        below, above = None, None
        for setting in self.codec.settings:
            if len(self.file(setting)) > size:
                above = setting
                break
            below = setting
        if below is None:
            return above
        while isinstance(above, int) and isinstance(below, int) and abs(above - below) > 1:
            middle = (below + above) // 2
            if len(self.file(middle)) > size:
                above = middle
            else:
                below = middle
        return below
