"""One point of a sweep: a picture through a codec at a setting, as a file on disk, and back."""

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.metrics import Judge, Pixels
from hqcodec.benchmarks.pictures import load_pixels, one_line
from hqcodec.benchmarks.results import Record
from hqcodec.errors import HqcodecError


@dataclass(frozen=True)
class Task:
    """A point to measure, in words that any process understands."""

    path: Path
    codec: str
    setting: int


@dataclass(frozen=True)
class Measured:
    """A record, and for each metric that it lacks the reason."""

    record: Record
    reasons: dict[str, str]


Outcome = list[Measured] | str  # of a task: a record a curve, or why there is none


class Bench:
    """Codecs and a judge, ready to measure. Keeps the pixels of the last picture."""

    def __init__(self, codecs: Iterable[Codec], judge: Judge) -> None:
        """Names of codecs must differ."""
        self.codecs = {codec.name: codec for codec in codecs}
        self.judge = judge
        self.last: tuple[Path, Pixels] | None = None

    def outcome(self, task: Task) -> Outcome:
        """Measure a point; what goes wrong becomes a line."""
        try:
            return self.measure(task)
        except Exception as error:  # of any of the codecs
            return f"{task.codec} {task.setting}: {one_line(error, task.path)}"

    def measure(self, task: Task) -> list[Measured]:
        """To a file and back by each of the codec's decoders."""
        codec, name = self.codecs[task.codec], task.path.name
        x = self.pixels(task.path)
        height, width = x.shape[:2]
        picture = Image.fromarray(x)
        start = perf_counter()
        data = codec.encode(picture, task.setting)
        encode_seconds = perf_counter() - start
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"picture{codec.suffix}")
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
            values, reasons = self.judge.measure(x, np.asarray(decoded))
            record = Record(
                codec=curve,
                setting=task.setting,
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
                file_sha256=hashlib.sha256(stored).hexdigest(),
            )
            found.append(Measured(record, reasons))
        return found

    def pixels(self, path: Path) -> Pixels:
        """Those of a picture: the same array as long as the question is the same."""
        if self.last is None or self.last[0] != path:
            self.last = path, load_pixels(path)
        return self.last[1]
