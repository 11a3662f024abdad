"""What a sweep has finished so far, on disk, so that a run that was stopped can go on.

{"journal": 1, "fingerprint": {...}}                            what the run is: all that matters
{"picture": ..., "codec": ..., "setting": ..., "points": [...]}    a line for each finished task
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hqcodec.benchmarks.point import Measured
from hqcodec.benchmarks.results import Record, replace_text
from hqcodec.errors import FormatError, HqcodecError

VERSION = 1
Key = tuple[str, str, int]  # picture, codec, setting


class Journal:
    """The journal of one run; `finished` has what earlier runs of the same wrote."""

    def __init__(self, path: Path, fingerprint: dict[str, Any], fresh: bool = False) -> None:
        """Go on with the journal at `path`, or begin it; `fresh`: begin in any case.

        Raises HqcodecError if it is there but of another fingerprint, saying what differs.
        """
        self.path = path
        self.finished: dict[Key, list[Measured]] = {}
        mine = json.loads(json.dumps(fingerprint))  # as it comes back: tuples are lists
        header = json.dumps({"journal": VERSION, "fingerprint": mine}) + "\n"
        if fresh or not path.exists():
            replace_text(path, header)
            return
        # A line that was being written when the run was killed has no end.
        *lines, torn = path.read_text(encoding="utf-8").split("\n")
        if not lines:  # nothing but a torn header
            replace_text(path, header)
            return
        try:
            head, *rest = (json.loads(line) for line in lines)
            theirs = head["fingerprint"] if head["journal"] == VERSION else {}
            found = {key_of(entry): points_of(entry) for entry in rest}
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path} is no journal of a run; delete it or use --fresh") from error
        if what := first_difference(theirs, mine):
            raise HqcodecError(f"{path} is of another run: {what}; delete it or use --fresh")
        if torn:
            replace_text(path, "".join(f"{line}\n" for line in lines))
        self.finished = found

    def add(self, key: Key, points: list[Measured]) -> None:
        """Write down a finished task; it is on disk when this returns."""
        picture, codec, setting = key
        entry = {"picture": picture, "codec": codec, "setting": setting}
        line = json.dumps({**entry, "points": [asdict(point) for point in points]})
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(line + "\n")


def key_of(entry: dict[str, Any]) -> Key:
    """What a line is about."""
    return entry["picture"], entry["codec"], entry["setting"]


def points_of(entry: dict[str, Any]) -> list[Measured]:
    """What a line says."""
    return [Measured(Record(**p["record"]), p["reasons"]) for p in entry["points"]]


def first_difference(there: Any, here: Any, where: str = "") -> str:
    """Where two fingerprints differ first and how, in words; empty if they do not."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            place = f"{where} {key}".strip()
            if found := first_difference(there.get(key), here.get(key), place):
                return found
        return ""
    return "" if there == here else f"{where} was {brief(there)}, is {brief(here)}"


def brief(value: Any) -> str:
    """A value of a fingerprint in few words."""
    return "not there" if value is None else json.dumps(value)
