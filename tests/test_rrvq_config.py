"""RRVQ-VAE: what its configurations give, and which are refused."""

import math
from collections.abc import Sequence

import pytest

from hqcodec.errors import HqcodecError
from hqcodec.models.rrvq_vae import RRVQVAE
from hqcodec.models.run import read_config
from hqcodec.models.zoo import build


def bits(model: RRVQVAE, size: tuple[int, int]) -> float:
    shapes: Sequence[tuple[int, ...]] = [
        model.code_shape(n, size) for n in range(len(model.layers))
    ]
    pairs = zip(shapes, model.layers, strict=True)
    return sum(math.prod(shape) * math.log2(layer.codebook) for shape, layer in pairs)


def test_the_configuration_for_64x64_has_the_papers_2275_bits() -> None:
    run = read_config("rrvq-64")
    model = build(run.family, run.model)
    assert isinstance(model, RRVQVAE)
    assert run.train.crop == 64 and bits(model, (64, 64)) == 2275
    assert [model.code_shape(n, (64, 64))[1] for n in range(5)] == [1, 2, 4, 8, 16]


def test_the_configuration_with_32_layers_has_8_at_each_of_4_grids() -> None:
    run = read_config("rrvq-32")
    model = build(run.family, run.model)
    shapes = [model.code_shape(n, (32, 32))[1] for n in range(len(model.layers))]
    assert shapes == [2] * 8 + [4] * 8 + [8] * 8 + [16] * 8


@pytest.mark.parametrize("name", ["rrvq-cifar10", "rrvq-64", "rrvq-32"])
def test_weights_of_the_configurations_fit_two_and_a_half_megabytes(name: str) -> None:
    run = read_config(name)
    model = build(run.family, run.model)
    assert 2 * sum(value.numel() for value in model.state_dict().values()) < 2.5e6


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"resolutions": (2, 4)}, "falling powers of two"),
        ({"chain": (1, 1)}, "one number >= 1"),
        ({"codebook": (256,)}, "want 5 sizes"),
        ({"sigma": "free"}, 'want "learnt" or "fixed"'),
        ({"parameterisation": "free"}, 'want "embed" or "direct"'),
        ({"top": "flat"}, 'want "uniform" or "learned"'),
        ({"decoder_scale": "flat"}, 'want "global" or "predicted"'),
        ({"width": 0}, "want >= 1"),
        ({"free_bits": -1.0}, "want >= 0"),
        ({"temperature": 0.1}, "stay above 0"),
        ({"codebook_rate": 0.0}, "want a number above 0"),
        ({"entry": 0.0}, "want a number above 0"),
    ],
)
def test_a_hierarchy_that_does_not_fit_is_one_clear_line(
    changed: dict[str, object], message: str
) -> None:
    with pytest.raises(HqcodecError, match=message):
        build("rrvq_vae", changed)
