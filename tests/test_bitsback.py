"""Bits-back coding of small pictures with RRVQ-VAE, and its file."""

import math
import struct
import zlib

import numpy as np
import pytest
import torch
from torch import Tensor

from families import make
from hqcodec import bitsback, hqb
from hqcodec.errors import FormatError, HqcodecError, UnknownModelError
from hqcodec.models.rrvq_vae import RRVQVAE

RRVQ = [
    "RRVQ-VAE, five grids",
    "RRVQ-VAE, learned priors",
    "RRVQ-VAE, direct and fixed",
    "rVQ-VAE",
]
BITS_OF_HEADER = 8 * 40


def ladder(name: str = "RRVQ-VAE, learned priors") -> RRVQVAE:
    model = make(name)
    assert isinstance(model, RRVQVAE)
    return model


def pictures(n: int, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(256, (n, 3, *size), generator=generator).byte()


def sealed(blob: bytes, at: int, field: bytes) -> bytes:
    """The file with another field, under a checksum that is right."""
    header = blob[:at] + field + blob[at + len(field) : 36]
    body = blob[40:]
    return header + struct.pack("<I", zlib.crc32(body, zlib.crc32(header))) + body


@pytest.mark.parametrize("name", RRVQ)
def test_pictures_come_back_exactly(name: str) -> None:
    model, x = ladder(name), pictures(3, (8, 8))
    assert torch.equal(bitsback.unpack(bitsback.pack(x, model), model), x)


def test_sizes_that_the_model_pads_come_back_exactly() -> None:
    model, x = ladder(), pictures(2, (5, 11))
    assert torch.equal(bitsback.unpack(bitsback.pack(x, model), model), x)


def test_pixels_far_from_every_prediction_come_back_exactly() -> None:
    model, x = ladder(), pictures(2, (8, 8))
    model.decoder.log_scale.data.fill_(-7.0)
    assert torch.equal(bitsback.unpack(bitsback.pack(x, model), model), x)


@pytest.mark.parametrize("name", RRVQ)
def test_the_size_is_the_bound_that_the_model_measures(name: str) -> None:
    model, x = ladder(name), pictures(24, (16, 16))
    torch.manual_seed(0)
    bound = torch.stack([model.bound(x / 255) for _ in range(8)]).mean() * x.numel()
    blob = bitsback.pack(x, model)
    spent = 8 * len(blob) - BITS_OF_HEADER - 32 * hqb.read(blob).start
    assert spent == pytest.approx(bound.item(), rel=0.01)


def test_codes_cost_what_is_left_of_them_when_their_bits_came_back() -> None:
    # With p and q equal, codes are free: what remains is x given z.
    model, x = ladder("rVQ-VAE"), pictures(24, (8, 8))
    codebook = model.codebook(0)
    codebook.mean.data[:] = codebook.mean.data[:1]
    bits, divergences = model.parts(x / 255)
    assert divergences.abs().max() < 1e-3
    blob = bitsback.pack(x, model)
    spent = 8 * len(blob) - BITS_OF_HEADER - 32 * hqb.read(blob).start
    raw = len(x) * 4 * math.log2(codebook.mean.shape[0])
    assert abs(spent - bits.sum().item()) < 64 < raw


def test_a_coder_gives_back_the_bits_that_it_popped() -> None:
    words = bitsback._random(40)
    coder = bitsback._Coder(words)
    tables = bitsback._frequencies(torch.rand(50, 7, generator=torch.manual_seed(3)).double())
    symbols = coder.pop(tables)
    assert len(set(symbols)) == 7
    coder.push(symbols, tables)
    assert np.array_equal(coder.words(), words)


def test_a_start_that_is_too_short_is_lengthened(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = ladder("RRVQ-VAE, five grids"), pictures(1, (32, 32))
    monkeypatch.setattr(bitsback, "_start_words", lambda ladder, size: 2)
    blob = bitsback.pack(x, model)
    assert hqb.read(blob).start > 2
    assert torch.equal(bitsback.unpack(blob, model), x)


def test_progress_ends_with_everything_done() -> None:
    model, x, told = ladder(), pictures(4, (4, 4)), list[float]()
    bitsback.unpack(bitsback.pack(x, model, told.append), model, told.append)
    assert told == [0.25, 0.5, 0.75, 1, 0.25, 0.5, 0.75, 1]


def test_packing_leaves_the_model_and_the_threads_alone() -> None:
    model, threads = ladder(), torch.get_num_threads()
    before = model.encoder.state_dict()
    bitsback.pack(pictures(1, (4, 4)), model)
    assert torch.get_num_threads() == threads
    assert all(x.dtype == torch.float32 for x in before.values())


def test_other_weights_are_named() -> None:
    model, other = ladder(), ladder()
    blob = bitsback.pack(pictures(1, (4, 4)), model)
    other.decoder.log_scale.data += 0.1
    with pytest.raises(UnknownModelError, match="packed with weights"):
        bitsback.unpack(blob, other)


def test_floats_that_differ_between_the_ends_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ladder()
    blob = bitsback.pack(pictures(3, (8, 8)), model)
    mine = bitsback._weights_hash(model)
    model.decoder.log_scale.data += 0.1
    monkeypatch.setattr(bitsback, "_weights_hash", lambda model: mine)
    with pytest.raises(FormatError, match="other floats"):
        bitsback.unpack(blob, model)


@pytest.mark.parametrize("family", ["hybrid", "SQ-VAE"])
def test_other_families_are_refused(family: str) -> None:
    with pytest.raises(HqcodecError, match="want rrvq_vae"):
        bitsback.pack(pictures(1, (8, 8)), make(family))


def test_tensors_that_are_no_pictures_are_refused() -> None:
    for wrong in (torch.rand(1, 3, 4, 4), pictures(1, (4, 4))[0], pictures(1, (4, 4))[:, :2]):
        with pytest.raises(HqcodecError, match="uint8"):
            bitsback.pack(wrong, ladder())
    for wrong in (pictures(0, (4, 4)), pictures(1, (129, 128))):
        with pytest.raises(FormatError, match="a file has 1 or more"):
            bitsback.pack(wrong, ladder())


def test_every_cut_and_every_flipped_byte_is_an_error() -> None:
    model = ladder()
    blob = bitsback.pack(pictures(1, (2, 2)), model)
    for at in range(len(blob)):
        flipped = blob[:at] + bytes([blob[at] ^ 0x10]) + blob[at + 1 :]
        for wrong in (blob[:at], flipped):
            with pytest.raises(FormatError):
                bitsback.unpack(wrong, model)
    with pytest.raises(FormatError):
        bitsback.unpack(blob + b"\1\0\0\0", model)


@pytest.mark.parametrize("at", [12, 16, 20, 24, 28, 32])
@pytest.mark.parametrize("value", [0, 1, 7, 1 << 16, (1 << 32) - 1])
def test_headers_that_lie_under_a_valid_checksum_are_errors(at: int, value: int) -> None:
    model = ladder("rVQ-VAE")
    blob = bitsback.pack(pictures(2, (3, 4)), model)
    with pytest.raises(FormatError):
        bitsback.unpack(sealed(blob, at, struct.pack("<I", value)), model)


def test_a_payload_of_noise_under_valid_checksums_is_an_error() -> None:
    model = ladder("rVQ-VAE")
    noise = np.random.default_rng(5).integers(1, 1 << 32, 60, dtype=np.uint32)
    blob = hqb.write(hqb.Bundle(bitsback._weights_hash(model), 3, 4, 4, 4, 0, noise))
    with pytest.raises(FormatError, match="does not decode"):
        bitsback.unpack(blob, model)


def test_the_header_is_written_as_it_is_specified() -> None:
    blob = hqb.write(hqb.Bundle(b"\1" * 8, 2, 3, 4, 2, 9, np.array([5, 6, 7], np.uint32)))
    header = b"HQB\x01" + b"\1" * 8 + struct.pack("<6I", 2, 3, 4, 2, 3, 9)
    body = struct.pack("<3I", 5, 6, 7)
    assert blob == header + struct.pack("<I", zlib.crc32(header + body)) + body
