"""`info` and `models`: what files say of themselves. Only --fetch imports torch."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hqcodec.cli.jobs import Job, each, expand
from hqcodec.errors import HqcodecError

if TYPE_CHECKING:
    from hqcodec.container import Container

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def info(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="Files, folders, or - for stdin.")
    ],
    as_json: Json = False,
) -> None:
    """Show what .hqc files hold, layer by layer.

    Rates are of the whole file, in bits per pixel or kbit/s; ratios are against 24 bits a pixel, or
    16 a sample.
    """
    from hqcodec import container

    def work(job: Job) -> None:
        blob = job.read()
        c = container.read(blob)
        facts = {"file": job.name, **facts_of(c, len(blob)), **_details(c)}
        typer.echo(json.dumps(facts) if as_json else _page(facts))

    each([Job(file) for file, _ in expand(files, [".hqc"])], work)


def models(
    as_json: Json = False,
    fetch: Annotated[
        str | None,
        typer.Option(
            metavar="lpips", help="Download the weights of LPIPS, which `bench` measures with."
        ),
    ] = None,
) -> None:
    """List the models that are installed, and the decoders of each."""
    from hqcodec.models import zoo

    if fetch is not None:
        _fetch(fetch)
        return
    for name in zoo.names():
        weights = zoo.path(name)
        metadata = zoo.read_metadata(weights)
        facts = {
            **metadata,
            "bytes": weights.stat().st_size,
            "codes": zoo.kind_of(metadata["family"]),
            "decoders": list(zoo.decoders(name)),
        }
        if as_json:
            typer.echo(json.dumps(facts))
            continue
        typer.echo(f"{name}: {facts['description']}")
        typer.echo(
            f"  codes {facts['codes']}s, family {facts['family']}, {len(facts['layers'])} layers, "
            f"{facts['bytes']:,} bytes, hash {facts['hash'][:8]}, licence {facts['license']}"
        )
        typer.echo(f"  decoders: {', '.join(facts['decoders'])}")


def _fetch(name: str) -> None:
    """Download what `name` stands for and is missing; a line for each file."""
    if name != "lpips":
        raise HqcodecError(f"--fetch {name!r}; there is lpips (hqcodec's own models are installed)")
    from hqcodec.models.lpips_fetch import fetch_lpips

    for path, new in fetch_lpips():
        typer.echo(f"{path}: {'fetched' if new else 'was there'}")


def facts_of(c: "Container", size: int) -> dict[str, Any]:
    """What reports say of a .hqc file of `size` bytes, by the keys of their JSON."""
    from hqcodec.content import Pixels

    content: dict[str, Any] = {
        name: getattr(c.content, name) for name in c.content.__dataclass_fields__
    }
    if not isinstance(c.content, Pixels):
        content["seconds"] = round(c.content.seconds, 5)
    return {
        "kind": "picture" if isinstance(c.content, Pixels) else "sound",
        **content,
        "model": c.model,
        "weights_hash": c.weights_hash.hex(),
        "layers": len(c.payloads),
        "declared_layers": c.declared,
        "bytes": size,
        **_rate(c, size),
    }


def line_of(facts: dict[str, Any]) -> str:
    """`facts_of` in short, for people; with the PSNR if somebody measured it."""
    if facts["kind"] == "sound":
        channels = {1: "mono", 2: "stereo"}.get(facts["channels"], f"{facts['channels']} channels")
        line = (
            f"{{seconds:.2f}} s {channels} at {{rate}} Hz, {{layers}} layers, {{bytes:,}} bytes, "
            f"{_text(facts['kbps'])} kbit/s, {{ratio:.1f}} : 1"
        )
        return line.format(**facts)
    line = (
        "{width}x{height} {mode}, {layers} layers, {bytes:,} bytes, {bpp:.3f} bpp, {ratio:.1f} : 1"
    )
    return (line + (", {psnr:.2f} dB" if "psnr" in facts else "")).format(**facts)


def _rate(c: "Container", size: int) -> dict[str, float | None]:
    """Of a file of `size` bytes: against 24 bits a pixel, or 16 a sample."""
    from hqcodec.content import Pixels

    if isinstance(c.content, Pixels):
        pixels = c.content.width * c.content.height
        return {"bpp": round(8 * size / pixels, 5), "ratio": round(3 * pixels / size, 3)}
    kbps = round(8 * size / c.content.seconds / 1000, 5) if c.content.samples else None
    return {"kbps": kbps, "ratio": round(2 * c.content.samples * c.content.channels / size, 3)}


def _text(rate: float | None) -> str:
    """A rate for people; a sound without samples has none."""
    return "no" if rate is None else f"{rate:.3f}"


def _details(c: "Container") -> dict[str, Any]:
    """Layer by layer: the payload, and the file as it would be if it ended there."""
    from hqcodec.container import TAGS, truncate, write

    each_layer = []
    for count, payload in enumerate(c.payloads, 1):
        size = len(write(truncate(c, count)))
        each_layer.append({"payload_bytes": len(payload), "bytes": size, **_rate(c, size)})
    return {
        "chunks": {TAGS[tag]: len(body) for tag, body in sorted(c.chunks.items())},
        "weights": _weights(c),
        "each_layer": each_layer,
    }


def _weights(c: "Container") -> str:
    """Whether this installation can decode `c`: installed, missing, or differ."""
    from hqcodec.models import zoo

    if c.model not in zoo.names():
        return "missing"
    try:
        found = str(zoo.read_metadata(zoo.path(c.model))["hash"])
    except HqcodecError:
        return "missing"
    return "installed" if found.startswith(c.weights_hash.hex()) else "differ"


def _page(facts: dict[str, Any]) -> str:
    """`info` for people."""
    lines = [f"{facts['file']}: {line_of(facts)}"]
    weights = {
        "installed": "installed",
        "missing": "not installed: decompress needs --model FILE",
        "differ": "installed, but other weights: decompress needs --model FILE",
    }[facts["weights"]]
    lines.append("  model {model} ({weights_hash}), ".format(**facts) + weights)
    if facts["layers"] < facts["declared_layers"]:
        lines.append("  cut off: {declared_layers} layers were written".format(**facts))
    lines += [f"  {name} chunk of {size:,} bytes" for name, size in facts["chunks"].items()]
    key, unit = ("bpp", "bpp") if facts["kind"] == "picture" else ("kbps", "kbit/s")
    lines.append(f"  layers   payload   file up to here {unit:>9}     ratio")
    for count, layer in enumerate(facts["each_layer"], 1):
        row = "  {count:6} {payload_bytes:9,} {bytes:17,} {rate:>9} {ratio:7.1f}:1"
        lines.append(row.format(count=count, rate=_text(layer[key]), **layer))
    return "\n".join(lines)
