"""`truncate`: .hqc files to shorter ones."""

from pathlib import Path
from typing import Annotated

import typer

from hqcodec.cli.jobs import Job, each
from hqcodec.cli.options import Force, Json, Quiet, check_layers
from hqcodec.cli.show import facts_of, line_of


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
        check_layers(layers, len(c.payloads), "the file")
        c = container.truncate(c, layers)
        blob = container.write(c)
        job.write(blob)
        if not quiet:
            facts = facts_of(c, len(blob))
            job.report(facts, line_of(facts), as_json)

    each([job], work)
