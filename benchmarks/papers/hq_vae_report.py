"""What became of the HQ-VAE paper's comparisons: tables beside its own figures, and curves."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hqcodec.benchmarks.papers.hq_vae import DECAY, DECAYS, GROUPS
from hqcodec.benchmarks.papers.records import alike, cost, spread
from hqcodec.benchmarks.report import NONE, markdown
from hqcodec.benchmarks.results import Result

# RMSE x100 on CIFAR-10's test set as the paper's Table 5 has it: r -> (mean, standard deviation).
TABLE_5 = {
    "SQ-VAE-2": {
        1e-6: (5.223, 0.016), 3e-6: (5.219, 0.017), 1e-5: (5.264, 0.016),
        3e-5: (5.356, 0.016), 1e-4: (7.234, 0.021), 3e-4: (9.083, 0.019),
    },
    "RSQ-VAE": {
        1e-6: (6.544, 0.018), 3e-6: (6.149, 0.023), 1e-5: (5.697, 0.022),
        3e-5: (5.579, 0.015), 1e-4: (5.802, 0.020), 3e-4: (6.439, 0.019),
    },
}  # fmt: skip
# The variants of Table 5's r = 1e-5, by method.
BASES = {"SQ-VAE-2": "sq-vae-2", "RSQ-VAE": "rsq-2x32"}
COLOURS = {
    "RSQ-VAE": "#d55e00",
    "RQ-VAE": "#0072b2",
    "RQ-VAE with reset": "#009e73",
    "SQ-VAE-2": "#d55e00",
    "VQ-VAE-2": "#0072b2",
    "hybrid": "#cc79a7",
}


def table(result: Result) -> str:
    """The block of the document: a table a group that was trained, and how it was trained."""
    makers: dict[str, Callable[[], str]] = {
        "residual": lambda: methods(result, "residual"),
        "shared": lambda: methods(result, "shared"),
        "injected": lambda: methods(result, "injected"),
        "long": lambda: methods(result, "long"),
        "progressive": lambda: prefixes(result),
        "temperature": lambda: temperatures(result),
    }
    parts = []
    for group, makes in makers.items():
        if any(record["group"] == group for record in result["records"]):
            title = GROUPS[group]
            parts.append(f"**{title[0].upper()}{title[1:]}.**\n\n{makes()}")
    parts += [f"{fail['name']} has no figure: {fail['error']}." for fail in result["failures"]]
    return "\n\n".join([*parts, settings(result)])


def methods(result: Result, group: str) -> str:
    """Methods by setting: error, the paper's error, and perplexity of each layer."""
    rows = []
    named = {(r["setting"], r["method"], r["name"]): None for r in alike(result, group=group)}
    for setting, method, name in named:
        seeds = alike(result, name=name)
        known = TABLE_5[method][DECAY] if BASES.get(method) == name.removesuffix("-long") else None
        used = zip(*(record["perplexity"] for record in seeds), strict=True)
        rows.append(
            [
                setting,
                method,
                spread(seeds, "rmse"),
                NONE if known is None else f"{known[0]:.2f} ± {known[1]:.2f}",
                f"{mean(record['psnr'] for record in seeds):.2f}",
                " / ".join(f"{mean(layer):.0f}" for layer in used),
                str(len(seeds)),
            ]
        )
    heads = ["codes", "method", "RMSE ×100", "the paper's", "PSNR", "perplexity by layer", "seeds"]
    return markdown(heads, rows)


def prefixes(result: Result) -> str:
    """RMSE of every number of layers; SQ-VAE-2 without progressive coding is of `injected`."""
    found = alike(result, name=BASES["SQ-VAE-2"], seed=0)
    found += alike(result, group="progressive")
    most = max(len(record["prefix_rmse"]) for record in found)
    rows = []
    for record in found:
        shown = [f"{value:.2f}" for value in record["prefix_rmse"]]
        way = "yes" if record["model"].get("progressive") else "no"
        rows.append([record["method"], way, *shown, *[""] * (most - len(shown))])
    return markdown(
        ["model", "progressive", *(f"{n} of its layers" for n in range(1, most + 1))], rows
    )


def temperatures(result: Result) -> str:
    """RMSE by decay factor beside Table 5."""
    rates = sorted((DECAY, *DECAYS))
    rows = []
    for method, known in TABLE_5.items():
        ours = [_rmse(result, method, r) for r in rates]
        rows.append([f"{method}, ours", *(NONE if x is None else f"{x:.2f}" for x in ours)])
        rows.append([f"{method}, the paper's", *(f"{known[r][0]:.2f}" for r in rates)])
    return markdown(["RMSE ×100", *(f"r = {r:.0e}" for r in rates)], rows)


def _rmse(result: Result, method: str, r: float) -> float | None:
    """Of the first seed; None if it was not trained."""
    if r == DECAY:
        found = alike(result, name=BASES[method], seed=0)
    else:
        found = alike(result, group="temperature", method=method, setting=f"r = {r:.0e}")
    return float(found[0]["rmse"]) if found else None


def settings(result: Result) -> str:
    """How all of it was trained and measured, in words."""
    record = result["records"][0]
    model, train = record["model"], record["train"]
    return (
        f"Size `{result['size']}`: {train['steps']:,} steps of {train['batch']} pictures of "
        f"{result['data']}, learning rate {train['lr']:g}, {model['width']} channels, "
        f"code vectors of {model['dim']} dimensions; {result['test_pictures']:,} test pictures, "
        "most likely codes. "
        "± is the standard deviation over the seeds. Perplexity is of the test pictures' codes, "
        f"layers from coarse to fine. {cost(result)}"
    )


def plot(result: Result, path: Path) -> None:
    """Write a PNG: error by capacity, error by prefix; perplexity and s_l^2 over the steps."""
    figure = Figure(figsize=(10, 7.6), layout="constrained")  # renders with Agg
    panels = figure.subplots(2, 2)
    capacities(panels[0][0], result)
    layers(panels[0][1], result)
    self_annealing(panels[1][0], result, "perplexity", "perplexity of a batch's codes")
    self_annealing(panels[1][1], result, "variance", "s² by its first value")
    for axes in panels.flat:
        axes.grid(True, color="#e0e0e0", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, format="png", metadata={"Software": None})


def capacities(axes: Axes, result: Result) -> None:
    """RMSE of the residual methods over the bits of a position, with every seed's place."""
    for group, style in {"residual": "-", "shared": "--"}.items():
        for method in ("RSQ-VAE", "RQ-VAE", "RQ-VAE with reset"):
            places: dict[float, list[float]] = {}
            for r in alike(result, group=group, method=method):
                places.setdefault(r["bits"] / 64, []).append(r["rmse"])
            ends = sorted(
                (bits, mean(found), min(found), max(found)) for bits, found in places.items()
            )
            if ends:
                bits, middle, low, high = zip(*ends, strict=True)
                about = f"{method}, one codebook" if group == "shared" else method
                look: dict[str, Any] = {"color": COLOURS[method], "linestyle": style}
                axes.plot(bits, middle, marker="o", markersize=4, label=about, **look)
                axes.fill_between(bits, low, high, color=COLOURS[method], alpha=0.15, linewidth=0)
    axes.set_xlabel("bits of a position of 8x8, before entropy coding")
    axes.set_title("RMSE ×100 (less is better), range of the seeds", fontsize=10)


def layers(axes: Axes, result: Result) -> None:
    """RMSE of the first layers alone, with and without progressive coding."""
    for r in alike(result, name="sq-vae-2", seed=0) + alike(result, group="progressive"):
        progressive = bool(r["model"].get("progressive"))
        axes.plot(
            range(1, len(r["prefix_rmse"]) + 1),
            r["prefix_rmse"],
            marker="o",
            markersize=4,
            color=COLOURS[r["method"]],
            linestyle="--" if progressive else "-",
            label=r["method"] + (", progressive" if progressive else ""),
        )
    axes.set_xticks([1, 2, 3, 4])
    axes.set_xlabel("layers decoded")
    axes.set_title("RMSE ×100 of the first layers", fontsize=10)


def self_annealing(axes: Axes, result: Result, key: str, title: str) -> None:
    """A logged figure of every layer over the steps, for the models of section 5.3."""
    names = ["rsq-2x32", "rq-2x32"] if key == "perplexity" else ["rsq-2x32", "sq-vae-2"]
    for name in names:
        for record in alike(result, name=name, seed=0):
            found = {k: v for k, v in record["curves"].items() if k.startswith(f"{key}_")}
            for layer, values in enumerate(found.values()):
                first = values[0] if key == "variance" else 1.0
                colour = "#56b4e9" if name == "sq-vae-2" else COLOURS[record["method"]]
                axes.plot(
                    record["curves"]["step"],
                    [value / first for value in values],
                    color=colour,
                    linestyle=("-", "--")[layer],
                    label=f"{record['method']}, layer {layer + 1}",
                )
    if key == "variance":
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_title(title, fontsize=10)
