"""`decompress`: .hqc files to pictures and sounds."""

import io
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hqcodec.cli.jobs import Job, admit, complain, each, plan
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
from hqcodec.errors import HqcodecError


def decompress(
    sources: Sources,
    out: Out = None,
    layers: Layers = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="png, jpg, ... or wav, flac, ogg, opus, mp3, ...; by default the suffix of -o, "
            "or png and wav."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Weights to use in place of those named.")
    ] = None,
    decoder: Annotated[
        str,
        typer.Option(
            "--decoder",
            "-d",
            help="How codes become a picture: fidelity is near the original in every pixel, "
            "perceptual restores texture; or a decoder's file.",
        ),
    ] = "fidelity",
    device: Device = "cpu",
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Restore pictures and sounds from .hqc files, whole or cut.

    A file can be shown in more than one way: `hqcodec models` lists each model's decoders.

    Example: hqcodec decompress photo.hqc --decoder perceptual
    """
    from hqcodec import container, image, soundfiles
    from hqcodec.content import Samples

    given = format and "." + format.lower().removeprefix(".")

    def suffix_for(source: Path | None) -> str:
        return given or (".wav" if is_sound_file(source) else ".png")

    jobs = plan(sources, stream_for_stdin(sources, out), suffix_for, [".hqc"])
    for job in jobs:
        if wanted := given or (job.target and job.target.suffix.lower()):
            check_format(wanted, [*image.FORMATS, *soundfiles.FORMATS], "files")
    jobs, all_well = admit(jobs, force)
    bar = Bar(len(jobs), not quiet)

    def work(job: Job) -> None:
        blob = job.read()
        c = container.read(blob)
        check_layers(layers, len(c.payloads), "the file")
        named = given or (job.target and job.target.suffix.lower())
        if isinstance(c.content, Samples):
            suffix = check_format(named or ".wav", soundfiles.FORMATS, "sounds")
        else:
            suffix = check_format(named or ".png", image.FORMATS, "pictures")
        from hqcodec import api  # torch, which takes seconds: not for files that are damaged

        if isinstance(c.content, Samples):
            from hqcodec import audio

            with job.writing() as stream:
                with passed_on(job):
                    parts = api.blocks(blob, model, layers, device, decoder, bar.tell)
                shape = c.content.channels, c.content.rate, c.content.samples
                with audio.Writer(stream, suffix, *shape) as writer:
                    for part in parts:
                        writer.write(part)
                target_bytes = stream.seek(0, 2)
        else:
            with passed_on(job):
                shown: Any = api.decompress(blob, model, layers, device, decoder)
            data = io.BytesIO()
            image.save(shown, data, suffix)
            job.write(data.getvalue())
            target_bytes = data.tell()
        if not quiet:
            facts = facts_of(c if layers is None else container.truncate(c, layers), len(blob))
            job.report({"target_bytes": target_bytes, **facts}, line_of(facts), as_json)

    each(jobs, work, all_well, bar)


def is_sound_file(source: Path | None) -> bool:
    """Whether a file looks like a .hqc file of a sound, as far as its name depends on it."""
    from hqcodec.container import MAGIC, SOUND, VERSION

    start = bytes([*MAGIC, VERSION, SOUND])
    if source is None or not source.is_file():
        return False
    try:
        with source.open("rb") as stream:
            return stream.read(len(start)) == start
    except OSError:
        return False  # what is wrong is said when it is read


def check_format(suffix: str, known: Collection[str], what: str) -> str:
    """The suffix; HqcodecError if it is none of those."""
    if suffix not in known:
        names = ", ".join(name[1:] for name in known)
        raise HqcodecError(f"cannot write {what} as {suffix[1:]!r}; known are {names}")
    return suffix


@contextmanager
def passed_on(job: Job) -> Iterator[None]:
    """Warnings become lines on stderr that name the file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        complain(HqcodecError(str(warning.message)), job.name)
