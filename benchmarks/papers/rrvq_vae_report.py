"""What became of the RRVQ-VAE paper's comparisons: a table, curves, and pictures."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hqcodec.benchmarks import inline_png
from hqcodec.benchmarks.papers.records import Records, alike, spread
from hqcodec.benchmarks.papers.rrvq_measure import SAMPLES, TESTED
from hqcodec.benchmarks.papers.rrvq_vae import FULL, METHODS
from hqcodec.benchmarks.report import NONE, markdown
from hqcodec.benchmarks.results import Result

# Bits per dim of CIFAR-10's test set: table G.1, and table 1 for the last two
PAPER = dict(zip(METHODS, (5.05, 5.11, 5.10, 4.65, 4.77, 3.94), strict=True))
COLOURS = dict(
    zip(METHODS, ("#999999", "#cc79a7", "#e69f00", "#d55e00", "#0072b2", "#009e73"), strict=True)
)


def table(result: Result) -> str:
    """The block of the document: a row a model, and how it was trained."""
    heads = [
        "model", "bits a value", "the paper's", "of x given z", "KL, bits a picture",
        f"bound of {SAMPLES} samples", "RMSE ×100", "codes, bits", "coded", "as payload",
    ]  # fmt: skip
    rows = []
    for method in METHODS:
        found = alike(result, method=method)
        if not found or "bpd" not in found[0]:
            rows.append([method, NONE, f"{PAPER[method]:.2f}", *[NONE] * (len(heads) - 3)])
            continue
        rows.append(
            [
                method,
                spread(found, "bpd", digits=".3f"),
                f"{PAPER[method]:.2f}",
                spread(found, "bpd_given", digits=".3f"),
                spread(sums(found, "kl_bits"), "kl_bits", digits=".0f"),
                weighted(found),
                spread(found, "rmse"),
                spread(found, "bits", digits=".0f"),
                spread(sums(found, "coded_bits"), "coded_bits", digits=".0f"),
                spread(sums(found, "payload_bits"), "payload_bits", digits=".0f"),
            ]
        )
    parts = [markdown(heads, rows)]
    parts += [f"{fail['name']} has no figure: {fail['error']}." for fail in result["failures"]]
    return "\n\n".join([*parts, layers(result), settings(result)])


def sums(found: Records, key: str) -> list[dict[str, float]]:
    """A figure that is a list, a number a layer, summed over the layers of each record."""
    return [{key: sum(record[key])} for record in found]


def weighted(found: Records) -> str:
    """What importance weighting takes off the bound of the same pictures, and what it leaves."""
    less = [{"less": r["bpd"] + r["bpd_weighted"] - r["bpd_tested"]} for r in found]
    return spread(less, "less", digits=".3f")


def layers(result: Result) -> str:
    """Where the full model's bits are, by layer."""
    found = [r for r in alike(result, method=FULL, seed=0) if "kl_bits" in r]
    if not found:
        return ""
    record = found[0]
    columns = zip(
        record["kl_bits"], record["coded_bits"], record["perplexity"], record["prefix_rmse"],
        strict=True,
    )  # fmt: skip
    rows = [
        [str(n), f"{max(kl, 0):.1f}", f"{coded:.1f}", f"{used:.0f}", f"{error:.2f}"]
        for n, (kl, coded, used, error) in enumerate(columns, 1)
    ]
    heads = ["layer", "KL, bits", "coded, bits", "perplexity", "RMSE ×100 so far"]
    return f"Layers of the full model, coarse to fine:\n\n{markdown(heads, rows)}"


def settings(result: Result) -> str:
    """How all of it was trained and measured, in words."""
    train = result["records"][0]["train"]
    minutes = sum(r["seconds"] for r in result["records"]) / 60
    parameters = ", ".join(
        f"{r['method']} {r['parameters']:,}"
        for r in result["records"]
        if r["seed"] == 0 and "parameters" in r
    )
    return (
        f"Size `{result['size']}`: {train['steps']:,} steps of {train['batch']} pictures, learning "
        f"rate {train['lr']:g}, on {result['data']}; {result['seeds']} seed(s). Bounds: the first "
        f"{TESTED:,} of {result['test_pictures']:,} test pictures; RMSE: all. All trainings "
        f"together: {minutes:.0f} minutes on {result['machine']['torch_threads']} CPU thread(s). "
        f"Parameters, integer priors included: {parameters}."
    )


def plot(result: Result, target: Path) -> None:
    """The bound over the steps of training, and reconstructions and samples of every model."""
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    curves(left, result)
    if "gallery" in result:
        gallery(right, result)
    figure.savefig(target, dpi=110)


def curves(axes: Axes, result: Result) -> None:
    """Bits a value of the training pictures, as relaxed samples have them."""
    for record in result["records"]:
        if record["seed"] == 0 and "bpd" in record["curves"]:
            steps, values = record["curves"]["step"], record["curves"]["bpd"]
            method = record["method"]
            axes.plot(steps[1:], values[1:], color=COLOURS[method], label=method)
    axes.set_xlabel("steps")
    axes.set_title("bits a value in training, relaxed samples (less is better)", fontsize=10)
    axes.legend(fontsize=8)


def gallery(axes: Axes, result: Result) -> None:
    """The picture that `rrvq_measure.add_bounds` kept, rows named."""
    pixels = np.asarray(inline_png.unpack(result["gallery"]))
    names = ["originals"]
    for record in result["records"]:
        if record["seed"] == 0:
            names += [record["method"], "its samples"]
    side = len(pixels) / len(names)
    axes.imshow(pixels)
    axes.set_yticks([side * (n + 0.5) for n in range(len(names))], names, fontsize=8)
    axes.set_xticks([])
