"""A short training."""

from dataclasses import asdict
from pathlib import Path

import torch

from hqcodec.models import zoo
from hqcodec.models.run import Run, TrainConfig
from photos import SMALL

SHORT = TrainConfig(
    steps=6, batch=3, crop=32, warmup=2, validate_every=3, checkpoint_every=2, average=0.9,
    bf16=False,
)  # fmt: skip
RUN = Run("photo", asdict(SMALL), SHORT, "A test", "small")


def weights(out: Path) -> dict[str, torch.Tensor]:
    return zoo.load(out / "small.safetensors").state_dict()
