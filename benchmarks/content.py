"""Whether a folder holds pictures or sounds, and a result is of the one or the other."""

from pathlib import Path

from hqcodec.benchmarks.pictures import SUFFIXES as PICTURES
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.errors import FormatError, HqcodecError
from hqcodec.soundfiles import FORMATS

KINDS = ("picture", "sound")


def kind_of(folder: Path, wanted: str | None = None) -> str:
    """ "picture" or "sound": `wanted`, or what the files of a folder are, or a file is.

    Pictures lie in the folder itself, sounds also in folders below it. Raises HqcodecError if there
    are both; if there is neither, whoever looks for pictures will say so.
    """
    if wanted is not None:
        if wanted not in KINDS:
            raise HqcodecError(f"kind {wanted!r}; there are {', '.join(KINDS)}")
        return wanted
    inside = folder.iterdir() if folder.is_dir() else [folder]
    pictures = any(path.suffix.lower() in PICTURES for path in inside)
    below = folder.rglob("*") if folder.is_dir() else [folder]
    sounds = any(path.suffix.lower() in FORMATS for path in below)
    if pictures and sounds:
        raise HqcodecError(f"{folder} has pictures and sounds; say --kind picture or --kind sound")
    return "sound" if sounds else "picture"


def read_result_of(kind: str, path: Path) -> Result:
    """`read_result`, FormatError if that is not of this kind."""
    result = read_result(path)
    found = result.get("content", "picture")
    if found != kind:
        raise FormatError(f"{path} is of {found}s, the folder of {kind}s; name one of its kind")
    return result
