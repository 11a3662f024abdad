"""Small stacks of HQA, made on the spot."""

from typing import Any

import torch

from hqcodec.models.hqa import HQA, HQAConfig

SMALL = HQAConfig((6, 7, 8), (8, 8, 8), (8, 8, 8), (0.0, 0.0, 0.0), dim=4, level_steps=4)


def make(**changes: Any) -> HQA:
    """A model of three levels; its statistics are those of some pictures."""
    torch.manual_seed(0)
    model = HQA(HQAConfig(**{**SMALL.__dict__, **changes}))
    for level in range(len(model.layers)):
        model.train().loss(torch.rand(4, 3, 16, 16), level * model.stage_steps)
    return model.eval()
