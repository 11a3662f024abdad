"""`compress`, `decompress`, `truncate`: pictures to .hqc files and back."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from hqcodec.cli.jobs import Job, admit, complain, each, plan
from hqcodec.cli.show import facts_of, line_of
from hqcodec.cli.targets import Bpp, Psnr, Size, target_of
from hqcodec.errors import HqcodecError

Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCES...", help="Files, folders with all below, or - for stdin."),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", "-o", help="File, folder, or - for stdout; by default beside the source."
    ),
]
Layers = Annotated[
    int | None,
    typer.Option(
        "--layers", "-l", help="How many, coarse to fine; by default all, or the model's choice."
    ),
]
Device = Annotated[str, typer.Option(help="Where the networks run, as torch names it.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Report errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON, one object a line.")]


def compress(
    sources: Sources,
    out: Out = None,
    layers: Layers = None,
    target_bpp: Bpp = None,
    target_size: Size = None,
    target_psnr: Psnr = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Name, or weights file.")] = "photo",
    effort: Annotated[int, typer.Option("--effort", "-e", help="How long to search: 1 to 3.")] = 1,
    device: Device = "cpu",
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compress pictures to .hqc files.

    A target, in place of --layers, is searched for: never over the bits or bytes, within 2 % of
    them where the model's range allows.
    """
    from hqcodec import container, image, limits
    from hqcodec.models import zoo

    target = target_of(target_bpp, target_size, target_psnr, layers)
    jobs = plan(sources, _stream_for_stdin(sources, out), ".hqc", image.FORMATS)
    _check_layers(layers, len(zoo.read_metadata(zoo.path(model))["layers"]), f"model {model}")
    limits.check_effort(effort)
    jobs, all_well = admit(jobs, force)
    from hqcodec import api  # torch, which takes seconds: not before all else is well

    loaded = zoo.load(model, device)

    def work(job: Job) -> None:
        data = job.read()
        picture = image.load(data, job.name)
        blob = api.compress(picture, loaded, layers, device, target, effort)
        job.write(blob)
        if not quiet:
            facts = facts_of(container.read(blob), len(blob))
            if target_psnr is not None:  # of what the file decodes to
                facts["psnr"] = round(api.psnr(picture, api.decompress(blob, loaded)), 3)
            job.report({"source_bytes": len(data), **facts}, line_of(facts), as_json)

    each(jobs, work, all_well, bar=not quiet)


def decompress(
    sources: Sources,
    out: Out = None,
    layers: Layers = None,
    format: Annotated[
        str | None, typer.Option(help="png, jpg, webp, ...; by default the suffix of -o, or png.")
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
    """Restore pictures from .hqc files, whole or cut.

    A file can be shown in more than one way: `hqcodec models` lists each model's decoders.

    Example: hqcodec decompress photo.hqc --decoder perceptual
    """
    import io

    from hqcodec import container, image

    suffix = "." + (format or "png").lower().removeprefix(".")
    jobs = plan(sources, _stream_for_stdin(sources, out), suffix, [".hqc"])
    for wanted in {suffix} | {_format(job, format, suffix) for job in jobs}:
        if wanted not in image.FORMATS:
            known = ", ".join(known[1:] for known in image.FORMATS)
            raise HqcodecError(f"cannot write pictures as {wanted[1:]!r}; known are {known}")
    jobs, all_well = admit(jobs, force)

    def work(job: Job) -> None:
        blob = job.read()
        c = container.read(blob)
        _check_layers(layers, len(c.payloads), "the file")
        from hqcodec import api  # torch, which takes seconds: not for files that are damaged

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            decoded = api.decompress(blob, model, layers, device, decoder)
        for warning in caught:
            complain(HqcodecError(str(warning.message)), job.name)
        stream = io.BytesIO()
        image.save(decoded, stream, _format(job, format, suffix))
        job.write(stream.getvalue())
        if not quiet:
            facts = facts_of(c if layers is None else container.truncate(c, layers), len(blob))
            job.report({"target_bytes": stream.tell(), **facts}, line_of(facts), as_json)

    each(jobs, work, all_well, bar=not quiet)


def truncate(
    source: Annotated[str, typer.Argument(help="A .hqc file, or - for stdin.")],
    layers: Annotated[
        int, typer.Option("--layers", "-l", help="How many to keep, coarse to fine.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write, or - for stdout.")],
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Drop the finest layers of a .hqc file, without decoding it."""
    from hqcodec import container

    job = Job(None if source == "-" else Path(source), None if out == "-" else Path(out))
    job.check(force)

    def work(job: Job) -> None:
        c = container.read(job.read())
        _check_layers(layers, len(c.payloads), "the file")
        c = container.truncate(c, layers)
        blob = container.write(c)
        job.write(blob)
        if not quiet:
            facts = facts_of(c, len(blob))
            job.report(facts, line_of(facts), as_json)

    each([job], work)


def _stream_for_stdin(sources: list[str], out: str | None) -> str | None:
    """What comes from stdin goes to stdout, unless the user says otherwise."""
    return "-" if out is None and "-" in sources else out


def _check_layers(layers: int | None, available: int, where: str) -> None:
    if layers is not None and not 1 <= layers <= available:
        raise HqcodecError(f"--layers {layers}: {where} has 1 to {available}")


def _format(job: Job, format: str | None, suffix: str) -> str:
    """Suffix of the picture that `job` writes; `format` counts more than the target's name."""
    if format or job.target is None:
        return suffix
    return job.target.suffix.lower() or suffix
