"""What the context models save, how near the coder comes to them, and how long they take.

Run from the root of the repository:  python -m hqcodec.benchmarks.contexts DIR

The codes are those that the codec chooses. Static tables are the best there can be: counted, layer
by layer and group by group, on the very pictures that are coded, and free of charge.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, ParamSpec, TypeVar

import torch
import typer
from torch import Tensor

from hqcodec import entropy
from hqcodec.benchmarks.pictures import find_pictures
from hqcodec.benchmarks.report import markdown, percent, replace_block
from hqcodec.benchmarks.results import SCHEMA, environment, write_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError
from hqcodec.models import compiled, photo_codes, zoo
from hqcodec.models.base import Model, zeros
from hqcodec.models.photo import Photo
from hqcodec.picture import to_picture, to_tensor

JSON = Path("benchmarks/contexts.json")
README = Path("README.md")
BLOCK = "contexts"

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Sums:
    """Bits of one layer, summed over pictures."""

    layer: int
    coded: float = 0.0  # bits of the payloads
    entropy: float = 0.0  # bits that the context model's own probabilities make
    static: float = 0.0  # bits under static tables


@dataclass
class Seconds:
    """Of files of so many layers, on so many threads, summed over pictures."""

    layers: int
    threads: int
    analyze: float = 0.0  # the encoder's network
    choose: float = 0.0  # the codes, under the context models
    code: float = 0.0  # and the range coder, which adds so much to that
    pack: float = 0.0  # what context models and range coder take alone, of known codes
    unpack: float = 0.0  # payloads to codes: context models and range decoder
    decode: float = 0.0  # the decoder's network


def add_layer(m: Model, codes: list[Tensor], layer: int, sums: Sums) -> None:
    """Measure one layer of one picture; codes: each [groups,h,w]."""
    current = codes[layer]
    sums.coded += 8 * len(entropy.pack_layer(m, codes[:layer], current))
    sums.entropy += sum(batch.bits(current) for batch in m.tables(codes[:layer], current))


def add_seconds(m: Model, x: Tensor, seconds: Seconds) -> list[Tensor]:
    """Measure a file of x [1,3,H,W], there and back; its codes, each [groups,h,w]."""
    analysis, codes, payloads = timed(seconds, "analyze", m.analyze, x), list[Tensor](), []
    size = (x.shape[2], x.shape[3])
    while len(codes) < seconds.layers:
        current = zeros(m.code_shape(len(codes), size))
        payloads.append(timed(seconds, "code", entropy.pack_chosen, m, analysis, codes, current))
        if isinstance(m, Photo) and compiled.available():  # else it takes all the time of both
            chosen, z, before = zeros(tuple(current.shape)), analysis[0], seconds.choose
            timed(seconds, "choose", photo_codes.code, m, None, codes, chosen, z)
            seconds.code -= seconds.choose - before
        if timed(seconds, "pack", entropy.pack_layer, m, codes, current) != payloads[-1]:
            raise HqcodecError("codes are not packed alike whether they are known or chosen")
        codes.append(current)
    decoded = list[Tensor]()
    for payload in payloads:
        seen = m, payload, decoded, zeros(m.code_shape(len(decoded), size))
        decoded.append(timed(seconds, "unpack", entropy.unpack_layer, *seen))
    timed(seconds, "decode", m.decode, [layer[None] for layer in decoded], size)
    if not all(map(torch.equal, codes, decoded)):
        raise HqcodecError("a picture does not decode to what was coded")
    return codes


def timed(
    seconds: Seconds, stage: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What a call gives; its time goes to a stage."""
    start = perf_counter()
    found = call(*args, **kwargs)
    setattr(seconds, stage, getattr(seconds, stage) + perf_counter() - start)
    return found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def static_bits(counts: Tensor) -> float:
    """Bits of codes with these counts [groups,K] under tables made of the counts themselves."""
    p = counts / counts.sum(1, keepdim=True)
    return float(-(counts * p.clamp(min=1e-30).log2()).sum())


def contexts(
    folder: Annotated[Path, typer.Argument(help="Folder with pictures.")],
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "photo",
) -> None:
    """Measure, write benchmarks/contexts.json and the README's table."""
    m = zoo.load(model)
    sums = [Sums(layer + 1) for layer in range(len(m.layers))]
    counts = [torch.zeros(s.groups, s.codebook, dtype=torch.float64) for s in m.layers]
    seconds = [
        Seconds(count, threads)
        for count in sorted({m.default_layers, len(m.layers)})
        for threads in sorted({1, torch.get_num_threads()})
    ]
    pixels, paths = 0, find_pictures(folder)
    for each in seconds:  # once uncounted, until everything is loaded
        add_seconds(m, to_tensor(to_picture(paths[0])), replace(each))
    for path in paths:
        x = to_tensor(to_picture(path))
        pixels += x.shape[-2] * x.shape[-1]
        for each in seconds:
            with threads(each.threads):
                codes = add_seconds(m, x, each)
        for layer, current in enumerate(codes):
            add_layer(m, codes, layer, sums[layer])
            for group, row in enumerate(current.flatten(1)):
                counts[layer][group] += row.bincount(minlength=counts[layer].shape[1])
        typer.echo(path.name)
    for entry, count in zip(sums, counts, strict=True):
        entry.static = static_bits(count)
    result = {
        "schema": SCHEMA,
        **environment(torch.get_num_threads()),
        "pictures": len(paths),
        "pixels": pixels,
        "seconds": [asdict(each) for each in seconds],
        "layers": [asdict(entry) for entry in sums],
    }
    write_result(JSON, result)
    replace_block(README, BLOCK, table(result))
    typer.echo(table(result))


def table(result: dict[str, Any]) -> str:
    """The README's table, one row for each number of layers kept."""
    rows, total = [], dict.fromkeys(("coded", "entropy", "static"), 0.0)
    for layer in result["layers"]:
        total = {key: total[key] + layer[key] for key in total}
        rows.append(
            [
                str(layer["layer"]),
                f"{total['static'] / result['pixels']:.3f}",
                f"{total['coded'] / result['pixels']:.3f}",
                percent(100 * (total["coded"] / total["static"] - 1)),
                percent(100 * (total["coded"] / total["entropy"] - 1)).replace("+0.0", "0.0"),
            ]
        )
    heads = ["layers", "bpp, static tables", "bpp, context models", "saved", "above the entropy"]
    pictures = result["pictures"]
    about = (
        f"Payloads of {pictures} pictures, the same codes under both. Seconds a picture, encoding "
        "and decoding; the entropy stage is context models, tables and range coder. Choosing runs "
        "the context models too, so that coding adds little to it; for codes that are known they "
        "run for the coder alone (there, alone)."
    )
    return f"{markdown(heads, rows)}\n\n{about}\n\n{times(result)}"


def times(result: dict[str, Any]) -> str:
    """A table of seconds a picture."""
    rows = []
    for s in map(lambda found: Seconds(**found), result["seconds"]):
        there, back = s.analyze + s.choose + s.code, s.unpack + s.decode
        stages = s.analyze, s.choose, s.code, s.pack, s.unpack, s.decode
        shares = (
            s.code / there,
            s.pack / there,
            s.unpack / back,
            (s.pack + s.unpack) / (there + back),
        )
        rows.append(
            [f"{s.layers}, {s.threads}"]
            + [f"{value / result['pictures']:.3f}" for value in stages]
            + [f"{100 * share:.0f} %" for share in shares]
        )
    heads = [
        "layers, threads", "encoder network", "choosing codes", "coding adds", "there, alone",
        "back", "decoder network", "coding adds", "there, alone", "back", "both ways",
    ]  # fmt: skip
    return markdown(heads, rows)


if __name__ == "__main__":
    run(contexts)
