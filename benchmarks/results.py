"""What a sweep leaves behind: records, their means, and the JSON file that holds both."""

import csv
import io
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hqcodec
from hqcodec.errors import FormatError
from hqcodec.models import compiled

SCHEMA = 2  # of the JSON
PACKAGES = ("torch", "numpy", "pillow", "constriction", "pytorch-msssim", "pillow-jxl-plugin")

# A result: {schema, what, versions, machine, metrics, codecs, pictures, failures, notes, means,
# records}, and memory where it was measured. A list of dicts takes a line for each, all else a line
# for each key.
Result = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """One picture through one codec at one setting, as a whole file on disk and back.

    ratio: 3 * width * height bytes over file_bytes. bpp: bits of the file a pixel. rmse: 0..255.
    psnr: dB. lpips is by AlexNet, lpips_squeeze by SqueezeNet. None: see the result's notes.
    file_sha256: of the file, in hexadecimal.
    """

    codec: str
    setting: int
    picture: str
    width: int
    height: int
    file_bytes: int
    payload_bytes: int | None
    ratio: float
    bpp: float
    rmse: float | None
    psnr: float | None
    ssim: float | None
    ms_ssim: float | None
    lpips: float | None
    lpips_squeeze: float | None
    encode_seconds: float
    decode_seconds: float
    file_sha256: str


def means(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Means over the pictures for each codec and setting, in the order of their first record.

    ratio is of the sums of bytes; psnr is the mean of PSNR, and psnr_of_mean_mse the PSNR of the
    mean MSE, which is lower. A value that one picture lacks, the mean lacks too.
    """
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.codec, record.setting), []).append(record)
    return [mean(group) for group in groups.values()]


def mean(group: Sequence[Record]) -> dict[str, Any]:
    """Means of the records of one codec at one setting."""
    from hqcodec.benchmarks.metrics import psnr_of_mean_mse  # this one loads torch

    def of(name: str) -> float | None:
        values = [getattr(record, name) for record in group]
        return None if None in values else sum(values) / len(values)

    errors = [record.rmse for record in group if record.rmse is not None]
    raw = sum(3 * record.width * record.height for record in group)
    whole = len(errors) == len(group) and any(errors)
    return {
        "codec": group[0].codec,
        "setting": group[0].setting,
        "pictures": len(group),
        "file_bytes": of("file_bytes"),
        "payload_bytes": of("payload_bytes"),
        "ratio": raw / sum(record.file_bytes for record in group),
        "bpp": of("bpp"),
        "rmse": of("rmse"),
        "psnr": of("psnr"),
        "psnr_of_mean_mse": psnr_of_mean_mse(errors) if whole else None,
        "ssim": of("ssim"),
        "ms_ssim": of("ms_ssim"),
        "lpips": of("lpips"),
        "lpips_squeeze": of("lpips_squeeze"),
        "encode_seconds": of("encode_seconds"),
        "decode_seconds": of("decode_seconds"),
    }


def environment(threads: int, packages: Sequence[str] = PACKAGES) -> Result:
    """Versions and machine, as far as they matter and tell nothing about whose machine it is."""
    versions = {"python": platform.python_version(), "hqcodec": hqcodec.__version__}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    machine = {
        "platform": f"{sys.platform} {platform.machine()}",
        "cpus": os.cpu_count(),
        "torch_threads": threads,
        "compiled": compiled.available(),
    }
    return {"versions": versions, "machine": machine}


def rounded(value: Any) -> Any:
    """The same with floats cut to six significant digits, which is more than is reproducible."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return value


def to_json(result: Result) -> str:
    """JSON with a line for each key, and for each entry of a list of dicts."""
    lines = []
    for key, value in rounded(result).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            entries = ",\n  ".join(json.dumps(entry, allow_nan=False) for entry in value)
            lines.append(f" {json.dumps(key)}: [\n  {entries}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def to_csv(result: Result) -> str:
    """The records as CSV: a line of names, then a line a record; what is None is left empty."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(result["records"][0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rounded(result["records"]))
    return text.getvalue()


def write_result(path: Path, result: Result) -> None:
    """Write the JSON; the file appears whole or not at all."""
    replace_text(path, to_json(result))


def read_result(path: Path, schema: int = SCHEMA) -> Result:
    """Inverse of `write_result`, of a file that has this schema; FormatError if it has another."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is not the JSON of a benchmark: {error}") from error
    found = result.get("schema") if isinstance(result, dict) else None
    if found != schema:
        raise FormatError(
            f"{path}: schema {found} of a benchmark, this hqcodec reads {schema}; measure again"
        )
    return dict(result)


def replace_text(path: Path, text: str) -> None:
    """Write a text file through a temporary sibling, which then takes the name."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(0o644)  # mkstemp makes it private
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def as_dicts(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Records as JSON has them."""
    return [asdict(record) for record in records]
