"""One training loop for every model: `train(Run, data, out)`.

Each step's batch and random numbers follow from (seed, step) alone, and a checkpoint holds weights,
averages and optimizer state; so a run that was killed continues exactly as if it had not been.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from math import cos, pi
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.models import examples, zoo
from hqcodec.models.base import Model
from hqcodec.models.card import surroundings, write_card
from hqcodec.models.checkpoint import Plateau, State, load_checkpoint, save_checkpoint
from hqcodec.models.examples import Examples
from hqcodec.models.lpips import load_lpips, shift
from hqcodec.models.run import Run, TrainConfig
from hqcodec.models.run_checks import check_decoder_run, check_frozen, check_stages
from hqcodec.models.widen import widen

SCHEDULES = "cosine", "constant", "plateau"


def rate_factor(config: TrainConfig, step: int) -> float:
    """The learning rate at a step, relative to `lr`: warm-up, constant, cosine to zero.

    It begins anew in every stage. The schedule "plateau" multiplies it by what `Plateau` says.
    """
    steps = config.steps // config.stages
    step -= min(step // steps, config.stages - 1) * steps
    factor = min(1.0, (step + 1) / max(1, config.warmup))
    start = config.hold * steps
    if config.schedule == "cosine" and step > start:
        factor *= 0.5 + 0.5 * cos(pi * (step - start) / (steps - start))
    return factor


def make_state(run: Run, source: Examples, device: str) -> State:
    """Model and optimizer at step 0."""
    t = run.train
    torch.manual_seed(t.seed)
    model = zoo.build(run.family, run.model)
    check_stages(t, model)
    loaded = load_fitting(model, t) if t.start else ()
    if any(key not in loaded for key in model.state_dict() if not key.startswith(zoo.DECODER)):
        model.initialize(source.draw(t, 512, t.seed, 2**31), loaded)
    model.to(device)
    for name, p in model.named_parameters():
        p.requires_grad_(not name.startswith(t.freeze) if t.freeze else True)
    if run.decoder:
        check_decoder_run(run, model)
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam, "adamax": torch.optim.Adamax, "radam": torch.optim.RAdam,
    }  # fmt: skip
    if t.optimizer not in kinds:
        raise HqcodecError(f"optimizer {t.optimizer!r}; known are {', '.join(kinds)}")
    if t.schedule not in SCHEDULES:
        raise HqcodecError(f"schedule {t.schedule!r}; known are {', '.join(SCHEDULES)}")
    if len(t.betas) != 2 or not all(0 <= beta < 1 for beta in t.betas):
        raise HqcodecError(f"betas {t.betas}; want two numbers from 0 to below 1")
    state = State(model, kinds[t.optimizer](model.parameter_groups(t.lr), betas=t.betas))
    for group in state.optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    if t.average:
        state.average = {k: v.clone() for k, v in model.state_dict().items()}
    return state


def load_fitting(model: Model, t: TrainConfig) -> tuple[str, ...]:
    """Take from `t.start` what has the model's names and shapes, transforms also into wider ones.

    Returns the names taken.
    """
    found, own = safetensors.torch.load_file(zoo.path(t.start)), model.state_dict()
    if t.start_decoder:
        file = zoo.decoder_path(t.start, t.start_decoder)
        found |= zoo.read_decoder(file, zoo.read_metadata(zoo.path(t.start)))[1]
    for key in found.keys() & own.keys():
        if key.startswith(model.transform_prefixes) and not (t.freeze and key.startswith(t.freeze)):
            found[key] = widen(found[key], own[key])
    taken = {k: v for k, v in found.items() if k in own and v.shape == own[k].shape}
    missing = [k for k in own if k not in taken]
    if not taken or any(k.startswith(t.freeze) for k in missing if t.freeze):
        raise HqcodecError(f"{t.start}: has other shapes than the config, as for {missing[0]}")
    model.load_state_dict(taken, strict=False)
    return tuple(taken)


def train_mode(model: Model, freeze: tuple[str, ...]) -> None:
    """Train mode, but for what is frozen: moving averages stand still, codes are the likeliest."""
    model.train()
    for name, module in model.named_modules():
        if freeze and f"{name}.".startswith(freeze):
            module.eval()


def train_step(state: State, run: Run, x: Tensor) -> dict[str, float]:
    """One update on x [B,3,H,W]; what `Model.loss` returned, as numbers."""
    t, model = run.train, state.model
    torch.manual_seed(t.seed * 1_000_003 + state.step)
    if state.step % (t.steps // t.stages) == 0:  # a new stage
        state.optimizer.state.clear()
        state.plateau = Plateau()
    factor = rate_factor(t, state.step) * state.plateau.factor
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=t.bf16):
        terms = model.loss(x, state.step)
    total = terms["loss"]
    if "lpips" in terms:
        total = total + t.lpips * terms["lpips"] + t.log_lpips * terms["log_lpips"]
    if not bool(total.isfinite()):
        raise HqcodecError(f"the loss is {total.item()} at step {state.step}; lower `lr` or `clip`")
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), t.clip)
    state.optimizer.step()
    state.step += 1
    if state.average:
        for key, value in model.state_dict().items():
            # what is frozen stays, bit by bit: lerp makes 0.0 of -0.0
            if value.is_floating_point() and not key.startswith(t.freeze):
                state.average[key].lerp_(value, 1 - t.average)
            else:
                state.average[key].copy_(value)
    shown = {key: float(value.detach()) for key, value in terms.items()}
    return shown | {"gradient": float(norm), "lr": t.lr * factor}


@torch.no_grad()
def validate(state: State, run: Run, source: Examples, device: str) -> dict[str, float]:
    """Mean of `Model.loss`'s terms over fixed crops of what is held out."""
    averaged, kept = state.average, {}
    if averaged and state.model.training:
        kept = {k: v.clone() for k, v in state.model.state_dict().items()}
        state.model.load_state_dict(averaged)
    state.model.eval()
    sums: dict[str, list[float]] = {}
    for batch in range(8):
        x = source.draw(run.train, max(run.train.batch, 12), 1, batch, held_out=True).to(device)
        for key, value in state.model.loss(x, state.step).items():
            sums.setdefault(key, []).append(float(value))
    if kept:
        state.model.load_state_dict(kept)
    return {key: sum(values) / len(values) for key, values in sums.items()}


def train(
    run: Run, folder: Path, out: Path, device: str = "cpu", lpips: Path | None = None
) -> Iterator[dict[str, float]]:
    """Train, yielding every step's record; resumes from `out` if a checkpoint lies there.

    out: a folder; gets run.json, log.jsonl, checkpoint.safetensors and, at the end, the exported
    weights and their card (see `finish`).
    """
    t = run.train
    out.mkdir(parents=True, exist_ok=True)
    described = json.dumps(asdict(run) | {"data": str(folder)}, indent=1)
    record, checkpoint, log = out / "run.json", out / "checkpoint.safetensors", out / "log.jsonl"
    if checkpoint.exists() and record.exists() and record.read_text() != described:
        raise HqcodecError(f"{out} holds another run; give another --out, or the config it was for")
    source = examples.load(run, folder)
    state = make_state(run, source, device)
    if t.lpips or t.log_lpips:
        metric = load_lpips("alex", lpips).to(device)
        state.model.perceptual = lambda x, y: metric(*shift(x, y))
    record.write_text(described)
    if checkpoint.exists():
        load_checkpoint(state, checkpoint)
        lines = log.read_text().splitlines()[: state.step]  # a line a step
        log.write_text("".join(line + "\n" for line in lines))
    train_mode(state.model, t.freeze)
    began = time.monotonic()
    while state.step < t.steps:
        x = source.draw(t, t.batch, t.seed, state.step).to(device)
        shown = {"step": float(state.step)} | train_step(state, run, x)
        last = state.step == t.steps
        if last or state.step % t.validate_every == 0:
            found = validate(state, run, source, device)
            train_mode(state.model, t.freeze)
            if t.schedule == "plateau":
                state.plateau.see(found["loss"], t.patience)
            shown |= {f"held_out_{key}": value for key, value in found.items()}
        shown["seconds"] = round(time.monotonic() - began, 1)
        with log.open("a") as file:
            file.write(json.dumps({k: float(f"{v:.5g}") for k, v in shown.items()}) + "\n")
        if last or state.step % t.checkpoint_every == 0:
            check_frozen(state.model, run)
            save_checkpoint(state, checkpoint)
        yield shown
    finish(state, run, folder, out, source, device)


def finish(state: State, run: Run, folder: Path, out: Path, source: Examples, device: str) -> None:
    """Export the averaged weights, or their decoder, to out/run.file, with a card beside it."""
    t = run.train
    if state.average:
        state.model.load_state_dict(state.average)
    state.model.eval()
    target = out / run.file
    if run.decoder:
        metadata = zoo.save_decoder(state.model, t.start, target, run.decoder, run.description)
        metadata = zoo.read_metadata(zoo.path(t.start)) | metadata
    else:
        state.model.calibrate(source.draw(t, 512, t.seed, 2**31 + 1).to(device))
        check_frozen(state.model, run)
        metadata = zoo.save(state.model, target, run.name, run.description)
    options = f" --start {Path(t.start).name}" if t.start else ""
    options += " --lpips WEIGHTS" if t.lpips or t.log_lpips else ""
    inside = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    folders = folder.name + (f" ({', '.join(inside)})" if inside else "")
    facts = {
        "data": f"{folders}, {source.describe()}",
        "steps": f"{t.steps} of {t.batch} crops of {examples.crop_size(run)}",
        **({"trained parts": f"all but {', '.join(t.freeze)}"} if t.freeze else {}),
        **({"started from": Path(t.start).name} if t.start else {}),
        **({"its decoder": Path(t.start_decoder).name} if t.start_decoder else {}),
        **surroundings(),
        "command": f"`hqcodec train {run.config} --data {folder.name} --out {out.name}{options}`",
    }
    held_out = validate(state, run, source, device)
    start = zoo.path(t.start).with_suffix(".md") if t.start else None
    write_card(target.with_suffix(".md"), metadata, facts, held_out, start)
