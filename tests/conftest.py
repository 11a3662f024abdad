"""A command line in an empty folder, with zlib in the place of the networks; photographs."""

import json
import struct
import sys
import types
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import hqcodec
from hqcodec import container, image
from hqcodec.cli.main import app
from hqcodec.content import Pixels
from hqcodec.errors import CutFileWarning
from hqcodec.models import zoo
from hqcodec.target import Target
from photos import pictures

HASH = "0123456789abcdef" * 4
METADATA = {
    "name": "photo",
    "family": "photo",
    "config": {},
    "layers": [[16, 1, 32]] * 3,
    "hash": HASH,
    "digest": HASH,
    "kind": "model",
    "description": "a test",
    "license": "MIT",
}


def compress(
    picture: image.Picture,
    model: str,
    layers: int | None,
    device: str,
    target: Target | None = None,
    effort: int = 1,
    progress: Callable[[float], object] = float,
) -> bytes:
    """The first layer holds all, the others nothing; 10 bytes are out of reach."""
    assert effort in (1, 2, 3)
    if target is not None and target.size == 10:
        raise target.missed(20, 30, 200, "photo")
    assert (model, device) == ("loaded", "cpu")
    payloads = (zlib.compress(picture.rgb.tobytes()), b"second", b"third")[:layers]
    digest = bytes.fromhex(HASH)[:4]
    size = (picture.width, picture.height)
    return container.write(container.Container("photo", digest, Pixels(*size, "RGB"), {}, payloads))


def decompress(
    blob: bytes, model: str | None, layers: int | None, device: str, decoder: str
) -> Image.Image:
    """Inverse of `compress`."""
    c = container.read(blob)
    if len(c.payloads) < c.declared:
        text = f"cut off: {len(c.payloads)} of {c.declared} layers arrived"
        warnings.warn(text, CutFileWarning, stacklevel=2)
    rgb = np.frombuffer(zlib.decompress(c.payloads[0]), np.uint8)
    return Image.fromarray(rgb.reshape(c.content.height, c.content.width, 3))


class Shell:
    """`shell("info", "a.hqc")` runs `hqcodec info a.hqc`."""

    def __call__(self, *args: object, **more: Any) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], **more)

    def paint(self, name: str = "a.png") -> Path:
        """Make a picture."""
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), "red").save(path)
        return path

    def packed(self, name: str = "a.hqc") -> Path:
        """Make a compressed one."""
        picture = image.from_pillow(Image.new("RGB", (20, 10), "red"))
        Path(name).write_bytes(compress(picture, "loaded", None, "cpu"))
        return Path(name)

    def files(self) -> set[str]:
        """All that is there."""
        return {str(path) for path in Path().rglob("*") if path.is_file()}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    api: Any = types.SimpleNamespace(compress=compress, decompress=decompress)
    monkeypatch.setattr(hqcodec, "api", api, raising=False)
    monkeypatch.setitem(sys.modules, "hqcodec.api", api)
    header = json.dumps({"__metadata__": {"hqcodec": json.dumps(METADATA)}}).encode()
    weights = tmp_path / "weights" / "photo.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(struct.pack("<Q", len(header)) + header)
    real_path = zoo.path
    monkeypatch.setattr(zoo, "names", lambda: ["photo"])
    monkeypatch.setattr(zoo, "path", lambda name: weights if name == "photo" else real_path(name))
    monkeypatch.setattr(zoo, "load", lambda model, device: "loaded")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Shell()


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures to train on."""
    path = tmp_path_factory.mktemp("pictures")
    for i, x in enumerate(pictures(6, 96)):
        pixels = x.mul(255).byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path
