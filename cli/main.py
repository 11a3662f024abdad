"""The `hqcodec` command: here its parts are put together, and every error becomes one line."""

import atexit
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hqcodec import __version__
from hqcodec.cli.bench import bench
from hqcodec.cli.compress import compress
from hqcodec.cli.decompress import decompress
from hqcodec.cli.jobs import complain
from hqcodec.cli.sample import sample
from hqcodec.cli.show import info, models
from hqcodec.cli.train import train
from hqcodec.cli.truncate import truncate
from hqcodec.errors import HqcodecError


class OneLineErrors(TyperGroup):
    """Turns what a command raises into one line on stderr and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; status 1 for expected errors, 130 for Ctrl-C."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a full disk or a closed pipe shows here at the latest
            return result
        except typer.Exit:
            _drop_stdout()
            raise
        except KeyboardInterrupt:
            typer.echo("hqcodec: interrupted", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            _drop_stdout()
            raise typer.Exit(1) from None
        except (HqcodecError, OSError, MemoryError) as error:
            _drop_stdout()
            complain(error)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A neural codec for pictures and sound: small files that decode to the same anywhere.",
)
for command in (compress, decompress, info, truncate, models, train, sample, bench):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hqcodec {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
]


@app.callback()
def options(version: Version = False) -> None:
    """Hold the options that stand before the command."""


def _drop_stdout() -> None:
    """Let what stdout could not take be forgotten, or Python complains again when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Entry point of the installed command."""
    try:
        app(prog_name="hqcodec")
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)


def _leave(status: int) -> None:
    """End now: to take torch apart piece by piece would take another third of a second."""
    atexit._run_exitfuncs()
    _drop_stdout()
    sys.stderr.flush()
    os._exit(status)
