"""Tables from the JSON of a sweep, and the block of the README that is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from hqcodec.benchmarks.curves import bd_quality, bd_rate, decibels, pchip
from hqcodec.benchmarks.results import Result, replace_text
from hqcodec.errors import FormatError

OURS = "hqcodec"
LABELS = {"psnr": "PSNR", "ms_ssim": "MS-SSIM", "lpips": "LPIPS"}
# Metrics that the README compares codecs by, at equal rates.
COMPARED = {
    "psnr": "PSNR in dB",
    "lpips": "LPIPS (AlexNet; less is better)",
    "lpips_squeeze": "LPIPS (SqueezeNet, which no decoder was trained on)",
}
NAMES = {
    "jpeg": "JPEG",
    "jpeg444": "JPEG 4:4:4",
    "webp": "WebP",
    "avif": "AVIF",
    "jxl": "JPEG XL",
    "jpeg2000": "JPEG 2000",
    "opus": "Opus",
    "mp3": "MP3",
    "vorbis": "Vorbis",
}
RATES = (0.1, 1.0)  # bpp between which curves are compared: small files that still look good
SHOWN = (0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0)  # bpp at which codecs are compared
NONE = "–"
# column -> (heading, format)
COLUMNS = {
    "bpp": ("bpp", "{:.3f}"),
    "file_bytes": ("bytes", "{:,.0f}"),
    "ratio": ("ratio", "{:.1f}"),
    "rmse": ("RMSE", "{:.2f}"),
    "psnr": ("PSNR", "{:.2f}"),
    "psnr_of_mean_mse": ("PSNR of mean MSE", "{:.2f}"),
    "ms_ssim": ("MS-SSIM", "{:.4f}"),
    "lpips": ("LPIPS", "{:.3f}"),
    "lpips_squeeze": ("LPIPS (SqueezeNet)", "{:.3f}"),
    "encode_seconds": ("encode s", "{:.3f}"),
    "decode_seconds": ("decode s", "{:.3f}"),
}

Points = list[tuple[float, float]]


def curve(result: Result, codec: str, metric: str) -> Points:
    """(bpp, metric) of each setting that has it, by rising rate."""
    rows = [row for row in result["means"] if row["codec"] == codec and row[metric] is not None]
    return sorted((row["bpp"], row[metric]) for row in rows)


def at_rate(points: Points, rate: float) -> float | None:
    """The metric at a rate between those of a curve, by PCHIP over log rate; None outside."""
    points = sorted({r: q for r, q in points}.items())
    if len(points) < 2 or not points[0][0] <= rate <= points[-1][0]:
        return None
    rates, values = np.array(points).T
    return float(pchip(np.log(rates), values, np.log(np.array([rate])))[0])


@dataclass(frozen=True)
class Deltas:
    """Bjontegaard's deltas of two curves: metric of LABELS -> value, None: no overlap.

    rate: bits more at equal quality, in percent. quality: dB more at equal rate. MS-SSIM and LPIPS
    are compared as `decibels`: -10 log10(1 - MS-SSIM) and -10 log10(LPIPS).
    """

    rate: dict[str, float | None]
    quality: dict[str, float | None]


def deltas(result: Result, mine: str = OURS) -> dict[str, Deltas]:
    """Baseline -> how a curve of ours compares with it, between RATES."""

    def points(codec: str, metric: str) -> Points:
        return [(rate, decibels(metric, value)) for rate, value in curve(result, codec, metric)]

    def against(codec: str) -> Deltas:
        pairs = {m: (points(mine, m), points(codec, m)) for m in LABELS}
        return Deltas(
            {m: bd_rate(*pair, RATES) for m, pair in pairs.items()},
            {m: bd_quality(*pair, RATES) for m, pair in pairs.items()},
        )

    return {codec: against(codec) for codec in baselines(result)}


def ours(result: Result) -> list[str]:
    """Our curves: hqcodec, and "hqcodec (NAME)" for each further decoder of the same files."""
    return [codec for codec in result["codecs"] if codec.partition(" (")[0] == OURS]


def baselines(result: Result) -> list[str]:
    """The codecs that are not ours, in the order they ran."""
    return [codec for codec in result["codecs"] if codec not in ours(result)]


def short(codec: str) -> str:
    """A name for where there is little room: of our further curves, the decoder's."""
    return NAMES.get(codec, codec.removeprefix(f"{OURS} (").removesuffix(")"))


def pictures(result: Result) -> str:
    """How many there were."""
    count = len(result["pictures"])
    return f"{count} picture{'s' * (count != 1)}"


def cells(row: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """The values of one row of means as text."""
    return [NONE if row[c] is None else COLUMNS[c][1].format(row[c]) for c in columns]


def rich_table(result: Result) -> Table:
    """All means, for a terminal of 80 columns."""
    units = ", ".join(f"{short(c)} {about['setting']}" for c, about in result["codecs"].items())
    table = Table(
        title=f"means over {pictures(result)}, whole files",
        caption=units,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("codec", no_wrap=True)
    columns = [c for c in COLUMNS if c not in ("file_bytes", "psnr_of_mean_mse", "lpips_squeeze")]
    for c in columns:
        table.add_column(COLUMNS[c][0].replace("code s", "c. s"), justify="right", no_wrap=True)
    previous = None
    for row in result["means"]:
        if previous not in (None, row["codec"]):
            table.add_section()
        previous = row["codec"]
        table.add_row(f"{short(row['codec'])} {row['setting']}", *cells(row, columns))
    return table


def bd_table(result: Result, mine: str = OURS) -> Table:
    """Deltas of a curve of ours, for a terminal of 80 columns."""
    table = Table(
        title=f"{mine}: bits at equal quality, dB at equal bits "
        f"(PCHIP, {RATES[0]} to {RATES[1]} bpp)",
        box=box.SIMPLE_HEAD,
    )
    for i, heading in enumerate(bd_heading("against")):
        table.add_column(heading, justify="right" if i else "left")
    for codec, found in deltas(result, mine).items():
        table.add_row(*bd_cells(codec, found))
    return table


def bd_heading(first: str) -> list[str]:
    """Headings of a table of `bd_cells`."""
    return [first, *(f"BD-rate {x}" for x in LABELS.values()), "BD-PSNR"]


def bd_cells(codec: str, found: Deltas) -> list[str]:
    """A baseline, the BD-rate against it in each metric, and the BD-PSNR."""
    gain = found.quality["psnr"]
    rates = [percent(found.rate[m]) for m in LABELS]
    return [NAMES.get(codec, codec), *rates, NONE if gain is None else signed(f"{gain:+.2f} dB")]


def percent(value: float | None) -> str:
    """-12.3 % with a sign, or a dash."""
    return NONE if value is None else signed(f"{value:+.1f} %")


def signed(text: str) -> str:
    """The same with a minus sign that is as wide as the plus."""
    return text.replace("-", "−")


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are set to the right."""
    lines = [heading, ["---"] + ["---:"] * (len(heading) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def readme_tables(result: Result) -> str:
    """What stands between the markers in the README: tables, and how they came about.

    A table for each of our curves, one a metric of all codecs at equal rates, and BD-rates for each
    curve.
    """
    mine, others = ours(result), baselines(result)
    blocks = [layers_table(result, OURS)]
    for codec in mine[1:]:
        blocks += [f"The same files by the {short(codec)} decoder:", layers_table(result, codec)]
    for metric, label in COMPARED.items():
        if any(curve(result, codec, metric) for codec in mine):
            blocks += [
                f"{label}, at equal rates (interpolated, {NONE}: not reached):",
                same_rates(result, [*mine, *others], metric),
            ]
    blocks += [
        f"Bits at equal quality (BD-rate; negative is fewer) and dB at equal bits (BD-PSNR; "
        f"positive is better), {RATES[0]} to {RATES[1]} bpp, by PCHIP:",
        *(bd_markdown(result, codec) for codec in mine),
        provenance(result),
    ]
    return "\n\n".join(blocks)


def layers_table(result: Result, codec: str) -> str:
    """Means of one of our curves, a row a layer; a further decoder's without what is the file's."""
    columns = [c for c in COLUMNS if c not in ("psnr_of_mean_mse", "lpips_squeeze")]
    if codec != OURS:
        columns = [c for c in columns if c not in ("file_bytes", "ratio", "encode_seconds")]
    rows = [row for row in result["means"] if row["codec"] == codec]
    return markdown(
        ["layers", *(COLUMNS[c][0] for c in columns)],
        [[str(row["setting"]), *cells(row, columns)] for row in rows],
    )


def bd_markdown(result: Result, mine: str) -> str:
    """Deltas of a curve of ours, a row a baseline."""
    rows = [bd_cells(codec, found) for codec, found in deltas(result, mine).items()]
    return markdown(bd_heading(f"{mine} against"), rows)


def same_rates(result: Result, codecs: Sequence[str], metric: str) -> str:
    """A metric of all codecs, a row a rate."""
    curves = [curve(result, codec, metric) for codec in codecs]
    rows = [
        [f"{rate:g}", *(cells({metric: at_rate(c, rate)}, [metric])[0] for c in curves)]
        for rate in SHOWN
    ]
    return markdown(["bpp", *(NAMES.get(codec, codec) for codec in codecs)], rows)


def provenance(result: Result) -> str:
    """One paragraph: pictures, definitions, versions, machine, and what is missing and why."""
    versions, machine, ours = result["versions"], result["machine"], result["codecs"].get(OURS, {})
    net, jobs = result["metrics"]["lpips"], machine.get("jobs", 1)
    sentences = [
        f"Means over {pictures(result)}, whole files with headers, written and "
        "decoded again. RMSE on 0..255, PSNR is the mean of PSNR in dB, ratio is against 24-bit "
        "pixels" + (f", LPIPS v0.1 with {net} (less is better)" if net else "") + ".",
        f"Model `{ours.get('model', NONE)}`, weights `{ours.get('weights', NONE)}`; hqcodec "
        f"{versions['hqcodec']}, Python {versions['python']}, torch {versions['torch']}, Pillow "
        f"{versions['pillow']}; {machine['platform']}, {machine['cpus']} cores, "
        f"{machine['torch_threads']} torch threads"
        + (f", {jobs} points at a time, so seconds are long." if jobs > 1 else "."),
        *(f"No {LABELS.get(m, m)}: {'; '.join(why)}." for m, why in result["notes"].items()),
        *(f"Left out: {failure}." for failure in result["failures"]),
    ]
    for codec in baselines(result):
        about = {k: v for k, v in result["codecs"][codec].items() if k not in ("settings",)}
        settings = ", ".join(str(s) for s in result["codecs"][codec]["settings"])
        options = ", ".join(f"{k} {v}" for k, v in about.items() if k != "setting")
        sentences.append(f"{NAMES.get(codec, codec)}: {options}, {about['setting']} {settings}.")
    return " ".join(sentences)


def update_readme(path: Path, result: Result) -> None:
    """Bring the tables of the README up to date with `result`."""
    replace_block(path, "kodak", readme_tables(result))


def markers(name: str) -> tuple[str, str]:
    """The comments around a generated block of a Markdown file."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def replace_block(path: Path, name: str, block: str) -> None:
    """Replace what stands between the two `markers` in a Markdown file."""
    begin, end = markers(name)
    text = path.read_text(encoding="utf-8")
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise FormatError(f"{path} has no block between {begin} and {end}; add the two lines")
    replace_text(path, f"{before}{begin}\n{block}\n{end}{after}")
