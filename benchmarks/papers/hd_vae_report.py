"""What became of the HD-VAE paper's comparison: tables and curves of bounds."""

from pathlib import Path
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hqcodec.benchmarks.papers.hd_vae import BIAS_UNITS, METHODS, UNITS, bias_setting
from hqcodec.benchmarks.papers.hd_vae_measure import TEMPERATURE
from hqcodec.benchmarks.papers.records import Records, alike, spread
from hqcodec.benchmarks.report import markdown
from hqcodec.benchmarks.results import Result

COLOURS = {"HD-VAE": "#d55e00", "Gaussian": "#0072b2"}
PICTURES = {"mnist": "MNIST", "omniglot": "Omniglot"}
# L_1000 of table 1, discrete and normal
PAPER = {
    ("mnist", 1): (-87.34, -90.61),
    ("mnist", 2): (-80.52, -81.46),
    ("mnist", 3): (-79.39, -80.07),
    ("omniglot", 1): (-100.38, -107.65),
    ("omniglot", 2): (-95.55, -98.30),
    ("omniglot", 3): (-94.19, -96.40),
}
PAPER_BIAS = {  # table 4; the last is of N = 98
    2: {12: 1.31, 24: 1.59, 48: 1.75, 96: 1.84},
    6: {12: 1.59, 24: 1.85, 48: 2.14, 96: 2.90},
}


def table(result: Result) -> str:
    """The block of the document: bounds by depth, the bias by variables, and the settings."""
    samples = result["samples"]
    heads = [
        "pictures", "L", *(f"{m}, ELBO" for m in METHODS.values()),
        *(f"{m}, L{samples}" for m in METHODS.values()), *(f"{m}, KL" for m in METHODS.values()),
        "the paper's L1000, HD-VAE", "Gaussian",
    ]  # fmt: skip
    rows = []
    for (pictures, layers), paper in PAPER.items():
        found = [depth(result, pictures, layers, method) for method in METHODS.values()]
        if any(found):
            cells = [spread(r, key) for key in ("elbo", "weighted") for r in found]
            cells += [spread([{"kl": sum(one["kl"])} for one in r], "kl") for r in found]
            rows.append([PICTURES[pictures], str(layers), *cells, *(f"{v:.2f}" for v in paper)])
    parts = ["**HD-VAE against the Gaussian ladder, table 1, nats a picture.**"]
    parts += [markdown(heads, rows), bias_table(result), adjusted_table(result), settings(result)]
    return "\n\n".join(part for part in parts if part)


def depth(result: Result, pictures: str, layers: int, method: str) -> Records:
    """The records of all seeds of one cell of table 1."""
    return alike(result, group="depth", setting=f"{pictures}, L = {layers}", method=method)


def biases(result: Result, layers: int) -> list[tuple[int, Records]]:
    """The records of all seeds for each number of variables, as far as they were trained."""
    found = [
        (sum(units), alike(result, group="bias", setting=bias_setting(layers, units)))
        for units in BIAS_UNITS[layers]
    ]
    return [(n, records) for n, records in found if records]


def bias_table(result: Result) -> str:
    """A row for each number of layers and of variables."""
    rows = []
    for layers in BIAS_UNITS:
        for n, found in biases(result, layers):
            relaxed = [{"relaxed": r["elbo"] + r["bias"]} for r in found]
            cells = [spread(relaxed, "relaxed"), spread(found, "elbo"), spread(found, "bias")]
            error = f"{max(r['bias_error'] for r in found):.2f}"
            rows.append([f"{layers}, {n}", *cells, error, f"{PAPER_BIAS[layers][n]:.2f}"])
    if not rows:
        return ""
    title = "**The relaxation bias by the number of variables, K = 256, MNIST, table 4.**"
    tau = f"τ = {TEMPERATURE:g}"
    heads = ["L, N", f"L1, {tau}", "L1, τ = 0", "bias", "its error by pictures", "the paper's bias"]
    firsts = {n: counts[0][1] for n in BIAS_UNITS if (counts := biases(result, n))}
    rates = ", ".join(f"{r[0]['train']['lr']:g} with L = {n}" for n, r in firsts.items())
    about = (
        f"{result['wide']:,} pictures, of which the error is, and {max(map(len, firsts.values()))} "
        f"seed(s), of which ± is. Learning rates: {rates}."
    )
    return f"{title}\n\n{markdown(heads, rows)}\n\n{about}"


def adjusted_table(result: Result) -> str:
    """Eqs 5 and 8 of the models with one categorical layer."""
    rows = []
    for pictures, name in PICTURES.items():
        found = depth(result, pictures, 1, METHODS["categorical"])
        if found:
            keys = "relaxed", "elbo", "adjusted", "lipschitz_gap"
            rows.append([name, *(spread(found, key) for key in keys)])
    if not rows:
        return ""
    heads = ["pictures, L = 1", "eq 5", "ELBO", "eq 8", "κ E‖z̃ - H(z̃)‖"]
    return f"**The adjusted bound at τ = {TEMPERATURE:g}, eq 8.**\n\n{markdown(heads, rows)}"


def settings(result: Result) -> str:
    """How all of it was trained and measured, in words."""
    first = result["records"][0]
    train, model = first["train"], first["model"]
    minutes = sum(r["seconds"] for r in result["records"]) / 60
    counts = "; ".join(
        f"{PICTURES[name]} {n['train']:,} to train on and {n['test']:,} to test with"
        for name, n in result["pictures"].items()
    )
    width = f"{model['width']} channels, " if "width" in model else ""
    parameters = ", ".join(
        f"{method} {found[0]['parameters']:,}"
        for method in METHODS.values()
        if (found := depth(result, "mnist", max(UNITS), method))
    )
    return (
        f"Size `{result['size']}`: {train['steps']:,} steps of {train['batch']} pictures, learning "
        f"rate {train['lr']:g}, {width}{result['seeds']} seed(s); pictures: {counts}. ELBO: the "
        f"mean over {result['samples']} hard samples; L{result['samples']}: importance-weighted. "
        f"Parameters with three layers: {parameters}. {minutes:.0f} minutes in all on "
        f"{result['machine']['torch_threads']} thread(s)."
    )


def plot(result: Result, target: Path) -> None:
    """Importance-weighted bounds over the depth, and the bias over the number of variables."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    *left, right = figure.subplots(1, len(PICTURES) + 1)
    for axes, pictures in zip(left, PICTURES, strict=True):
        bounds(axes, result, pictures)
    for layers, colour in zip(BIAS_UNITS, ("#d55e00", "#0072b2"), strict=True):
        ours = [(n, mean(one["bias"] for one in r)) for n, r in biases(result, layers)]
        line, values = [n for n, _ in ours], [bias for _, bias in ours]
        right.plot(line, values, "o-", color=colour, label=f"ours, L = {layers}")
        paper = PAPER_BIAS[layers]
        label = f"the paper's, L = {layers}"
        right.plot(list(paper), list(paper.values()), "s--", color=colour, alpha=0.4, label=label)
    right.set(title="Relaxation bias, nats (less is better)", xlabel="variables N")
    right.legend()
    figure.savefig(target, dpi=110)


def bounds(axes: Axes, result: Result, pictures: str) -> None:
    """L_S of both methods over the number of layers."""
    for method, colour in COLOURS.items():
        cells = [(n, depth(result, pictures, n, method)) for n in UNITS]
        ends = [(n, r[0]["weighted"]) for n, r in cells if r]
        line = [n for n, _ in ends], [value for _, value in ends]
        axes.plot(*line, "o-", color=colour, label=method)
    axes.set_xticks(list(UNITS))
    title = f"{PICTURES[pictures]}: L{result['samples']}, nats (more is better)"
    axes.set(title=title, xlabel="layers L")
    axes.legend()
