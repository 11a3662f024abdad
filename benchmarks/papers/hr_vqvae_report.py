"""What became of the HR-VQVAE paper's comparisons: tables beside its own figures, and curves."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hqcodec.benchmarks.papers.hr_vqvae import (
    BY_GRADIENT,
    DEPTHS,
    GROUPS,
    GROWTH,
    LIGHT,
    METHODS,
    layers,
)
from hqcodec.benchmarks.papers.records import alike, cost, spread
from hqcodec.benchmarks.report import NONE, markdown
from hqcodec.benchmarks.results import Result

# MSE x1000 on CIFAR-10 as the paper's Table 1 has it, with 512 code vectors in the last layer.
TABLE_1 = {"HR-VQVAE": 0.41, "VQ-VAE": 0.92, "VQ-VAE-2": 0.68}
COLOURS = {"HR-VQVAE": "#d55e00", LIGHT: "#cc79a7", "VQ-VAE": "#0072b2", "VQ-VAE-2": "#009e73"}


def table(result: Result) -> str:
    """The block of the document: a table a comparison that was trained, and how it was trained."""
    makers: dict[str, Callable[[], str]] = {
        "growth": lambda: growth(result),
        "depth": lambda: depths(result),
    }
    parts = []
    for group, makes in makers.items():
        if any(record["group"] == group for record in result["records"]):
            parts.append(f"**{GROUPS[group][0].upper()}{GROUPS[group][1:]}.**\n\n{makes()}")
    if searched := searches(result):
        parts.append(
            f"**Linked search against searching all code vectors, Table 2.**\n\n{searched}"
        )
    parts += [f"{fail['name']} has no figure: {fail['error']}." for fail in result["failures"]]
    return "\n\n".join([*parts, settings(result)])


def growth(result: Result) -> str:
    """Methods by the number of code vectors in the last layer."""
    rows = []
    for codes in sorted(GROWTH):
        for method in METHODS:
            found = alike(result, group="growth", method=method, setting=f"{codes:,}")
            if found:
                known = f"{TABLE_1[method]:.2f}" if codes == 512 and method in TABLE_1 else NONE
                rows.append(
                    [
                        f"{codes:,}", method, spread(found, "mse", 1000), known,
                        spread(found, "psnr"), spread(found, "used", digits=".0f"),
                        f"{found[0]['bits']:,.0f}", str(len(found)),
                    ]
                )  # fmt: skip
    heads = [
        "code vectors", "method", "MSE ×1000", "the paper's", "PSNR", "used", "bits a picture",
        "seeds",
    ]  # fmt: skip
    return markdown(heads, rows)


def depths(result: Result) -> str:
    """HR-VQVAE by its number of layers, in the three ways of `names`."""
    rows = []
    for sizes in DEPTHS:
        cells = [
            spread(found, key, scale, digits)
            for found in (alike(result, name=name) for name in names(sizes))
            for key, scale, digits in (("mse", 1000, ".2f"), ("used", 1, ".0f"))
        ]
        rows.append([layers(sizes), *cells])
    heads = [
        "layers", "MSE ×1000", "used of 64", "β/(n+1), MSE ×1000", "β/(n+1), used",
        "by gradient, MSE ×1000", "by gradient, used",
    ]  # fmt: skip
    return markdown(heads, rows)


def names(sizes: tuple[int, ...]) -> tuple[str, str, str]:
    """Variants: codebooks are averages; with lighter commitments; codebooks by the gradient."""
    name = f"hr-{'x'.join(map(str, sizes))}"
    return name, f"{name}-light", f"{name}-gradient"


def searches(result: Result) -> str:
    """What the first seed's searches took, fewest vectors first; empty if there is none."""
    found = [
        record["search"]
        for record in result["records"]
        if record["seed"] == 0 and record["method"] == "HR-VQVAE" and record["model"]["ema_decay"]
    ]
    rows = []
    for f in sorted(found, key=lambda f: (f["exhaustive_searched"], f["linked_searched"])):
        rows.append(
            [
                ", ".join(map(str, f["codebook"])),
                f"{f['linked_searched']} of {f['exhaustive_searched']:,}",
                *(
                    f"{1e9 * f[f'{way}_seconds'] / f['latents']:,.0f}"
                    for way in ("linked", "exhaustive")
                ),
                *(f"{100 * f[f'{way}_error']:.2f}" for way in ("linked", "exhaustive")),
            ]
        )
    heads = [
        "codebooks", "vectors searched", "ns a latent", "all of them, ns", "error, % of variance",
        "all of them, %",
    ]  # fmt: skip
    return markdown(heads, rows) if rows else ""


def settings(result: Result) -> str:
    """How all of it was trained and measured, in words."""
    record = result["records"][0]
    model, train = record["model"], record["train"]
    return (
        f"Size `{result['size']}`: {train['steps']:,} steps of {train['batch']} pictures of "
        f"{result['data']}, learning rate {train['lr']:g}, {model['width']} channels, code "
        f"vectors of {model['dim']} dimensions; {result['test_pictures']:,} test pictures. Code "
        "vectors are those of the last layer, and used is the perplexity of the test pictures' "
        "codes there, linked ones counted by path. ± is the standard deviation over the seeds. "
        f"{cost(result)}"
    )


def plot(result: Result, path: Path) -> None:
    """Write a PNG: error by the number of code vectors, their use, and error by depth."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")  # renders with Agg
    first, second, third = figure.subplots(1, 3)
    over_codes(first, result, "mse", 1000, "MSE ×1000 (less is better)")
    over_codes(second, result, "used", 1, "code vectors used in the last layer")
    second.set_yscale("log", base=2)
    over_depth(third, result)
    for axes in (first, second, third):
        axes.grid(True, color="#e0e0e0", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, format="png", metadata={"Software": None})


def over_codes(axes: Axes, result: Result, key: str, scale: float, title: str) -> None:
    """A figure of the methods over the number of code vectors."""
    for method in METHODS:
        places: dict[int, list[float]] = {}
        for r in alike(result, group="growth", method=method):
            places.setdefault(r["codewords"], []).append(scale * r[key])
        line(axes, places, method, COLOURS[method], "-")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(GROWTH), [f"{codes:,}" for codes in sorted(GROWTH)])
    axes.set_xlabel("code vectors in the last layer")
    axes.set_title(title, fontsize=10)


def over_depth(axes: Axes, result: Result) -> None:
    """Error over the number of layers, in the three ways of `names`."""
    for way, label in enumerate(("moving averages", "the same, β/(n+1)", "by the gradient")):
        shapes = (DEPTHS, DEPTHS, BY_GRADIENT)[way]
        places = {
            len(sizes): [1000 * r["mse"] for r in alike(result, name=names(sizes)[way])]
            for sizes in shapes
        }
        colour = COLOURS[LIGHT if way == 1 else "HR-VQVAE"]
        line(axes, places, label, colour, "--" if way == 2 else "-")
    axes.set_xlabel("layers of HR-VQVAE, 64 code vectors in the last")
    axes.set_title("MSE ×1000 (less is better)", fontsize=10)


def line(axes: Axes, places: dict[int, list[float]], label: str, colour: str, style: str) -> None:
    """The mean at each place, and the range of the seeds; places without any are left out."""
    ends = sorted((x, mean(ys), min(ys), max(ys)) for x, ys in places.items() if ys)
    if ends:
        at, middle, low, high = zip(*ends, strict=True)
        axes.plot(at, middle, style, marker="o", markersize=4, color=colour, label=label)
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
