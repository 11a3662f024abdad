"""What became of the HQA paper's comparison: a table, curves, and reconstructions."""

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hqcodec.benchmarks import inline_png
from hqcodec.benchmarks.papers.hqa import METHODS
from hqcodec.benchmarks.papers.records import spread
from hqcodec.benchmarks.report import markdown
from hqcodec.benchmarks.results import Result

COLOURS = {"HQA": "#d55e00", "VQ-VAE": "#0072b2", "VQ-VAE with reset": "#009e73"}
Rates = dict[int, dict[str, list[dict[str, float]]]]  # bits -> method -> figures of each seed


def table(result: Result) -> str:
    """The block of the document: a row a rate, and how it was trained."""
    rows = []
    for bits, methods in by_rate(result).items():
        found = [methods.get(method, []) for method in METHODS]
        first, second, _ = found
        rows.append(
            [
                f"{bits:,}",
                *(spread(seeds, "rmse") for seeds in found),
                *(spread(seeds, "perplexity", digits=".0f") for seeds in found),
                spread(first, "coded_bits", digits=".1f"),
                spread(first, "natural_bits", digits=".1f"),
                spread(second, "coded_bits", digits=".1f"),
                spread(first, "file_bytes", digits=".0f"),
                spread(second, "file_bytes", digits=".0f"),
            ]
        )
    heads = [
        "bits", *(f"{m} RMSE ×100" for m in METHODS), *(f"{m} perplexity" for m in METHODS),
        "HQA's layer coded, bits", "by its own prediction", "VQ-VAE's coded, bits",
        *(f"{m} file, bytes" for m in METHODS[:2]),
    ]  # fmt: skip
    parts = [markdown(heads, rows)]
    parts += [f"{fail['name']} has no figure: {fail['error']}." for fail in result["failures"]]
    return "\n\n".join([*parts, settings(result)])


def by_rate(result: Result) -> Rates:
    """Figures by bits a picture before entropy coding, most first; those of HQA are a layer's."""
    found: Rates = {}
    for record in result["records"]:
        for layer, error in enumerate(record["prefix_rmse"]):
            stack = record["method"] == "HQA"
            top = len(record["prefix_rmse"]) - 1 - layer if stack else 0
            figures = {
                "rmse": error,
                "perplexity": record["perplexity"][layer],
                "coded_bits": record["coded_bits"][layer],
                "file_bytes": record["file_bytes"][layer],
            }
            if stack:
                figures["natural_bits"] = record["natural_bits"][layer]
            bits = 8 * (16 >> top) ** 2 if stack else round(record["bits"])
            found.setdefault(bits, {}).setdefault(record["method"], []).append(figures)
    return dict(sorted(found.items(), reverse=True))


def settings(result: Result) -> str:
    """How all of it was trained and measured, in words."""
    train = result["records"][0]["train"]
    steps = train["steps"] // train.get("stages", 1)
    minutes = sum(r["seconds"] for r in result["records"]) / 60
    parameters = ", ".join(
        f"{r['method']} {r['setting']} {r['parameters']:,}"
        for r in result["records"]
        if r["seed"] == 0
    )
    return (
        f"Size `{result['size']}`: {steps:,} steps of {train['batch']} pictures for each level and "
        f"for each VQ-VAE, learning rate {train['lr']:g}, on {result['data']}; "
        f"{result['test_pictures']:,} test pictures; {result['seeds']} seed(s). All trainings "
        f"together: {minutes:.0f} minutes on {result['machine']['torch_threads']} CPU thread(s). "
        f"Parameters, learned priors included: {parameters}. HQA's file holds all coarser layers "
        "too, VQ-VAE's one layer; both have their header."
    )


def plot(result: Result, target: Path) -> None:
    """Error over bits, and the reconstructions of every model below the originals."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    curves(left, result)
    reconstructions(right, result)
    figure.savefig(target, dpi=110)


def curves(axes: Axes, result: Result) -> None:
    """RMSE of both methods over the bits of a picture before entropy coding."""
    rates = by_rate(result)
    for method in METHODS:
        ends = [(bits, r[method]) for bits, r in rates.items() if method in r]
        errors = [mean(figures["rmse"] for figures in seeds) for _, seeds in ends]
        look: dict[str, Any] = {"marker": "o", "color": COLOURS[method], "label": method}
        axes.plot([bits for bits, _ in ends], errors, **look)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(rates), [f"{bits:,}" for bits in rates])
    axes.set_xlabel("bits a picture before entropy coding")
    axes.set_title("RMSE ×100 (less is better)", fontsize=10)
    axes.legend()


def reconstructions(axes: Axes, result: Result) -> None:
    """The picture that `rates.add_rates` kept, rows named."""
    pixels = np.asarray(inline_png.unpack(result["reconstructions"]))
    names = ["originals"]
    for method, setting, layers in result["reconstructed"]:
        names.append(f"{method}, {layers} layer(s)" if method == "HQA" else f"{method}, {setting}")
    axes.imshow(pixels)
    side = len(pixels) / len(names)
    axes.set_yticks([side * (n + 0.5) for n in range(len(names))], names, fontsize=8)
    axes.set_xticks([])
