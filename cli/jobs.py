"""Sources -> targets: which files a command reads, where its results go, and how they get there."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import typer

from hqcodec.cli.progress import Bar
from hqcodec.errors import HqcodecError


@dataclass(frozen=True)
class Job:
    """One source and its target; None stands for standard input and output.

    make_folder: whether the folder of the target is made if it is missing.
    """

    source: Path | None
    target: Path | None = None
    make_folder: bool = False

    @property
    def name(self) -> str:
        """What messages call the source."""
        return "<stdin>" if self.source is None else str(self.source)

    def read(self) -> bytes:
        """All bytes of the source."""
        return sys.stdin.buffer.read() if self.source is None else self.source.read_bytes()

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """The source as a stream that can seek; what comes through a pipe goes to disk first."""
        own = None if self.source is None else self.source.open("rb")
        with own or nullcontext(sys.stdin.buffer) as raw:
            if own is not None and own.seekable():
                yield own
                return
            with tempfile.TemporaryFile() as stream:
                shutil.copyfileobj(raw, stream)
                stream.seek(0)
                yield stream

    def check(self, force: bool) -> None:
        """Raise HqcodecError if it is clear already that reading or writing will fail."""
        if self.source is not None and not self.source.exists():
            raise HqcodecError(f"{self.source}: no such file")
        if self.target is None:
            if sys.stdout.isatty():
                raise HqcodecError("will not write binary data to a terminal; name a file with -o")
        elif self.target.is_dir():
            raise HqcodecError(f"{self.target}: is a folder; name a file")
        elif self.target.is_file() and not force:
            raise HqcodecError(f"{self.target}: exists; --force overwrites it")
        elif not self.make_folder and not self.target.parent.is_dir():
            raise HqcodecError(f"{self.target}: there is no folder {self.target.parent}")

    def write(self, data: bytes) -> None:
        """Put `data` into the target: all of it, or the target stays as it was."""
        with self.writing() as stream:
            stream.write(data)

    @contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """A stream that can seek; what it holds at the end becomes the target.

        If anything goes wrong before, the target stays as it was.
        """
        if self.target is None or (self.target.exists() and not self.target.is_file()):
            with tempfile.TemporaryFile() as stream:
                yield stream
                stream.seek(0)
                if self.target is None:
                    shutil.copyfileobj(stream, sys.stdout.buffer)
                    sys.stdout.buffer.flush()
                else:  # a device or a pipe, which must not be replaced
                    with self.target.open("wb") as device:
                        shutil.copyfileobj(stream, device)
            return
        if self.make_folder:
            self.target.parent.mkdir(parents=True, exist_ok=True)
        real = Path(os.path.realpath(self.target))  # what a link points to, not the link
        temporary = real.with_name(f".hqcodec-{os.urandom(8).hex()}.tmp")
        try:
            with temporary.open("x+b") as stream:
                yield stream
            os.replace(temporary, real)
        except OSError as error:
            raise HqcodecError(f"{self.target}: {error.strerror or error}") from None
        finally:
            temporary.unlink(missing_ok=True)

    def report(self, facts: dict[str, Any], line: str, as_json: bool) -> None:
        """One line of text or JSON on stdout; on stderr if the data went to stdout."""
        names = {"source": self.name, "target": str(self.target or "<stdout>")}
        text = (
            json.dumps(names | facts)
            if as_json
            else "{source} -> {target}: ".format(**names) + line
        )
        print(text, file=sys.stderr if self.target is None else sys.stdout, flush=True)


def plan(
    sources: Sequence[str],
    out: str | None,
    suffix_for: Callable[[Path | None], str],
    wanted: Collection[str],
) -> list[Job]:
    """One job a file, with targets beside the sources or, if `out` is given, there.

    suffix_for: of the target of a source. wanted: suffixes of the files to take from folders.
    """
    files = list(expand(sources, wanted))
    whole_folder = any(Path(source).is_dir() for source in sources)
    if out == "-":
        if len(files) > 1:
            raise HqcodecError(f"{len(files)} sources; standard output has room for one")
        return [Job(file) for file, _ in files]
    if out is None:
        return [Job(file, file and file.with_suffix(suffix_for(file))) for file, _ in files]
    folder = Path(out)
    if not (len(files) > 1 or whole_folder or folder.is_dir() or out.endswith(("/", os.sep))):
        return [Job(file, folder) for file, _ in files]
    if folder.exists() and not folder.is_dir():
        raise HqcodecError(f"{out}: not a folder; {len(files)} sources need one")
    return [
        Job(file, (folder / place).with_suffix(suffix_for(file)), True) for file, place in files
    ]


def expand(sources: Sequence[str], wanted: Collection[str]) -> Iterator[tuple[Path | None, Path]]:
    """Each file that `sources` name, and its place below an output folder.

    A folder stands for all files in and below it with a suffix of `wanted`, "-" for stdin.
    """
    for source in sources:
        if source == "-":
            yield None, Path("stdin")
        elif not source:  # not the current folder, which Path("") is
            raise HqcodecError("'': not a file name")
        elif Path(source).is_dir():
            found = sorted(
                Path(folder, name)
                for folder, _, names in os.walk(source)
                for name in names
                if Path(name).suffix.lower() in wanted and not name.startswith(".")
            )
            if not found:
                raise HqcodecError(f"{source}: holds no {', '.join(wanted)} file")
            yield from ((file, file.relative_to(source)) for file in found)
        else:
            yield Path(source), Path(Path(source).name)


def admit(jobs: Sequence[Job], force: bool) -> tuple[list[Job], bool]:
    """The jobs that can start, and whether that is all; complain about the others."""
    good: list[Job] = []
    taken: dict[str, Job] = {}
    for job in jobs:
        try:
            job.check(force)
            real = os.path.realpath(job.target) if job.target else ""
            if job.target and (other := taken.setdefault(real, job)) is not job:
                raise HqcodecError(f"{other.name} becomes {job.target} already; name it with -o")
            good.append(job)
        except (HqcodecError, OSError) as error:
            complain(error, job.name)
    if not good:
        raise typer.Exit(1)
    return good, len(good) == len(jobs)


def each(
    jobs: Sequence[Job],
    work: Callable[[Job], None],
    all_well: bool = True,
    bar: Bar | None = None,
) -> None:
    """Do `work` on every job; one that fails costs one line on stderr and the exit status.

    all_well: whether it can be 0 at all. bar: where to show progress.
    """
    with bar or Bar(len(jobs), wanted=False) as shown:
        for job in jobs:
            try:
                work(job)
            except BrokenPipeError:
                raise
            except (HqcodecError, OSError, MemoryError) as error:
                complain(error, job.name)
                all_well = False
            shown.advance()
    if not all_well:
        raise typer.Exit(1)


def complain(error: Exception, about: str = "") -> None:
    """Print one line on stderr that names the file and what is wrong."""
    text = str(error)
    if isinstance(error, OSError):
        about = str(error.filename or about)
        text = error.strerror or text
    elif isinstance(error, MemoryError):
        text = "not enough memory"
    text = " ".join(text.split())
    named = text if not about or text.startswith(about) else f"{about}: {text}"
    print(f"hqcodec: {named}", file=sys.stderr)  # not typer.echo, which writes over the bar
