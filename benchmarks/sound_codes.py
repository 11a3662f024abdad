"""What the context models of a model of sound save against tables that do not change.

Static tables are the best there can be: counted, layer by layer and group by group, on the very
sounds that are coded, and free of charge. The codes are those that the files hold, and what they
come to under the context models is the files' payloads.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hqcodec import api, container
from hqcodec.benchmarks.contexts import static_bits
from hqcodec.benchmarks.sound_baselines import SoundCodec
from hqcodec.benchmarks.sounds import load_sound
from hqcodec.models.base import Model


def counted(layer: Tensor, codebook: int) -> Tensor:
    """How often each code stands in each group of [groups,...]: [groups,codebook] float64."""
    rows = [group.flatten().bincount(minlength=codebook) for group in layer]
    return torch.stack(rows).double()


def survey(m: Model, codec: SoundCodec, paths: Sequence[Path]) -> dict[str, Any]:
    """Rates in kbit/s of every layer: as they are, under static tables, and as coded.

    codec: hqcodec with the same model.
    """
    counts = [torch.zeros(s.groups, s.codebook, dtype=torch.float64) for s in m.layers]
    coded = [0] * len(m.layers)
    seconds = 0.0
    for path in paths:
        x = load_sound(path)
        seconds += len(x.samples) / x.rate
        file = container.read(codec.encode(x, len(coded)))
        for layer, codes in enumerate(api.unpack(file, m, len(coded))):
            counts[layer] += counted(codes, m.layers[layer].codebook)
            coded[layer] += 8 * len(file.payloads[layer])
    layers = [
        {
            "layer": index + 1,
            "raw": 1e-3 * float(count.sum()) * math.log2(spec.codebook) / seconds,
            "static": 1e-3 * static_bits(count) / seconds,
            "coded": 1e-3 * bits / seconds,
        }
        for index, (spec, count, bits) in enumerate(zip(m.layers, counts, coded, strict=True))
    ]
    return {"what": "kbit/s of each layer, headers not counted", "layers": layers}
