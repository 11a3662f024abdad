"""The context models of the sound codec."""

import math

import torch

from hqcodec import entropy
from hqcodec.models.sound_prior import SEGMENT, SoundPrior, before, numbers, steps

LAYERS, GROUPS, K, D = 3, 2, 8, 4


def prior_and_codes(frames: int, channels: int = 1) -> tuple[SoundPrior, list, list]:
    torch.manual_seed(5)
    prior = SoundPrior(LAYERS, GROUPS, K, D, 8)
    for p in prior.parameters():
        torch.nn.init.normal_(p, std=0.3)
    books = [torch.randn(GROUPS, K, D) for _ in range(LAYERS)]
    codes = [torch.randint(K, (GROUPS, channels, frames)) for _ in range(LAYERS)]
    return prior.eval(), books, codes


def test_every_code_is_named_once_and_in_the_documented_order() -> None:
    expected = [[0, 4, 2, 4, 0, 4, 2, 4], [1, 5, 3, 5, 1, 5, 3, 5]]
    assert numbers(8, 2).tolist() == expected
    seen = torch.zeros(2, 8, dtype=torch.int64)
    for group, where in steps(8, 2):
        seen[group, where] += 1
    assert torch.equal(seen, torch.ones_like(seen))
    assert before(1, 8, 2, 3)[0, :3].all() and not before(1, 8, 2, 3)[:, 3:].any()


def test_codes_come_back_through_the_coder_and_cost_what_training_says() -> None:
    prior, books, codes = prior_and_codes(frames=400)
    bits = []
    for n, layer in enumerate(codes):
        payload = entropy.pack(layer, prior.tables(codes[:n], layer, books))
        current = torch.zeros_like(layer)
        back = entropy.unpack(payload, current, prior.tables(codes[:n], current, books))
        assert torch.equal(back, layer)
        bits.append(8 * len(payload))
    batched = [layer[None] for layer in codes]
    ideal = prior.nats(batched, books, range(LAYERS)) / math.log(2)
    for found, wanted in zip(bits, ideal.tolist(), strict=True):
        assert abs(found - wanted) < 0.01 * wanted + 32


def test_channels_and_segments_are_coded_without_knowing_of_each_other() -> None:
    prior, books, codes = prior_and_codes(frames=SEGMENT + 9, channels=2)
    whole = list(prior.tables(codes[:1], codes[1], books))
    apart = [
        batch
        for channel in range(2)
        for part in (slice(0, SEGMENT), slice(SEGMENT, None))
        for batch in prior.tables(
            [codes[0][:, channel : channel + 1, part]],
            codes[1][:, channel : channel + 1, part],
            books,
        )
    ]
    assert len(whole) == len(apart)
    for one, other in zip(whole, apart, strict=True):
        assert torch.equal(one.frequencies, other.frequencies)
    places = torch.cat([batch.where for batch in whole])
    assert torch.equal(places.sort().values, torch.arange(codes[1].numel()))


def test_no_code_is_predicted_from_one_that_is_not_decoded_yet() -> None:
    prior, books, codes = prior_and_codes(frames=24)
    wrong = (codes[1] + 3) % K
    current = wrong.clone()
    for batch, honest in zip(
        prior.tables(codes[:1], current, books),
        prior.tables(codes[:1], codes[1], books),
        strict=True,
    ):
        assert torch.equal(batch.frequencies, honest.frequencies)
        current.view(-1)[batch.where] = codes[1].view(-1)[batch.where]


def test_fewer_frames_than_steps_have_a_code_each() -> None:
    prior, books, codes = prior_and_codes(frames=1)
    payload = entropy.pack(codes[2], prior.tables(codes[:2], codes[2], books))
    current = torch.zeros_like(codes[2])
    assert torch.equal(
        entropy.unpack(payload, current, prior.tables(codes[:2], current, books)), codes[2]
    )
