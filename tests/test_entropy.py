"""The range coder loses nothing and costs what the entropy says."""

import math
from collections.abc import Iterator

import pytest
import torch

from hqcodec import entropy
from hqcodec.models.base import TOTAL, Batch, frequencies


def test_size_is_within_one_percent_of_the_entropy_for_shared_and_single_tables() -> None:
    torch.manual_seed(0)
    weights = torch.rand(8_000, 16).mul(1000).round()
    single = Batch(torch.arange(8_000), frequencies(weights))
    shared = Batch(torch.arange(8_000, 16_000), frequencies(torch.tensor([[900.0, 90, 9, 1] * 4])))
    codes = torch.cat(
        [
            torch.multinomial(weights, 1)[:, 0],
            torch.multinomial(shared.frequencies[0] + 1, 8_000, replacement=True),
        ]
    ).view(1, 100, 160)
    payload = entropy.pack(codes, [single, shared])
    assert torch.equal(entropy.unpack(payload, torch.zeros_like(codes), [single, shared]), codes)
    ideal = single.bits(codes) + shared.bits(codes)
    assert ideal <= 8 * len(payload) <= 1.01 * ideal


def test_the_least_likely_code_still_round_trips() -> None:
    table = frequencies(torch.tensor([[1.0, 0, 0, 0]]))
    assert table.tolist() == [[TOTAL - 4, 0, 0, 0]]
    codes = torch.tensor([[[0, 3, 1, 0, 2, 3]]])
    batches = [Batch(torch.arange(6), table)]
    payload = entropy.pack(codes, batches)
    assert torch.equal(entropy.unpack(payload, torch.zeros_like(codes), batches), codes)


def test_payload_bytes_never_change() -> None:
    codes = torch.tensor([[[0, 1, 2, 1, 0, 0, 2, 1]]])
    batches = [Batch(torch.arange(8), frequencies(torch.tensor([[5.0, 3, 2]])))]
    assert entropy.pack(codes, batches).hex() == "fb121463"


def test_no_codes_need_no_bytes() -> None:
    empty = torch.zeros(1, 0, 0, dtype=torch.int64)
    assert entropy.unpack(entropy.pack(empty, []), empty, []).numel() == 0


def test_zeros_at_the_end_are_not_stored() -> None:
    codes = torch.zeros(1, 100, 1000, dtype=torch.int64)
    codes[0, :3] = 1
    batches = [Batch(torch.arange(100_000), frequencies(torch.tensor([[1e6, 1.0]])))]
    payload = entropy.pack(codes, batches)
    assert not payload.endswith(b"\0")
    assert torch.equal(entropy.unpack(payload, torch.zeros_like(codes), batches), codes)


def test_two_rounds_name_whether_a_code_is_zero_and_then_which_it_is() -> None:
    torch.manual_seed(3)
    codes = (torch.randint(0, 5, (2, 30, 40)) * (torch.rand(2, 30, 40) < 0.3)).contiguous()
    whether = Batch(slice(0, 2400), frequencies(torch.tensor([[7.0, 3.0]])))

    def rounds(current: torch.Tensor) -> Iterator[Batch]:
        yield whether
        place = current.flatten().nonzero()[:, 0]
        yield Batch(place, frequencies(torch.ones(len(place), 4)), first=1)

    assert whether.symbols(codes).tolist() == (codes > 0).long().flatten().tolist()
    payload = entropy.pack(codes, rounds(codes))
    decoded = torch.zeros_like(codes)
    assert torch.equal(entropy.unpack(payload, decoded, rounds(decoded)), codes)
    more = int((codes > 0).sum())
    ideal = -math.log2(0.7) * (2400 - more) - math.log2(0.3) * more + 2 * more
    assert sum(batch.bits(codes) for batch in rounds(codes)) == pytest.approx(ideal, rel=1e-4)
    assert ideal <= 8 * len(payload) <= 1.01 * ideal + 32
