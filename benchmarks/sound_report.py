"""Tables of sound from the JSON of a sweep, and the block of the README that is made of them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rich import box
from rich.table import Table

from hqcodec.benchmarks.crossing import Points, crossing, rate_of
from hqcodec.benchmarks.report import NAMES, NONE, OURS, markdown, percent
from hqcodec.benchmarks.results import Result

# column -> (heading, format)
COLUMNS = {
    "kbps": ("kbit/s", "{:.2f}"),
    "payload_kbps": ("payload", "{:.2f}"),
    "mel": ("mel", "{:.3f}"),
    "stft": ("STFT", "{:.3f}"),
    "si_sdr": ("SI-SDR", "{:.2f}"),
    "pesq": ("PESQ", "{:.2f}"),
    "stoi": ("STOI", "{:.3f}"),
    "visqol": ("ViSQOL", "{:.2f}"),
}
RIVAL = "opus"  # the baseline that crossings are told of
LAYERS = (1, 2, 3, 4, 6, 8, 12, 16)  # of ours that the README shows; the JSON has them all
MOST = 34.0  # kbit/s of the baselines there


def kinds(result: Result) -> list[str]:
    """The kinds of sound that there are means of, in their order."""
    return list(dict.fromkeys(row["kind"] for row in result["means"]))


def rows_of(result: Result, kind: str, codec: str | None = None) -> list[dict[str, Any]]:
    """The means of one kind, of one codec or of all."""
    rows = [row for row in result["means"] if row["kind"] == kind]
    return [row for row in rows if codec in (None, row["codec"])]


def curve(result: Result, kind: str, codec: str, metric: str) -> list[tuple[float, float]]:
    """(kbit/s, metric) of each setting that has it, by rising rate."""
    rows = rows_of(result, kind, codec)
    return sorted((row["kbps"], row[metric]) for row in rows if row[metric] is not None)


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Those that have a value in some row."""
    return [c for c in COLUMNS if any(row[c] is not None for row in rows)]


def cells(row: dict[str, Any], shown: Sequence[str]) -> list[str]:
    """The values of one row of means as text."""
    return [NONE if row[c] is None else COLUMNS[c][1].format(row[c]) for c in shown]


def title(result: Result, kind: str) -> str:
    """A kind, and how much of it there was."""
    row = rows_of(result, kind)[0]
    return f"{kind}: {row['sounds']} sound{'s' * (row['sounds'] != 1)}, {row['seconds']:.0f} s"


def rich_table(result: Result, kind: str) -> Table:
    """All means of one kind, for a terminal of 80 columns."""
    rows = rows_of(result, kind)
    units = ", ".join(
        f"{NAMES.get(codec, codec)} {about['setting']}" for codec, about in result["codecs"].items()
    )
    table = Table(
        title=f"{title(result, kind)}, whole files",
        caption=units,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("codec", no_wrap=True)
    shown = columns(rows)
    for c in shown:
        table.add_column(COLUMNS[c][0], justify="right", no_wrap=True)
    previous = None
    for row in rows:
        if previous not in (None, row["codec"]):
            table.add_section()
        previous = row["codec"]
        name = NAMES.get(row["codec"], row["codec"])
        table.add_row(f"{name} {row['setting']}", *cells(row, shown))
    return table


def verdict(result: Result, kind: str) -> str | None:
    """In a sentence, where our mel distance is below Opus's; None without both."""
    mine, theirs = (curve(result, kind, codec, "mel") for codec in (OURS, RIVAL))
    if not mine or not theirs:
        return None
    rate, distance = theirs[0]
    reached = rate_of(mine, distance)
    name = NAMES[RIVAL]
    least = f"{name} begins at {rate:.1f} kbit/s with {distance:.2f}"
    if reached is not None:
        least += f", which {OURS} has at {reached:.1f}"
    elif mine[0][1] <= distance:
        least += f", more than {OURS} at {mine[0][0]:.1f} kbit/s, which has {mine[0][1]:.2f}"
    else:
        least += f", which {OURS} does not reach"
    return f"{kind}: {shared(mine, theirs, name)}; {least}."


def growth(result: Result, kind: str) -> str | None:
    """In a sentence, whether each of our layers brings a smaller mel distance, or None."""
    rows = [row for row in rows_of(result, kind, OURS) if row["mel"] is not None]
    if len(rows) < 2:
        return None
    worse = [str(b["setting"]) for a, b in pairwise(rows) if b["mel"] >= a["mel"]]
    falls = f"{kind}: the mel distance of {OURS} falls with every layer"
    return f"{falls} but {', '.join(worse)}." if worse else f"{falls}."


def sentences(result: Result) -> list[str]:
    """What can be said of each kind."""
    found = [say(result, kind) for kind in kinds(result) for say in (growth, verdict)]
    return [sentence for sentence in found if sentence is not None]


def shared(mine: Points, theirs: Points, name: str) -> str:
    """Which curve has the smaller mel distance at the rates that both have."""
    found = crossing(mine, theirs)
    if found is None:
        return f"{OURS} and {name} share no rates"
    between = f"from {found.low:.1f} to {found.high:.1f} kbit/s"
    nearer, other = (OURS, name) if found.first else (name, OURS)
    if not found.rates:
        return f"{nearer} has the smaller mel distance at all shared rates, {between}"
    at = " and ".join(f"{rate:.1f}" for rate in found.rates)
    verb = f"{other} from there on" if len(found.rates) == 1 else "they change places at each"
    return f"{between} {nearer} has the smaller mel distance up to the crossing at {at}, {verb}"


def readme_tables(result: Result) -> str:
    """What stands between the markers in the README: a table a kind, and how they came about."""
    blocks = []
    for kind in kinds(result):
        blocks += [f"**{title(result, kind)}**", kind_table(result, kind)]
    if lines := [f"- {sentence}" for sentence in sentences(result)]:
        blocks += ["In words (curves are compared by PCHIP over log rate):", "\n".join(lines)]
    if "codes" in result:
        blocks += ["What the context models save:", codes_table(result["codes"])]
    if "speed" in result:
        blocks += ["Times real time on one thread:", speed_table(result["speed"])]
    if "commands" in result:
        blocks += ["The command line, with Python's start:", commands_table(result["commands"])]
    return "\n\n".join([*blocks, provenance(result)])


def kind_table(result: Result, kind: str) -> str:
    """The means of one kind in Markdown, as far as LAYERS and MOST let them in."""
    rows = [
        row
        for row in rows_of(result, kind)
        if (row["setting"] in LAYERS if row["codec"] == OURS else row["kbps"] <= MOST)
    ]
    shown = columns(rows)
    return markdown(
        ["codec", "setting", *(COLUMNS[c][0] for c in shown)],
        [
            [NAMES.get(row["codec"], row["codec"]), str(row["setting"]), *cells(row, shown)]
            for row in rows
        ],
    )


def codes_table(codes: dict[str, Any]) -> str:
    """Rates of the codes, a row for each number of layers kept; see `sound_codes`."""
    rows, total = [], {"raw": 0.0, "static": 0.0, "coded": 0.0}
    for layer in codes["layers"]:
        total = {key: value + layer[key] for key, value in total.items()}
        # Adding 0 takes the sign from a zero.
        change = 100 * (total["coded"] / total["static"] - 1) if total["static"] else None
        saved = percent(None if change is None else round(change, 1) + 0.0)
        rows.append([str(layer["layer"]), *(f"{value:.2f}" for value in total.values()), saved])
    heads = ["layers", "codes, kbit/s", "static tables", "context models", "saved"]
    return markdown(heads, rows)


def speed_table(speed: dict[str, Any]) -> str:
    """Speeds, a row a codec and setting; see `sound_speed`."""
    rows = [
        [
            f"{NAMES.get(row['codec'], row['codec'])} {row['setting']}",
            f"{row['encode']:.0f}",
            f"{row['decode']:.0f}",
        ]
        for row in speed["records"]
    ]
    return markdown(["codec", "encode", "decode"], rows)


def commands_table(commands: dict[str, Any]) -> str:
    """Commands on a long sound, a row each; see `sound.commands`."""
    rows = [
        [
            f"{row['what']} {row['minutes']:g} minutes",
            f"{row['seconds']:.1f}",
            f"{row['times_real_time']:.0f}",
            f"{row['peak_megabytes']:.0f}",
        ]
        for row in commands["records"]
    ]
    return markdown(["command", "seconds", "times real time", "peak MB"], rows)


def speed_lines(speed: dict[str, Any]) -> list[str]:
    """Speeds for a terminal, a line a codec and setting."""
    return [
        f"speed of {NAMES.get(row['codec'], row['codec'])} {row['setting']}, times real time on "
        f"one thread: {row['encode']:.1f} encoding, {row['decode']:.1f} decoding"
        for row in speed.get("records", [])
    ]


def provenance(result: Result) -> str:
    """One paragraph: sounds, definitions, versions, machine, and what is missing and why."""
    versions, machine, ours = result["versions"], result["machine"], result["codecs"].get(OURS, {})
    count, seconds = len(result["sounds"]), sum(s["seconds"] for s in result["sounds"])
    said = [
        f"{count} sounds, {seconds:.0f} s, whole files with headers, decoded again and compared at "
        "the original's rate with the delay undone. Mel and STFT distance as DAC defines them "
        "(less is better), SI-SDR in dB, PESQ (wide band) and STOI of speech.",
        f"Model `{ours.get('model', NONE)}`, weights `{ours.get('weights', NONE)}`; hqcodec "
        f"{versions['hqcodec']}, Python {versions['python']}, torch {versions['torch']}; "
        f"{machine['platform']}, {machine['cpus']} cores, {machine['torch_threads']} torch "
        f"thread{'s' * (machine['torch_threads'] != 1)}.",
    ]
    for codec, about in result["codecs"].items():
        if codec != OURS:
            options = ", ".join(
                str(v) for k, v in about.items() if k not in ("setting", "settings")
            )
            settings = ", ".join(str(s) for s in about["settings"])
            name = NAMES.get(codec, codec)
            said.append(f"{name}: {options}; {about['setting']} {settings}.")
    said += [f"Left out: {failure}." for failure in result["failures"]]
    return " ".join(said)
