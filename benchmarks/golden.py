"""Whether .hqc files decode to the same codes and pixels here as on another machine.

Samples of sounds are float32 before they are rounded, so of sounds only codes are compared.

    hqcodec compress pictures/ -o files/                                      on one machine
    python -m hqcodec.benchmarks.golden files/ --out hashes.json
    python -m hqcodec.benchmarks.golden files/ --compare hashes.json          on the other

Both need the same files, not the same pictures: encoders run in float32 and may choose other codes.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from hqcodec.benchmarks.results import environment, read_result, write_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError

SCHEMA = 1


def fingerprint(blob: bytes, model: str | Path | None = None) -> dict[str, Any]:
    """SHA-256 of a .hqc file, of its codes by layer, and by decoder of its pixels at each prefix.

    model: by default the installed one that the file names. Codes are hashed as little-endian
    int32 [groups,h,w], pixels as Pillow's bytes.
    """
    from hqcodec import api, container, picture
    from hqcodec.content import Pixels
    from hqcodec.models import zoo

    c = container.read(blob)
    found: dict[str, Any] = {"file": sha256(blob)}
    for decoder, file in zoo.decoders(c.model if model is None else model).items():
        m = api.model_of(c, model, "cpu", decoder)
        codes = api.unpack(c, m, len(c.payloads))
        found["codes"] = [sha256(layer.numpy().astype("<i4").tobytes()) for layer in codes]
        found[decoder] = {"weights": zoo.read_metadata(file)["digest"]}
        if isinstance(c.content, Pixels):
            kept = range(1, len(codes) + 1)
            shown = (picture.show(c, m, codes[:n]) for n in kept)
            found[decoder]["pixels"] = [sha256(x.tobytes()) for x in shown]
    return found


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def differences(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """What two fingerprints, or two sets of them, do not share: places, joined by spaces."""
    found = []
    for key in sorted({*here, *there}):
        a, b = here.get(key), there.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += [f"{key} {place}" for place in differences(a, b)]
        elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            pairs = enumerate(zip(a, b, strict=True), 1)
            found += [f"{key} {n}" for n, (x, y) in pairs if x != y]
        elif a != b:
            found.append(f"{key} {'differs' if a and b else 'only there' if b else 'only here'}")
    return found


def golden(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with .hqc files.")],
    model: Annotated[str | None, typer.Option(help="Weights, if not installed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the hashes as JSON.")] = None,
    compare: Annotated[Path | None, typer.Option(help="JSON of another machine.")] = None,
) -> None:
    """Decode every file at every number of layers by every decoder, and hash what comes out."""
    import torch
    from rich.console import Console
    from rich.progress import track

    paths = sorted(folder.glob("*.hqc"))
    if not paths:
        raise HqcodecError(
            f"no .hqc files in {folder}; `hqcodec compress PICTURES -o DIR` makes some"
        )
    other = None if compare is None else read_result(compare, SCHEMA)
    bar = track(paths, "decoding", console=Console(stderr=True), transient=True)
    files = {p.name: fingerprint(p.read_bytes(), model) for p in bar}
    result = {"schema": SCHEMA, **environment(torch.get_num_threads()), "files": files}
    if out is not None:
        write_result(out, result)
    if other is None:
        typer.echo(f"{len(files)} files decoded" + (f", hashes in {out}" if out else ""))
        return
    for line in (found := differences(files, other["files"])):
        typer.echo(line)
    with_torch = f"torch {other['versions']['torch']} there, {result['versions']['torch']} here"
    typer.echo(f"{len(found) or 'no'} differences in {len(files)} files; {with_torch}")
    if found:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(golden)
