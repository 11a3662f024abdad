"""Trains a model of spectrograms: the loop of hqcodec.models.train, on other data."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import torch
from torch import Tensor

from hqcodec.benchmarks.papers.runner import SHOWN_EVERY
from hqcodec.benchmarks.papers.spectrograms import crops
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.checkpoint import State, load_checkpoint, save_checkpoint
from hqcodec.models.hq_vae import SAMPLE, HQVAEConfig
from hqcodec.models.run import Run
from hqcodec.models.spectrogram import SpectrogramVAE
from hqcodec.models.train import train_step

CHECKPOINT, LOG, RECORD = "checkpoint.safetensors", "log.jsonl", "run.json"


def train(
    run: Run, spectrograms: Sequence[Tensor], out: Path, show: Callable[[str], None]
) -> SpectrogramVAE:
    """The model after all steps on crops of spectrograms [bins,frames], in eval mode.

    run.train.crop: frames of a crop. out: a folder for run.json, log.jsonl and
    checkpoint.safetensors; a run that was killed there continues, one that is finished is read.
    Raises HqcodecError if the folder holds a run of other settings.
    """
    t, (model, state) = run.train, begin(run, spectrograms)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint, log, record = out / CHECKPOINT, out / LOG, out / RECORD
    described = json.dumps(asdict(run), indent=1)
    if checkpoint.exists():
        if record.read_text(encoding="utf-8") != described:
            raise HqcodecError(f"{out} holds another run; give another --runs")
        load_checkpoint(state, checkpoint)
        lines = log.read_text(encoding="utf-8").splitlines()[: state.step]  # a line a step
        log.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    else:
        record.write_text(described, encoding="utf-8")
        log.write_text("", encoding="utf-8")
    model.train()
    began = shown = monotonic()
    while state.step < t.steps:
        x = crops(spectrograms, t.batch, t.crop, t.seed, state.step)
        terms = {"step": float(state.step)} | train_step(state, run, x)
        terms["seconds"] = round(monotonic() - began, 1)
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({k: float(f"{v:.5g}") for k, v in terms.items()}) + "\n")
        if state.step == t.steps or state.step % t.checkpoint_every == 0:
            save_checkpoint(state, checkpoint)
        if monotonic() - shown > SHOWN_EVERY:
            show(f"{run.name}: step {state.step}, loss {terms['loss']:.3f}")
            shown = monotonic()
    return model.eval()


def begin(run: Run, spectrograms: Sequence[Tensor]) -> tuple[SpectrogramVAE, State]:
    """Model and optimizer at step 0."""
    t = run.train
    torch.manual_seed(t.seed)
    model = SpectrogramVAE(zoo.from_dict(HQVAEConfig, run.model))
    model.initialize(crops(spectrograms, SAMPLE, t.crop, t.seed, 2**31))
    optimizer = torch.optim.Adam(model.parameters(), t.lr, t.betas)  # type: ignore[arg-type]
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return model, State(model, optimizer)
