"""Whether our runs of known codecs agree with curves that others measured.

    python -m hqcodec.benchmarks.anchors benchmarks/kodak.json CURVES.json [--pair avif=av1]

CURVES.json is as published.py reads it. Encoders and their settings differ from one publication to
the next, and so do whole files from bare streams: at equal settings 0.1 dB is close, between
encoders of one format half a dB is not far.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hqcodec.benchmarks.curves import decibels
from hqcodec.benchmarks.published import FILED, Published, read_published
from hqcodec.benchmarks.report import LABELS, NONE, Points, at_rate, curve
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.benchmarks.script import run
from hqcodec.errors import HqcodecError


@dataclass(frozen=True)
class Agreement:
    """A codec at a rate: measured and published, in dB (MS-SSIM as -10 log10(1 - MS-SSIM))."""

    codec: str
    metric: str
    bpp: float
    measured: float
    published: float

    @property
    def difference(self) -> float:
        """Measured less published, in dB."""
        return self.measured - self.published


def published_points(published: Published, metric: str) -> Points:
    """(bpp, dB) of the published points that have the metric."""
    return [(bpp, decibels(metric, value)) for bpp, value in published.curves.get(metric, ())]


def agreements(
    result: Result,
    published: Mapping[str, Published],
    pairs: dict[str, str],
    metric: str,
    rates: Sequence[float] = (),
) -> list[Agreement]:
    """Every codec of a result against a published one, at rates that both curves reach.

    pairs: our name -> the published one. rates: bpp; without them the published points themselves,
    so that only our curve is interpolated.
    """
    found = []
    for codec, name in pairs.items():
        theirs = published_points(published[name], metric)
        mine = [(bpp, decibels(metric, value)) for bpp, value in curve(result, codec, metric)]
        for bpp, other in [(bpp, at_rate(theirs, bpp)) for bpp in rates] or theirs:
            measured = at_rate(mine, bpp)
            if measured is not None and other is not None:
                found.append(Agreement(codec, metric, bpp, measured, other))
    return found


def find_pairs(
    result: Result, published: Mapping[str, Published], asked: Sequence[str]
) -> dict[str, str]:
    """What to compare: the pairs OURS=PUBLISHED asked for, else all codecs that share a name."""
    if not asked:
        pairs = {name: name for name in result["codecs"] if name in published}
        if not pairs:
            raise HqcodecError(
                f"no codec is in both files; give --pair OURS=PUBLISHED, of {', '.join(published)}"
            )
        return pairs
    pairs = {}
    for pair in asked:
        ours, equals, theirs = pair.partition("=")
        if not equals:
            raise HqcodecError(f"--pair {pair}; it takes OURS=PUBLISHED, as in avif=av1")
        if ours not in result["codecs"]:
            raise HqcodecError(f"codec {ours!r}; the result has {', '.join(result['codecs'])}")
        if theirs not in published:
            raise HqcodecError(f"codec {theirs!r}; the curves are of {', '.join(published)}")
        pairs[ours] = theirs
    return pairs


def anchors(
    measured: Annotated[Path, typer.Argument(metavar="RESULT", help="JSON of a benchmark.")],
    published: Annotated[Path, typer.Argument(metavar="CURVES", help="JSON of known curves.")],
    pair: Annotated[
        list[str] | None, typer.Option(help="OURS=PUBLISHED; by default equal names. Repeatable.")
    ] = None,
    rates: Annotated[
        list[float] | None,
        typer.Option("--rate", help="Compare at this bpp; else at the published points."),
    ] = None,
    within: Annotated[
        float | None, typer.Option(help="Exit 1 if a PSNR is farther off than so many dB.")
    ] = None,
) -> None:
    """Print measured and published quality at equal rates, and the differences in dB."""
    result = read_result(measured)
    known = {line.name: line for line in read_published(published)}
    pairs = find_pairs(result, known, pair or ())
    for metric in FILED:
        found = agreements(result, known, pairs, metric, rates or ())
        for codec, name in pairs.items():
            rows = [row for row in found if row.codec == codec]
            typer.echo(f"{LABELS[metric]} of {codec} against {name}, dB" + f": {NONE}" * (not rows))
            for row in rows:
                figures = f"{row.measured:8.2f} {row.published:8.2f} {row.difference:+8.3f}"
                typer.echo(f"{row.bpp:8.3f} bpp {figures}")
    if within is not None:
        check(agreements(result, known, pairs, "psnr", rates or ()), pairs, within)


def check(found: Sequence[Agreement], codecs: Iterable[str], within: float) -> None:
    """HqcodecError if a codec was not compared at all, or is farther off than `within` dB."""
    faults = []
    for codec in codecs:
        differences = [abs(row.difference) for row in found if row.codec == codec]
        if not differences:
            faults.append(f"{codec} has no rate in common")
        elif max(differences) > within:
            faults.append(f"{codec} is off by {max(differences):.3f} dB")
    if faults:
        raise HqcodecError(f"{', '.join(faults)}; at most {within:g} dB was allowed")


if __name__ == "__main__":
    run(anchors)
