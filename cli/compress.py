"""`compress`: pictures and sounds to .hqc files."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cache
from typing import Annotated, Any, BinaryIO

import typer

from hqcodec.cli.jobs import Job, admit, each, plan
from hqcodec.cli.options import (
    Device,
    Force,
    Json,
    Layers,
    Out,
    Quiet,
    Sources,
    check_layers,
    stream_for_stdin,
)
from hqcodec.cli.progress import Bar
from hqcodec.cli.show import facts_of, line_of
from hqcodec.cli.targets import Bpp, Kbps, Psnr, Size, target_of


def compress(
    sources: Sources,
    out: Out = None,
    layers: Layers = None,
    target_bpp: Bpp = None,
    target_size: Size = None,
    target_psnr: Psnr = None,
    target_kbps: Kbps = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Name, or weights file; by default photo for pictures, sound for sounds. "
            "hd_vae-scans is for black and white pages.",
        ),
    ] = None,
    effort: Annotated[
        int, typer.Option("--effort", "-e", help="How long to search, 1 to 3; pictures only.")
    ] = 1,
    device: Device = "cpu",
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compress pictures and sounds to .hqc files.

    A target, in place of --layers, is searched for: never over the bits or bytes, and of a picture
    within 2 % of them where the model's range allows.

    Example: hqcodec compress speech.wav --layers 4
    """
    from hqcodec import container, image, limits, soundfiles
    from hqcodec.models import zoo

    target = target_of(target_bpp, target_size, target_psnr, target_kbps, layers)
    wanted = [*image.FORMATS, *soundfiles.FORMATS]
    jobs = plan(sources, stream_for_stdin(sources, out), lambda source: ".hqc", wanted)
    limits.check_effort(effort)

    def name_for(kind: str) -> str:
        name = model or zoo.DEFAULTS[kind]
        check_layers(layers, len(zoo.read_metadata(zoo.path(name))["layers"]), f"model {name}")
        return name

    for kind in kinds_of(jobs):
        name_for(kind)
    jobs, all_well = admit(jobs, force)
    from hqcodec import api, audio, picture  # torch, which takes seconds: not before all is well

    @cache
    def loaded(kind: str) -> Any:
        return zoo.load(name_for(kind), device)

    bar = Bar(len(jobs), not quiet)

    def work(job: Job) -> None:
        with job.reading() as stream, ExitStack() as opened:
            kind = kind_of(stream, job)
            m = loaded(kind)
            if kind == "picture":
                found: Any = image.load(stream, job.name)
            else:
                found = opened.enter_context(audio.Reader(stream, job.name))
            blob = api.compress(found, m, layers, device, target, effort, bar.tell)
            source_bytes = stream.seek(0, 2)
        job.write(blob)
        if not quiet:
            facts = facts_of(container.read(blob), len(blob))
            if target_psnr is not None:  # of what the file decodes to
                shown: Any = api.decompress(blob, m)
                facts["psnr"] = round(picture.psnr(found, shown), 3)
            job.report({"source_bytes": source_bytes, **facts}, line_of(facts), as_json)

    each(jobs, work, all_well, bar)


def kinds_of(jobs: Sequence[Job]) -> set[str]:
    """What the files among the sources are; what cannot be read is complained of elsewhere."""
    found = set()
    for job in jobs:
        with suppress(OSError):
            if job.source is not None and job.source.is_file():
                with job.source.open("rb") as stream:
                    found.add(kind_of(stream, job))
    return found


def kind_of(stream: BinaryIO, job: Job) -> str:
    """What a source is by how it starts, or else by its name: "picture" or "sound"."""
    from hqcodec.soundfiles import START, is_sound

    start = stream.read(START)
    stream.seek(0)
    return "sound" if is_sound(start, job.source.suffix if job.source else "") else "picture"
