"""The tables of the report page, as HTML; whatever comes from outside is escaped."""

import html
import math
from collections.abc import Sequence
from typing import Any

from hqcodec.benchmarks.report import (
    COLUMNS,
    LABELS,
    NAMES,
    NONE,
    RATES,
    bd_cells,
    bd_heading,
    cells,
    deltas,
    ours,
)
from hqcodec.benchmarks.results import Result

OWN = ("setting", "settings")  # keys of a codec that are no options
SPEED_AT = 0.5  # bpp; seconds depend on the rate, so all codecs are compared near one


def escape(value: Any) -> str:
    """Text that is safe between tags and in attributes; of bytes that are no text, escapes."""
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return html.escape(text)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], labels: int = 1) -> str:
    """A table that scrolls within itself; the first `labels` columns are text, the rest figures."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="text"'] * labels + [""] * (len(cells) - labels)
        found = [f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, cells, strict=True)]
        return f"<tr>{''.join(found)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>\n'
        f"<thead>{line(heading, 'th')}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def label(codec: str) -> str:
    """A codec as readers know it."""
    return NAMES.get(codec, codec)


def bd_table(result: Result) -> str:
    """Bjontegaard's deltas of each of our curves against each baseline."""
    rows = [
        [mine, *bd_cells(codec, found)]
        for mine in ours(result)
        for codec, found in deltas(result, mine).items()
    ]
    if not rows:
        return "<p>No other codec was measured.</p>"
    low, high = RATES
    note = (
        f"Bits at equal quality (BD-rate; negative is fewer) and dB at equal bits (BD-PSNR; "
        f"positive is better) from {low} to {high} bpp, by piecewise cubic interpolation (PCHIP)."
    )
    return f"<p>{note}</p>\n" + table(["of", *bd_heading("against")], rows, 2)


def means_table(result: Result) -> str:
    """Every codec at every setting."""
    rows = result["means"]
    columns = [c for c in COLUMNS if any(row.get(c) is not None for row in rows)]
    return table(
        ["codec", "setting", *(COLUMNS[c][0] for c in columns)],
        [[label(row["codec"]), f"{row['setting']}", *cells(row, columns)] for row in rows],
    )


def speed_table(result: Result) -> str:
    """Seconds, megapixels a second and peak memory of each codec, near SPEED_AT."""
    rows = []
    memory = result.get("memory", {}).get("codecs", {})
    for codec in result["codecs"]:
        settings = [row for row in result["means"] if row["codec"] == codec]
        if not settings:
            continue
        row = min(settings, key=lambda row: abs(math.log(row["bpp"] / SPEED_AT)))
        records = [
            r for r in result["records"] if (r["codec"], r["setting"]) == (codec, row["setting"])
        ]
        pixels = sum(r["width"] * r["height"] for r in records) / 1e6
        seconds = [sum(r[f"{way}code_seconds"] for r in records) for way in ("en", "de")]
        setting = f"{result['codecs'][codec]['setting']} {row['setting']}"
        rows.append(
            [
                label(codec),
                setting,
                f"{row['bpp']:.3f}",
                *(f"{total / len(records):.3f}" for total in seconds),
                *(f"{pixels / total:.2f}" if total else NONE for total in seconds),
                *mebibytes(memory.get(codec, {})),
            ]
        )
    heading = ["codec", "setting", "bpp"]
    heading += [f"{way} {unit}" for unit in ("s", "MP/s", "MiB") for way in ("encode", "decode")]
    note = (
        f"Seconds a picture, and megapixels a second, at the setting nearest to {SPEED_AT} bpp; "
        "peak memory of a process that does nothing else, libraries included, at the middle "
        "of the settings."
    )
    return f"<p>{note}</p>\n" + table(heading, rows, 2)


def mebibytes(peaks: dict[str, Any]) -> list[str]:
    """Peak memory encoding and decoding, of an entry of the result's `memory`."""
    return [f"{peaks[way]:.0f}" if way in peaks else NONE for way in ("encode", "decode")]


def provenance(result: Result) -> str:
    """What was measured, and with what, as a list of terms."""
    machine = result["machine"]
    terms = {
        "what": result.get("what", NONE),
        "versions": ", ".join(f"{name} {found}" for name, found in result["versions"].items()),
        "machine": ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine.items()),
        "LPIPS": ", ".join(
            f"{net} {result['metrics'].get('weights', {}).get(key, '')}".strip()
            for key in ("lpips", "lpips_squeeze")
            if (net := result["metrics"].get(key))
        )
        or NONE,
    }
    for codec, about in result["codecs"].items():
        options = [f"{key} {value}" for key, value in about.items() if key not in OWN]
        settings = ", ".join(map(str, about["settings"]))
        terms[label(codec)] = "; ".join([*options, f"{about['setting']} {settings}"])
    for metric, reasons in result["notes"].items():
        terms[f"no {LABELS.get(metric, metric)}"] = "; ".join(reasons)
    if result["failures"]:
        terms["left out"] = "; ".join(result["failures"])
    found = "\n".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in terms.items())
    return f"<dl>\n{found}\n</dl>"
