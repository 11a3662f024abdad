"""Quality against rate as a picture: a panel a metric, a line a codec."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from hqcodec.benchmarks.curves import decibels
from hqcodec.benchmarks.palette import colour
from hqcodec.benchmarks.report import LABELS, OURS, Points, curve, ours, pictures, short
from hqcodec.benchmarks.results import Result
from hqcodec.errors import HqcodecError

TITLES = {
    "psnr": "PSNR, dB (more is better)",
    "ms_ssim": "MS-SSIM, −10 log₁₀(1 − x) dB (more is better)",
    "lpips": "LPIPS {net} (less is better)",
}
TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3)  # bpp
LPIPS_TICKS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
LPIPS_FLOOR = 1e-4  # equal pictures have 0, for which a logarithmic axis has no place
MARGIN = 1.7  # room for the labels, as a factor of the largest rate
GAP = 0.055  # between two labels, in heights of a panel
NEAR = 0.15  # to the rightmost end, in widths of a panel: there labels may meet


def plot(result: Result, path: Path) -> None:
    """Write a PNG with a panel for each metric that has values."""
    metrics = [m for m in LABELS if any(len(curve(result, c, m)) > 1 for c in result["codecs"])]
    if not metrics:
        raise HqcodecError("nothing to plot: no codec has two settings with the same metric")
    figure = Figure(figsize=(4.6 * len(metrics), 4.2), layout="constrained")  # renders with Agg
    for axes, metric in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True
    ):
        panel(axes, result, metric)
    figure.suptitle(f"whole files, mean over {pictures(result)}", fontsize=10)
    figure.savefig(path, dpi=120, format="png", metadata={"Software": None})


def panel(axes: Axes, result: Result, metric: str) -> None:
    """One metric over the rate of all codecs."""
    curves: dict[str, Points] = {}
    for codec in result["codecs"]:
        points = curve(result, codec, metric)
        if metric == "ms_ssim":
            points = [(rate, decibels(metric, value)) for rate, value in points]
        if metric == "lpips":
            points = [(rate, max(value, LPIPS_FLOOR)) for rate, value in points]
        if points:
            curves[codec] = points
    mine = ours(result)
    for codec, points in curves.items():
        axes.plot(
            *zip(*points, strict=True),
            color=colour(codec, codec in mine),
            linestyle="--" if codec in mine and codec != OURS else "-",
            linewidth=2.2 if codec in mine else 1.3,
            marker="o" if codec in mine else ".",
            markersize=5 if codec in mine else 4,
            zorder=3 if codec in mine else 2,
        )
    rates = [rate for points in curves.values() for rate, _ in points]
    axes.set_xscale("log")
    set_ticks(axes.xaxis, TICKS, min(rates) / 1.1, max(rates) * 1.1)
    axes.set_xlim(min(rates) / 1.1, max(rates) * MARGIN)
    if metric == "lpips":
        values = [value for points in curves.values() for _, value in points]
        axes.set_yscale("log")
        set_ticks(axes.yaxis, LPIPS_TICKS, min(values) / 1.15, max(values) * 1.15)
        axes.set_ylim(min(values) / 1.15, max(values) * 1.15)
    axes.set_xlabel("bits per pixel")
    axes.set_title(TITLES[metric].format(net=result["metrics"]["lpips"] or ""), fontsize=10)
    axes.grid(True, which="major", color="#e0e0e0", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    label(axes, curves, mine)


def set_ticks(axis: Axis, ticks: Sequence[float], low: float, high: float) -> None:
    """Label a logarithmic axis at those of the ticks that lie between two values."""
    axis.set_ticks([tick for tick in ticks if low <= tick <= high])
    axis.set_ticks([], minor=True)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def label(axes: Axes, curves: dict[str, Points], mine: Sequence[str]) -> None:
    """Write each codec's name at the right end of its curve, apart from the others."""
    to_panel = axes.transData + axes.transAxes.inverted()  # data -> 0..1 in both directions
    ends: dict[str, tuple[float, float]] = {}
    for codec, points in curves.items():
        x, y = to_panel.transform(points[-1])
        ends[codec] = float(x), float(y)
    column = max(x for x, _ in ends.values())
    # Names of curves that end near the right stand in a column, the lowest first.
    stacked = sorted((y, codec) for codec, (x, y) in ends.items() if x > column - NEAR)
    heights: list[float] = []
    for y, _ in stacked:
        heights.append(max(y, heights[-1] + GAP) if heights else y)
    excess = max(0.0, heights[-1] - 1)
    for (_, codec), height in zip(stacked, heights, strict=True):
        ends[codec] = (column, height - excess)
    for codec, (x, y) in ends.items():
        axes.text(
            x + 0.02,
            y,
            short(codec),
            transform=axes.transAxes,
            va="center",
            fontsize=9,
            fontweight="bold" if codec in mine else "normal",
            color=colour(codec, codec in mine),
        )
