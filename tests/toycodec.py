"""A codec small enough to check by hand, in a module that other processes can import."""

import os
import zlib
from dataclasses import replace

import numpy as np
from PIL import Image

from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.metrics import Judge
from hqcodec.benchmarks.point import Bench

HEADER = 6  # bytes of the file: magic, bits, width, height


def encode(picture: Image.Image, setting: int) -> bytes:
    """Keep the `setting` highest bits of every byte."""
    kept = np.asarray(picture) >> (8 - setting) << (8 - setting)
    sizes = picture.width.to_bytes(2, "big") + picture.height.to_bytes(2, "big")
    return b"S" + bytes([setting]) + sizes + zlib.compress(kept.tobytes(), 9)


def decode(data: bytes) -> Image.Image:
    """Inverse of `encode`, up to the bits that are gone."""
    width, height = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:6], "big")
    kept = np.frombuffer(zlib.decompress(data[HEADER:]), dtype=np.uint8)
    return Image.fromarray(kept.reshape(height, width, 3))


def codec(name: str = "toy") -> Codec:
    """The codec, as the bench takes it."""
    about = {"setting": "bits", "model": "stub", "weights": "00"}
    return Codec(name, ".toy", (1, 2, 4), encode, decode, lambda b: len(b) - HEADER, about)


def picky(name: str = "toy") -> Codec:
    """The same, but it fails on pictures 32 pixels wide at setting 2 and above."""

    def encode_wide(picture: Image.Image, setting: int) -> bytes:
        if picture.width == 32 and setting >= 2:
            raise ValueError("two lines\nof trouble")
        return encode(picture, setting)

    whole = codec(name)
    return Codec(name, ".toy", whole.settings, encode_wide, decode, whole.payload, whole.about)


def picky_bench() -> Bench:
    """The codec that fails and two cheap metrics."""
    return Bench([picky()], Judge(("rmse", "psnr")))


def hungry() -> Codec:
    """The codec, taking another 200 MiB while it encodes."""

    def encode_hungrily(picture: Image.Image, setting: int) -> bytes:
        np.ones(200 * 2**20, dtype=np.uint8)
        return encode(picture, setting)

    return replace(codec("hungry"), encode=encode_hungrily)


def dying_bench() -> Bench:
    """What takes its process with it."""
    os._exit(3)


def not_a_codec() -> int:
    """What `--codec-from` must refuse."""
    return 7
