"""The model card beside trained weights: data, steps, machine, command and what it measured."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def write_card(
    target: Path,
    metadata: dict[str, Any],
    facts: dict[str, str],
    held_out: dict[str, float],
    start: Path | None = None,
) -> None:
    """Write a Markdown card.

    metadata: of the weights file. facts: label -> text, in order. held_out: the last validation's
    terms; those with a number at their end are layers and become a table. start: the card of the
    weights that training started from, if there is one; it goes to the end.
    """
    lines = [f"# {target.stem}", "", metadata["description"] + ".", ""]
    lines += [f"- {label}: {text}" for label, text in facts.items()]
    layers = metadata["layers"]
    lines += [
        f"- layers: {len(layers)}, "
        + "; ".join(f"stride {s}, {g} groups of {k} code vectors" for s, g, k in unique(layers)),
        f"- hash of what decoding codes reads: {metadata['hash']}",
        f"- licence: {metadata['license']}",
        "",
        "Measured on held-out crops of the training data's folder (estimated bits, not files):",
        "",
    ]
    whole = [term for term in held_out if not term[-1].isdigit()]
    lines += [f"- {term}: {held_out[term]:.4g}" for term in whole]
    kinds = [k for k in ("bpp", "kbps", "psnr", "mel", "perplexity") if f"{k}_1" in held_out]
    if kinds:
        lines.append("")
        lines += [f"| layers | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
        for layer in range(1, len(layers) + 1):
            if f"{kinds[0]}_{layer}" not in held_out:  # validation left it out
                continue
            row = (f"{held_out.get(f'{kind}_{layer}', float('nan')):.4g}" for kind in kinds)
            lines.append(f"| {layer} | {' | '.join(row)} |")
    if start is not None and start.is_file():
        lines += ["", "## What it was started from", ""]
        lines += [f"#{x}" if x.startswith("#") else x for x in start.read_text().splitlines()]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def unique(layers: list[list[int]]) -> list[tuple[int, int, int]]:
    """Different kinds of layers, in order."""
    return list(dict.fromkeys((s, g, k) for s, g, k in layers))


def surroundings() -> dict[str, str]:
    """Machine, software and commit of this process, without names of hosts or folders."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "machine": f"{device}, {os.cpu_count()} cores",
        "software": f"hqcodec {version('hqcodec')}, torch {torch.__version__}, "
        f"python {platform.python_version()} on {sys.platform}",
        "commit": commit(),
    }


def commit() -> str:
    """The commit of the code that runs, or "unknown" outside a repository."""
    folder = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
