"""Options that the commands share which turn files into files."""

from typing import Annotated

import typer

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


def stream_for_stdin(sources: list[str], out: str | None) -> str | None:
    """What comes from stdin goes to stdout, unless the user says otherwise."""
    return "-" if out is None and "-" in sources else out


def check_layers(layers: int | None, available: int, where: str) -> None:
    """Raise HqcodecError if there are not so many layers."""
    if layers is not None and not 1 <= layers <= available:
        raise HqcodecError(f"--layers {layers}: {where} has 1 to {available}")
