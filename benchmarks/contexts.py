"""What the context models save, how near the coder comes to them, and how long they take.

Run from the root of the repository:  python -m hqcodec.benchmarks.contexts DIR

The codes are those that the codec chooses. Static tables are the best there can be: counted, layer
by layer and group by group, on the very pictures that are coded, and free of charge.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from hqcodec import entropy
from hqcodec.benchmarks.pictures import find_pictures
from hqcodec.benchmarks.report import markdown, percent, replace_block
from hqcodec.benchmarks.results import SCHEMA, environment, write_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.base import TOTAL, Model
from hqcodec.picture import to_picture, to_tensor

JSON = Path("benchmarks/contexts.json")
README = Path("README.md")
BLOCK = "contexts"


@dataclass
class Sums:
    """Bits and seconds of one layer, summed over pictures."""

    layer: int
    coded: float = 0.0  # bits of the payloads
    entropy: float = 0.0  # bits that the context model's own probabilities make
    static: float = 0.0  # bits under static tables
    model_seconds: float = 0.0  # to work the tables out, once
    coder_seconds: float = 0.0  # to encode and to decode under tables that are there, mean of both


def add_layer(m: Model, codes: list[Tensor], layer: int, sums: Sums) -> None:
    """Measure one layer of one picture; codes: each [groups,h,w]."""
    current = codes[layer]
    start = perf_counter()
    batches = list(m.tables(codes[:layer], current))
    sums.model_seconds += perf_counter() - start
    start = perf_counter()
    payload = entropy.pack(current, batches)
    decoded = entropy.unpack(payload, torch.zeros_like(current), batches)
    sums.coder_seconds += (perf_counter() - start) / 2
    if not torch.equal(decoded, current):
        raise HqcodecError(f"layer {layer + 1} does not decode to what was coded")
    sums.coded += 8 * len(payload)
    for batch in batches:
        symbols = batch.symbols(current)
        f = batch.frequencies.expand(len(symbols), -1).gather(1, symbols[:, None])
        sums.entropy -= float(((f.double() + 1) / TOTAL).log2().sum())


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
    pixels, seconds = 0, {"analyze": 0.0, "choose": 0.0, "decode": 0.0}
    for path in find_pictures(folder):
        x = to_tensor(to_picture(path))
        pixels += x.shape[-2] * x.shape[-1]
        start = perf_counter()
        analysis, codes = m.analyze(x), list[Tensor]()
        seconds["analyze"] += perf_counter() - start
        start = perf_counter()
        while len(codes) < len(m.layers):
            codes.append(m.choose(analysis, codes))
        seconds["choose"] += perf_counter() - start
        flat = [layer[0] for layer in codes]
        for layer, current in enumerate(flat):
            add_layer(m, flat, layer, sums[layer])
            for group, row in enumerate(current.flatten(1)):
                counts[layer][group] += row.bincount(minlength=counts[layer].shape[1])
        start = perf_counter()
        m.decode(codes)
        seconds["decode"] += perf_counter() - start
        typer.echo(path.name)
    for entry, count in zip(sums, counts, strict=True):
        entry.static = static_bits(count)
    result = {
        "schema": SCHEMA,
        **environment(torch.get_num_threads()),
        "pictures": len(find_pictures(folder)),
        "pixels": pixels,
        "seconds": seconds,
        "layers": [asdict(entry) for entry in sums],
    }
    write_result(JSON, result)
    replace_block(README, BLOCK, table(result))
    typer.echo(table(result))


def table(result: dict[str, Any]) -> str:
    """The README's table, one row for each number of layers kept."""
    rows = []
    keys = ("coded", "entropy", "static", "model_seconds", "coder_seconds")
    total = dict.fromkeys(keys, 0.0)
    for layer in result["layers"]:
        total = {key: total[key] + layer[key] for key in keys}
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
    s, pictures = result["seconds"], result["pictures"]
    about = (
        f"Payloads of {pictures} pictures, the same codes under both. Seconds a picture with all "
        f"layers, {result['machine']['torch_threads']} threads: encoder network "
        f"{s['analyze'] / pictures:.2f}, choice of codes {s['choose'] / pictures:.2f}, context "
        f"models {total['model_seconds'] / pictures:.2f}, range coder "
        f"{total['coder_seconds'] / pictures:.3f}, decoder network {s['decode'] / pictures:.2f}."
    )
    return f"{markdown(heads, rows)}\n\n{about}"


if __name__ == "__main__":
    run(contexts)
