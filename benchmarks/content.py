"""Whether a folder holds pictures or sounds."""

from pathlib import Path

from hqcodec.benchmarks.pictures import SUFFIXES as PICTURES
from hqcodec.errors import HqcodecError
from hqcodec.models.sounds import SUFFIXES as SOUNDS

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
    sounds = any(path.suffix.lower() in SOUNDS for path in below)
    if pictures and sounds:
        raise HqcodecError(f"{folder} has pictures and sounds; say --kind picture or --kind sound")
    return "sound" if sounds else "picture"
