"""A sweep as one HTML file that needs nothing else: curves, tables, and the pictures themselves.

Its parts lie in page/: template.html, page.css, and three scripts, which are put into the file.
"""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from rich.console import Console
from rich.progress import track

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.metrics import Judge
from hqcodec.benchmarks.page_tables import (
    bd_table,
    escape,
    label,
    means_table,
    provenance,
    speed_table,
)
from hqcodec.benchmarks.palette import colour
from hqcodec.benchmarks.published import Published, published
from hqcodec.benchmarks.report import OURS, ours, pictures
from hqcodec.benchmarks.results import Result, replace_text
from hqcodec.benchmarks.views import ORIGINAL, Album, spread
from hqcodec.errors import HqcodecError

SCRIPTS = ("page.js", "curves.js", "viewer.js")
# metric -> (label, scale of its axis, digits). "nines" is -log10(1 - x), for what tends to 1.
METRICS = {
    "psnr": ("PSNR, dB", "linear", 2),
    "ms_ssim": ("MS-SSIM", "nines", 4),
    "ssim": ("SSIM", "nines", 4),
    "lpips": ("LPIPS (AlexNet)", "log", 4),
    "lpips_squeeze": ("LPIPS (SqueezeNet)", "log", 4),
    "rmse": ("RMSE", "log", 2),
}
POINT = ("setting", "bpp", "ratio", *METRICS)


def write_page(
    path: Path,
    result: Result,
    paths: Sequence[Path],
    codecs: Sequence[Codec],
    judge: Judge,
    count: int = 4,
    further: Sequence[Published] = (),
) -> None:
    """Write the report of `result` to one HTML file, whole or not at all.

    paths: files of the pictures, of which `count`, spread over those that were measured, are
    compressed again by `codecs` (ours first) and embedded. further: published curves to show
    besides those that belong to the pictures.
    """
    names = {record["picture"] for record in result["records"]}
    measured = [x for x in paths if x.name in names]
    if count and not measured:
        first = sorted(names)[0]
        raise HqcodecError(f"report: no picture here was measured; name the folder of {first}")
    if count:
        check_weights(result, codecs[0])
    album = Album(judge)
    chosen = spread(measured, count) if count else []
    console = Console(stderr=True)
    steps = track(chosen, "pictures of the report", console=console, transient=True)
    shown = [album.picture(x, codecs) for x in steps]
    lines = [*published(names, result["metrics"].get("lpips")), *further]
    replace_text(path, page(result, lines, shown, album.images))


def check_weights(result: Result, mine: Codec) -> None:
    """The pictures must come from the model, and its decoders, that the curves are of."""
    about = result["codecs"].get(mine.name, {})
    for key in ("weights", "decoders"):
        measured, here = about.get(key), mine.about.get(key)
        if key in about and measured != here:
            raise HqcodecError(
                f"report: the measurement is of {key} {measured}, the model here has {here}; "
                "measure again, name that model, or show no pictures"
            )


def page(
    result: Result,
    lines: Sequence[Published],
    shown: Sequence[dict[str, Any]],
    images: Sequence[str],
) -> str:
    """The HTML. lines: published curves; shown: `Album.picture`s, with images by number."""
    data = {
        **curves(result, lines),
        "pictures": shown,
        "sides": {name: label(name) for picture in shown[:1] for name in picture["sides"]},
        "ours": [name for name in ours(result) if shown],
        "original": ORIGINAL,
        "images": images,
    }
    folder = files("hqcodec.benchmarks").joinpath("page")

    def part(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    script_data = as_script(data)
    return Template(part("template.html")).substitute(
        title=escape(f"{OURS} on {pictures(result)}"),
        style=part("page.css"),
        bd=bd_table(result),
        speed=speed_table(result),
        means=means_table(result),
        provenance=provenance(result),
        viewer="" if shown else "hidden",
        sources=sources(lines),
        size=f"{len(script_data) / 1e6:.1f} MB",  # the rest is small beside it
        data=script_data,
        script="\n".join(part(name) for name in SCRIPTS),
    )


def as_script(data: Any) -> str:
    """JSON that nothing within a <script> element can end or comment out."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def curves(result: Result, lines: Sequence[Published]) -> dict[str, Any]:
    """What the script draws: metrics that have values, measured curves and published ones."""
    rows = result["means"]
    metrics = [
        {"key": key, "label": text, "scale": scale, "digits": digits}
        for key, (text, scale, digits) in METRICS.items()
        if any(row.get(key) is not None for row in rows)
    ]
    mine = ours(result)
    return {
        "metrics": metrics,
        "codecs": [
            {
                "name": label(codec),
                "unit": about["setting"],
                "colour": colour(codec, codec in mine),
                "ours": codec in mine,
                "points": [
                    {key: row.get(key) for key in POINT} for row in rows if row["codec"] == codec
                ],
            }
            for codec, about in result["codecs"].items()
        ],
        "published": [
            {"name": line.name, "source": line.source, "curves": line.curves} for line in lines
        ],
    }


def sources(lines: Sequence[Published]) -> str:
    """Where the published curves come from, as a list; nothing without any."""
    if not lines:
        return ""
    by_source: dict[str, list[str]] = {}
    for line in lines:
        by_source.setdefault(line.source, []).append(line.name)
    found = "; ".join(f"{', '.join(names)}: {source}" for source, names in by_source.items())
    return (
        f'<p class="note">Thin lines are published curves, not measured here. {escape(found)}.</p>'
    )
