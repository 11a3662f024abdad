"""A sound's file of format version 1, made once: it decodes to the same codes everywhere.

Its samples are the same up to the rounding of float32. `python tests/test_golden_sound.py` makes it
anew, which only a new format is a reason for.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hqcodec import Audio, api, container
from hqcodec.benchmarks.golden import fingerprint
from hqcodec.content import Samples
from hqcodec.models import zoo
from switches import SETTINGS
from tones import noise, small_sound, sweep

GOLDEN = Path(__file__).parent / "golden"
WEIGHTS, FILE, FACTS = (GOLDEN / f"sound.{end}" for end in ("safetensors", "hqc", "json"))
EVERY = 100  # of the samples, one in so many is kept to compare with


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_golden_sound_decodes_to_the_golden_codes(setting: str) -> None:
    api._cached.cache_clear()  # weights are read anew, under the setting
    with SETTINGS[setting]():
        found = fingerprint(FILE.read_bytes(), WEIGHTS)
    api._cached.cache_clear()
    assert found == json.loads(FACTS.read_text())["fingerprint"]


def test_the_golden_sound_decodes_to_the_golden_samples() -> None:
    decoded = api.decompress(FILE.read_bytes(), WEIGHTS)
    assert isinstance(decoded, Audio)
    assert (decoded.rate, decoded.samples.shape) == (44_100, (20_000, 2))
    expected = np.array(json.loads(FACTS.read_text())["samples"])
    assert np.abs(decoded.samples[::EVERY] - expected).max() < 1e-4


def test_the_golden_sound_says_what_it_is() -> None:
    c = container.read(FILE.read_bytes())
    assert (c.model, c.content, len(c.payloads)) == ("sound", Samples(2, 20_000, 44_100), 3)
    model = zoo.load(WEIGHTS)
    codes = api.unpack(c, model, 3)
    assert all(len(torch.unique(layer)) > 4 for layer in codes)  # fewer prove little


def make() -> None:
    """A new golden file."""
    zoo.save(small_sound(), WEIGHTS, "sound", "A small model for tests")
    x = np.concatenate([sweep(10_000, 44_100, 2), noise(10_000, 2)])
    FILE.write_bytes(api.compress(Audio(x, 44_100), WEIGHTS))
    decoded: Any = api.decompress(FILE.read_bytes(), WEIGHTS)
    samples = [[round(float(x), 6) for x in row] for row in decoded.samples[::EVERY]]
    facts = {"fingerprint": fingerprint(FILE.read_bytes(), WEIGHTS), "samples": samples}
    FACTS.write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    make()
