"""The sounds of a folder: found, read as samples, and described."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from hqcodec.audio import Audio
from hqcodec.benchmarks.pictures import one_line
from hqcodec.errors import HqcodecError
from hqcodec.soundfiles import FORMATS


@dataclass(frozen=True)
class Sound:
    """A sound as a result lists it.

    name: its path below the folder, which tells files of one name apart. kind: see `kind_of`.
    sha256: of the file, in hexadecimal. rate: samples a second.
    """

    name: str
    kind: str
    sha256: str
    channels: int
    rate: int
    seconds: float


def find_sounds(folder: Path, limit: int | None = None) -> list[Path]:
    """The sound files of a folder and all below it, by path; `folder` may also be one sound.

    limit: so many of each kind.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise HqcodecError(f"no folder {folder}; name one with sounds in it")
    found: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in FORMATS):
        found.setdefault(kind_of(path, folder), []).append(path)
    if not found:
        raise HqcodecError(f"no sounds in {folder}; looked for {' '.join(sorted(FORMATS))}")
    return [path for paths in found.values() for path in paths[:limit]]


def kind_of(path: Path, folder: Path) -> str:
    """What kind of sound: the folder just below the given one that it lies in, else that one."""
    inside = path.relative_to(folder).parts if path.is_relative_to(folder) else ()
    return inside[0] if len(inside) > 1 else path.absolute().parent.name


def load_sound(path: Path) -> Audio:
    """A sound file's samples at its own rate."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return Audio(samples, rate)


def survey(paths: Sequence[Path], folder: Path) -> tuple[dict[Path, Sound], list[str]]:
    """The sounds that can be read, and a line for each that cannot."""
    found: dict[Path, Sound] = {}
    failures = []
    for path in paths:
        name = path.relative_to(folder).as_posix() if path != folder else path.name
        try:
            audio = load_sound(path)
            if not len(audio.samples):
                raise HqcodecError("no samples")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            seconds, channels = len(audio.samples) / audio.rate, audio.samples.shape[1]
            kind = kind_of(path, folder)
            found[path] = Sound(name, kind, digest, channels, audio.rate, seconds)
        except (HqcodecError, OSError, soundfile.SoundFileError) as error:
            failures.append(f"{name}: {one_line(error, path)}")
    return found, failures
