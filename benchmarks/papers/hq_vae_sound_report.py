"""What became of RSQ-VAE and RQ-VAE on spectrograms: a table, curves, and the spectrograms."""

from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from hqcodec.benchmarks.papers.hq_vae import RESIDUAL
from hqcodec.benchmarks.papers.hq_vae_report import COLOURS
from hqcodec.benchmarks.papers.hq_vae_sound import LAYERS
from hqcodec.benchmarks.papers.records import alike, cost, spread
from hqcodec.benchmarks.papers.spectrogram_pictures import unpack
from hqcodec.benchmarks.report import markdown
from hqcodec.benchmarks.results import Result
from hqcodec.models.log_mel import HOP, RATE


def table(result: Result) -> str:
    """The block of the document: a row a method and number of layers, and how it was trained."""
    rows = []
    for setting, method in {(r["setting"], r["method"]): None for r in result["records"]}:
        seeds = alike(result, setting=setting, method=method)
        used = zip(*(record["perplexity"] for record in seeds), strict=True)
        nats = [
            record | {"nats": record["rmse"] * result["scale"]["deviation"]} for record in seeds
        ]
        rows.append(
            [
                setting,
                method,
                spread(seeds, "rmse", 0.01, ".3f"),
                spread(nats, "nats", 0.01, ".2f"),
                " / ".join(f"{mean(layer):.1f}" for layer in used),
                f"{mean(r['bits'] for r in seeds):,.0f}",
                str(len(seeds)),
            ]
        )
    heads = ["codes", "method", "RMSE", "in nats", "perplexity by layer", "bits", "seeds"]
    parts = [markdown(heads, rows)] if rows else []
    parts += [f"{fail['name']} has no figure: {fail['error']}." for fail in result["failures"]]
    return "\n\n".join([*parts, settings(result)])


def settings(result: Result) -> str:
    """How all of it was trained and measured, in words."""
    record = result["records"][0]
    model, train = record["model"], record["train"]
    return (
        f"Size `{result['size']}`: {train['steps']:,} steps of {train['batch']} crops of "
        f"{train['crop']} frames from {result['train_sounds']} sounds, learning rate "
        f"{train['lr']:g}, {model['width']} channels, code vectors of {model['dim']} dimensions; "
        f"the first four seconds of {result['test_sounds']} other sounds, most likely codes. RMSE "
        "is of standardised values, over all values of all test spectrograms: 1 is the deviation "
        f"of those trained on, {result['scale']['deviation']:.2f} nats of magnitude. Bits are of "
        "four seconds' codes before entropy coding. ± is the standard deviation over the seeds. "
        f"{cost(result)}"
    )


def plot(result: Result, path: Path) -> None:
    """Write a PNG: above, error, use and s_l^2 of the layers; below, the spectrograms."""
    figure = Figure(figsize=(12, 12), layout="constrained")  # renders with Agg
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 2.4))  # typed as if there were one
    above, below = halves
    panels = above.subplots(1, 3)
    prefixes(panels[0], result)
    perplexities(panels[1], result)
    variances(panels[2], result)
    for axes in panels:
        axes.grid(True, color="#e0e0e0", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
    grid(below, result)
    figure.savefig(path, dpi=72, format="png", metadata={"Software": None})


def grid(figure: SubFigure, result: Result) -> None:
    """The spectrograms: a column a sound, the originals above what each model made of them."""
    rows, sounds = 1 + len(result["reconstructed"]), len(result["shown"])
    pixels = unpack(result["spectrograms"], rows, sounds)
    names = ["original", *(f"{method}\n{setting}" for method, setting in result["reconstructed"])]
    panels = figure.subplots(rows, sounds, squeeze=False, sharex=True, sharey=True)
    for row, name in enumerate(names):
        for column, sound in enumerate(result["shown"]):
            axes = panels[row][column]
            seconds = pixels.shape[3] * HOP / RATE
            look = {"cmap": "magma", "vmin": 0, "vmax": 255, "extent": (0, seconds, 0, 80)}
            axes.imshow(pixels[row, column], aspect="auto", interpolation="nearest", **look)
            axes.set_title(sound.rpartition("/")[2] if row == 0 else "", fontsize=9)
            axes.set_ylabel(name if column == 0 else "", fontsize=9)
            axes.set_yticks([])
            axes.set_xlabel("seconds" if row == rows - 1 else "", fontsize=9)


def prefixes(axes: Axes, result: Result) -> None:
    """RMSE by layers decoded, mean of the seeds; each model's last point is what it is for."""
    for layers, style in zip(LAYERS, ("--", "-"), strict=True):
        for method in RESIDUAL:
            seeds = [r for r in alike(result, method=method) if len(r["perplexity"]) == layers]
            if seeds:
                errors = [
                    mean(of) / 100 for of in zip(*(r["prefix_rmse"] for r in seeds), strict=True)
                ]
                axes.plot(
                    range(1, layers + 1), errors, style, color=COLOURS[method], marker="o",
                    markersize=4, label=f"{method}, L = {layers}",
                )  # fmt: skip
    axes.set_ylim(0)
    axes.set_xlabel("layers decoded")
    axes.set_title("RMSE of the first layers", fontsize=10)


def perplexities(axes: Axes, result: Result) -> None:
    """Codes in use by layer, with the most layers."""
    for method in RESIDUAL:
        seeds = [r for r in alike(result, method=method) if len(r["perplexity"]) == LAYERS[-1]]
        if seeds:
            used = [mean(of) for of in zip(*(r["perplexity"] for r in seeds), strict=True)]
            axes.plot(
                range(1, len(used) + 1), used, color=COLOURS[method], marker="o", label=method
            )
    axes.set_ylim(0)
    axes.set_xlabel("layer")
    axes.set_title(f"perplexity of the codes, L = {LAYERS[-1]}", fontsize=10)


def variances(axes: Axes, result: Result) -> None:
    """s_l^2 of RSQ-VAE's layers over the steps, first seed."""
    found = [
        r for r in alike(result, method="RSQ-VAE", seed=0) if len(r["perplexity"]) == LAYERS[-1]
    ]
    for record in found:
        curves = {k: v for k, v in record["curves"].items() if k.startswith("variance_")}
        for layer, values in enumerate(curves.values(), 1):
            shade = 1 - 0.8 * (layer - 1) / len(curves)
            axes.plot(
                record["curves"]["step"], values, color=COLOURS["RSQ-VAE"], alpha=shade,
                label=f"layer {layer}",
            )  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_title(f"s² of RSQ-VAE, L = {LAYERS[-1]}", fontsize=10)
