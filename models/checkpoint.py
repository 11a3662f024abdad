"""What a run continues from: weights, averages, optimizer state and step, in one file."""

import json
import os
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from hqcodec.models.base import Model


@dataclass
class Plateau:
    """The learning rate's factor under the schedule "plateau", and what it follows from."""

    factor: float = 1.0
    best: float = inf  # lowest held-out loss
    waiting: int = 0  # validations since then, or since the rate was halved

    def see(self, loss: float, patience: int) -> None:
        """Halve the factor if `loss`, of a validation, is the last of `patience` without a best."""
        if loss < self.best:
            self.best, self.waiting = loss, 0
            return
        self.waiting += 1
        if self.waiting >= patience:
            self.factor, self.waiting = self.factor / 2, 0


@dataclass
class State:
    """What a checkpoint holds."""

    model: Model
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    plateau: Plateau = field(default_factory=Plateau)


def save_checkpoint(state: State, target: Path) -> None:
    """Weights, averages, optimizer state and step, in one safetensors file, atomically."""
    tensors = {f"model.{k}": v for k, v in state.model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.items()}
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in slots.items()}
    temporary = target.with_name(target.name + ".part")
    safetensors.torch.save_file(
        {
            k: v.detach().cpu().clone(memory_format=torch.contiguous_format)
            for k, v in tensors.items()
        },
        temporary,
        {"step": str(state.step), "plateau": json.dumps(asdict(state.plateau))},
    )
    os.replace(temporary, target)


def load_checkpoint(state: State, source: Path) -> None:
    """Inverse of `save_checkpoint`, into a state of the same shape."""
    with safe_open(source, framework="pt") as file:
        state.step = int(file.metadata()["step"])
        state.plateau = Plateau(**json.loads(file.metadata()["plateau"]))
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for key, value in tensors.items():
        part, name = key.split(".", 1)
        parts[part][name] = value
    state.model.load_state_dict(parts["model"])
    device = next(state.model.parameters()).device
    state.average = {k: v.to(device) for k, v in parts["average"].items()}
    whole = state.optimizer.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in parts["optimizer"].items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    state.optimizer.load_state_dict(whole | {"state": slots})
