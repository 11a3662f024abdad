"""Sound piece by piece: any pushes give what the whole gives, and seams cannot be heard."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from hqcodec.errors import HqcodecError
from hqcodec.stream import BLOCK, Decoder, Encoder
from tones import noise, small_sound, sweep

HOP = 320


def encode(x: NDArray[np.float32], pushes: list[int], layers: int | None = None) -> list[Tensor]:
    """Codes of samples [n,channels] that are pushed up to each place."""
    encoder = Encoder(small_sound(), x.shape[1], layers)
    edges = [0, *sorted(pushes), len(x)]
    found = [encoder.push(x[a:b]) for a, b in itertools.pairwise(edges)]
    found.append(encoder.finish())
    return [torch.cat(parts, -1) for parts in zip(*found, strict=True)]


def decode(codes: list[Tensor], pushes: list[int]) -> NDArray[np.float32]:
    """Samples of codes that are pushed up to each place."""
    decoder = Decoder(small_sound(), codes[0].shape[1])
    edges = [0, *sorted(pushes), codes[0].shape[-1]]
    found = [
        decoder.push([layer[..., a:b] for layer in codes]) for a, b in itertools.pairwise(edges)
    ]
    return np.concatenate([*found, decoder.finish()])


LONG = sweep(2 * BLOCK * HOP + 50_001, channels=2)
WHOLE = encode(LONG, [])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, len(LONG)), max_size=12))
def test_any_pushes_give_the_codes_of_the_whole(pushes: list[int]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(encode(LONG, pushes), WHOLE, strict=True))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, WHOLE[0].shape[-1]), max_size=12))
def test_any_pushes_give_the_samples_of_the_whole(pushes: list[int]) -> None:
    assert np.array_equal(decode(WHOLE, pushes), decode(WHOLE, []))


@pytest.mark.parametrize("size", [1, 319, 320, 321, 4_000])
def test_pushes_of_one_size_do_as_well(size: int) -> None:
    x = sweep((BLOCK + 20) * HOP if size > 1 else 700)
    pieces = encode(x, list(range(0, len(x), size)))
    assert all(torch.equal(a, b) for a, b in zip(pieces, encode(x, []), strict=True))


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("samples", [0, 1, 320, 321, 5_000])
def test_the_shapes_are_those_of_the_contract(samples: int, channels: int) -> None:
    model, x = small_sound(), noise(samples, channels)
    for layers in (1, 3):
        codes = encode(x, [samples // 2], layers)
        assert len(codes) == layers
        for n, layer in enumerate(codes):
            assert layer.dtype == torch.int64 and layer.device.type == "cpu"
            assert tuple(layer.shape) == model.code_shape(n, (channels, samples))
        assert decode(codes, []).shape == (-(-samples // HOP) * HOP, channels)


def test_blocks_give_what_one_pass_over_the_whole_sound_gives() -> None:
    model = small_sound()
    x = torch.from_numpy(LONG.T.copy())[None]
    for one, other in zip(model.encode(x), WHOLE, strict=True):
        assert (one[0] == other).float().mean() > 0.999  # rounding may tip a code over
    passed = model.decode([layer[None] for layer in WHOLE])[0].numpy().T
    assert np.abs(passed - decode(WHOLE, [])).max() < 1e-5


def test_a_sweep_has_no_click_where_blocks_meet() -> None:
    model = small_sound()
    y = decode(WHOLE, [])
    passed = model.decode([layer[None] for layer in WHOLE])[0].numpy().T
    bend, bend_passed = np.abs(np.diff(y, 2, axis=0)), np.abs(np.diff(passed, 2, axis=0))
    for seam in (BLOCK * HOP, 2 * BLOCK * HOP):
        around = slice(seam - 4, seam + 4)
        assert np.abs(bend[around] - bend_passed[around]).max() < 1e-5
    # and blocks that know nothing of each other would click, so this can fail
    cut = BLOCK * HOP
    apart = [
        decode([layer[..., a:b] for layer in WHOLE], []) for a, b in ((0, BLOCK), (BLOCK, None))
    ]
    error = np.abs(np.concatenate(apart) - passed)
    assert error[cut - HOP : cut + HOP].max() > 1e-3


def test_codes_come_as_soon_as_the_samples_they_depend_on() -> None:
    model = small_sound()
    encoder = Encoder(model, 1)
    first = (BLOCK + model.margin) * HOP
    assert encoder.push(sweep(first - 1))[0].shape[-1] == 0
    assert encoder.push(sweep(1))[0].shape[-1] == BLOCK
    assert encoder.finish()[0].shape[-1] == model.margin


def test_an_encoder_keeps_no_more_than_a_block_and_its_margins() -> None:
    encoder = Encoder(small_sound(), 1)
    for start in range(0, 40):
        encoder.push(sweep(10 * HOP) if start % 2 else noise(70 * HOP))
        kept = sum(part.shape[-1] for push in encoder._blocks._parts for part in push)
        assert kept <= (BLOCK + 2 * small_sound().margin + 80) * HOP


def test_wrong_shapes_are_one_clear_line() -> None:
    encoder, decoder = Encoder(small_sound(), 2), Decoder(small_sound(), 1)
    with pytest.raises(HqcodecError, match=r"^samples \(5, 1\); want \[n,2\]$"):
        encoder.push(noise(5))
    with pytest.raises(HqcodecError, match=r"want \[groups,1,frames\]$"):
        decoder.push(WHOLE)
    one = [layer[:, :1, :5] for layer in WHOLE]
    decoder.push(one)
    with pytest.raises(HqcodecError, match=r"^2 layers after 3; keep to a number$"):
        decoder.push(one[:2])
