"""What a sweep of sound leaves behind: records, and their means by kind of sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ALL = "all"  # in place of a kind: all sounds together
METRICS = ("mel", "stft", "si_sdr", "pesq", "stoi", "visqol")
PACKAGES = (
    "torch",
    "numpy",
    "soundfile",
    "soxr",
    "constriction",
    "pesq",
    "pystoi",
    "visqol-python",
)


@dataclass(frozen=True)
class SoundRecord:
    """One sound through one codec at one setting, as a whole file and back.

    sound, kind: as `sounds.Sound` has them. kbps: bits of the file a second, in thousands. mel,
    stft: DAC's distances. si_sdr: dB. pesq: wide band. visqol: audio mode. delay: samples at the
    original's rate, by which the decoded sound was late, and which were undone. None: see the
    result's notes.
    file_sha256: of the file, in hexadecimal.
    """

    codec: str
    setting: int
    sound: str
    kind: str
    seconds: float
    file_bytes: int
    payload_bytes: int | None
    kbps: float
    mel: float | None
    stft: float | None
    si_sdr: float | None
    pesq: float | None
    stoi: float | None
    visqol: float | None
    delay: int
    file_sha256: str


def kinds(records: Sequence[SoundRecord]) -> list[str]:
    """The kinds of sound, in the order of their first record, and ALL if they are several."""
    found = list(dict.fromkeys(record.kind for record in records))
    return found if len(found) == 1 else [*found, ALL]


def means(records: Sequence[SoundRecord]) -> list[dict[str, Any]]:
    """A row for each kind, codec and setting, in the order of their first record.

    kbps is of the sums: all bytes over all seconds. A metric's mean is over those sounds for which
    every codec has it at every setting, so that all means of a kind are over the same sounds; None
    if there are none.
    """
    complete = {
        metric: {record.sound for record in records}
        - {record.sound for record in records if getattr(record, metric) is None}
        for metric in METRICS
    }
    rows = []
    for kind in kinds(records):
        groups: dict[tuple[str, int], list[SoundRecord]] = {}
        for record in records:
            if kind in (ALL, record.kind):
                groups.setdefault((record.codec, record.setting), []).append(record)
        rows += [mean(group, kind, complete) for group in groups.values()]
    return rows


def mean(group: Sequence[SoundRecord], kind: str, complete: dict[str, set[str]]) -> dict[str, Any]:
    """The row of one kind, codec and setting. complete: metric -> sounds to average it over."""

    def of(metric: str) -> float | None:
        values = [getattr(r, metric) for r in group if r.sound in complete[metric]]
        return sum(values) / len(values) if values else None

    seconds = sum(record.seconds for record in group)
    payloads = [record.payload_bytes for record in group if record.payload_bytes is not None]
    return {
        "kind": kind,
        "codec": group[0].codec,
        "setting": group[0].setting,
        "sounds": len(group),
        "seconds": seconds,
        "kbps": 8e-3 * sum(record.file_bytes for record in group) / seconds,
        "payload_kbps": 8e-3 * sum(payloads) / seconds if len(payloads) == len(group) else None,
        **{metric: of(metric) for metric in METRICS},
    }
