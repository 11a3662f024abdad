"""What a model is trained on: pictures or sounds, as its kind wants."""

from pathlib import Path
from typing import Protocol

from torch import Tensor

from hqcodec.models import data, sounds, zoo
from hqcodec.models.run import Run, TrainConfig

UNITS = {"picture": "{0}x{0} pixels", "sound": "{0} samples"}  # a crop of size {0}


class Examples(Protocol):
    """A training part and a held-out part."""

    def draw(
        self, t: TrainConfig, count: int, seed: int, step: int, held_out: bool = False
    ) -> Tensor:
        """`count` random crops, a function of the arguments alone; those held out as they are."""

    def describe(self) -> str:
        """How many there are, for the model card."""


def load(run: Run, source: Path) -> Examples:
    """Read what `run` is to be trained on; HqcodecError if nothing can be read."""
    kind = zoo.model_class(run.family)
    if kind.kind == "sound":
        return sounds.load(source, kind.rate, run.train.held_out)
    return data.load(source, run.train.tile, run.train.held_out)


def crop_size(run: Run) -> str:
    """What a crop measures, in words."""
    return UNITS[zoo.model_class(run.family).kind].format(run.train.crop)
