"""A file of format version 1, made once: it decodes to the same codes and pixels wherever and
whenever. `python tests/test_golden.py` makes it anew, which only a new format is a reason for.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from hqcodec import api, container
from hqcodec.benchmarks.golden import SCHEMA, differences, fingerprint, golden
from hqcodec.benchmarks.results import environment, read_result, write_result
from hqcodec.models import zoo
from hqcodec.models.base import Model
from photos import pictures, small_photo
from switches import SETTINGS, threads, without_compiled

GOLDEN = Path(__file__).parent / "golden"
WEIGHTS, FILE, HASHES = (GOLDEN / f"small.{end}" for end in ("safetensors", "hqc", "json"))


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Weights are read anew, under the setting."""
    api._cached.cache_clear()
    yield
    api._cached.cache_clear()


@pytest.mark.parametrize("how", [nullcontext, without_compiled], ids=["compiled", "by tensors"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_golden_file_decodes_to_the_golden_codes_and_pixels(
    setting: str, how: Callable[[], AbstractContextManager[None]]
) -> None:
    with SETTINGS[setting](), how():
        found = fingerprint(FILE.read_bytes(), WEIGHTS)
    assert differences({FILE.name: found}, read_result(HASHES, SCHEMA)["files"]) == []


def test_what_differs_from_another_machine_is_named(tmp_path: Path) -> None:
    other = read_result(HASHES, SCHEMA)
    there = other["files"][FILE.name]
    there["codes"][1] = there["fidelity"]["pixels"][2] = "another"
    other["files"]["b.hqc"] = there
    write_result(tmp_path / "there.json", other)
    shutil.copy(FILE, tmp_path)
    app = typer.Typer()
    app.command()(golden)
    args = [tmp_path, "--model", WEIGHTS, "--compare", tmp_path / "there.json"]
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code == 1
    assert done.stdout.splitlines()[:-1] == [
        "b.hqc only there", "small.hqc codes 2", "small.hqc fidelity pixels 3",
    ]  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_file_made_under_any_setting_decodes_under_none(setting: str) -> None:
    x, picture = source(), image()
    with SETTINGS[setting]():
        model = zoo.load(WEIGHTS)
        expected, blob = model.encode(x), api.compress(picture, model, 3)
    decoded = unpack(blob, zoo.load(WEIGHTS))
    assert all(torch.equal(a[0], b) for a, b in zip(expected, decoded, strict=True))


def test_a_file_made_by_one_thread_decodes_with_two_in_another_process(tmp_path: Path) -> None:
    for count, name in ((1, "one.hqc"), (2, "two.hqc")):
        with threads(count):
            (tmp_path / name).write_bytes(api.compress(image(), WEIGHTS, 3))
    expected = {p.name: fingerprint(p.read_bytes(), WEIGHTS) for p in tmp_path.iterdir()}
    write_result(tmp_path / "here.json", {"schema": SCHEMA, **environment(1), "files": expected})
    command = [sys.executable, "-m", "hqcodec.benchmarks.golden", tmp_path, "--model", WEIGHTS]
    done = subprocess.run(
        [*map(str, command), "--compare", str(tmp_path / "here.json")],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("no differences in 2 files")


@pytest.mark.parametrize("half", [True, False], ids=["as stored", "as loaded"])
def test_the_last_bit_of_no_weight_of_encoder_or_decoder_matters_to_codes(half: bool) -> None:
    model, twin = zoo.load(WEIGHTS), zoo.load(WEIGHTS)
    assert move_by_one_bit(twin, model.transform_prefixes, half) > 10_000
    pairs = zip(unpack(FILE.read_bytes(), model), unpack(FILE.read_bytes(), twin), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert hash_of(twin) == model.hash.hex()
    assert not half or not torch.equal(model.encode(source())[2], twin.encode(source())[2])


def test_the_last_bit_of_any_other_weight_changes_the_hash() -> None:
    model = zoo.load(WEIGHTS)
    others = [k for k in model.state_dict() if not k.startswith(model.transform_prefixes)]
    for key in others:
        twin = zoo.load(WEIGHTS)
        assert move_by_one_bit(twin, (key,), half=True)
        assert hash_of(twin) != model.hash.hex(), key


def hash_of(model: Model) -> str:
    """What a file of these weights would have."""
    return zoo.codes_hash(zoo.halves(model), model, zoo.read_metadata(WEIGHTS)["config"])


def move_by_one_bit(model: Model, prefixes: tuple[str, ...], half: bool) -> int:
    """Every weight becomes its upper neighbour in the type that it is stored or held in."""
    moved = 0
    for key, p in model.state_dict().items():
        if key.startswith(prefixes):
            x = p.half().numpy() if half else p.numpy()
            up = torch.from_numpy(np.nextafter(x, x.dtype.type(np.inf)))
            assert not bool((up == torch.from_numpy(x)).any())
            p.copy_(up)
            moved += p.numel()
    return moved


def unpack(blob: bytes, model: Model) -> list[torch.Tensor]:
    c = container.read(blob)
    return api.unpack(c, model, len(c.payloads))


def source() -> torch.Tensor:
    """[1,3,61,87], of whole steps of 255."""
    return pictures(1, 96)[..., :61, :87].mul(255).round().div(255)


def image() -> Image.Image:
    return Image.fromarray(source()[0].movedim(0, -1).mul(255).round().byte().numpy())


def make() -> None:
    """New golden files."""
    model = small_photo()
    zoo.save(model, WEIGHTS, "small", "A small model for tests")
    FILE.write_bytes(api.compress(image(), WEIGHTS, 3))
    files = {FILE.name: fingerprint(FILE.read_bytes(), WEIGHTS)}
    write_result(HASHES, {"schema": SCHEMA, **environment(torch.get_num_threads()), "files": files})


if __name__ == "__main__":
    make()
