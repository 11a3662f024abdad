"""Quality of sound against rate as a picture: a row a kind, a panel a metric, a line a codec."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hqcodec.benchmarks.palette import colour
from hqcodec.benchmarks.plot import MARGIN, label, set_ticks
from hqcodec.benchmarks.report import OURS, Points
from hqcodec.benchmarks.results import Result
from hqcodec.benchmarks.sound_report import curve, kinds, title
from hqcodec.errors import HqcodecError

TITLES = {
    "mel": "mel distance (less is better)",
    "stft": "STFT distance (less is better)",
    "si_sdr": "SI-SDR, dB (more is better)",
    "pesq": "PESQ, wide band (more is better)",
    "stoi": "STOI (more is better)",
    "visqol": "ViSQOL, audio mode (more is better)",
}
NOT_ASKED = "for speech only"
TICKS = (0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # kbit/s


def plot(result: Result, path: Path) -> None:
    """Write a PNG with a row for each kind and a panel for each metric that has values."""
    shown = kinds(result)
    metrics = [m for m in TITLES if any(lines(result, kind, m) for kind in shown)]
    if not metrics:
        raise HqcodecError("nothing to plot: no codec has two settings with the same metric")
    size = 4.2 * len(metrics), 3.6 * len(shown)
    figure = Figure(figsize=size, layout="constrained")  # renders with Agg
    grid = figure.subplots(len(shown), len(metrics), squeeze=False)
    for row, kind in zip(grid, shown, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            panel(axes, lines(result, kind, metric))
            axes.set_title(f"{kind}: {TITLES[metric]}", fontsize=9)
    about = "; ".join(title(result, kind) for kind in shown)
    figure.suptitle(f"whole files; {about}", fontsize=10)
    figure.savefig(path, dpi=110, format="png", metadata={"Software": None})


def lines(result: Result, kind: str, metric: str) -> dict[str, Points]:
    """Codec -> its curve, of those that have two points or more."""
    found = {codec: curve(result, kind, codec, metric) for codec in result["codecs"]}
    return {codec: points for codec, points in found.items() if len(points) > 1}


def panel(axes: Axes, curves: dict[str, Points]) -> None:
    """One metric over the rate of all codecs; an empty one says so."""
    if not curves:
        axes.axis("off")
        axes.text(0.5, 0.5, NOT_ASKED, transform=axes.transAxes, ha="center", color="#808080")
        return
    for codec, points in curves.items():
        mine = codec == OURS
        axes.plot(
            *zip(*points, strict=True),
            color=colour(codec, mine),
            linewidth=2.2 if mine else 1.3,
            marker="o" if mine else ".",
            markersize=4,
            zorder=3 if mine else 2,
        )
    rates = [rate for points in curves.values() for rate, _ in points]
    axes.set_xscale("log")
    set_ticks(axes.xaxis, TICKS, min(rates) / 1.1, max(rates) * 1.1)
    axes.set_xlim(min(rates) / 1.1, max(rates) * MARGIN)
    axes.set_xlabel("kbit/s")
    axes.grid(True, which="major", color="#e0e0e0", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    label(axes, curves, [OURS])
