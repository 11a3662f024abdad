"""Weights on disk: .safetensors files whose own metadata say, as JSON, what their tensors are.

There are two kinds, with these keys under `hqcodec`:

    both      kind, name, family, hash, digest, description, license
    model     config, layers ([stride, groups, codebook] each); tensors: all
    decoder   model (whose it is, by name), config (its keys decoder_*); tensors: `decoder.*`

hash: SHA-256 of config and tensors that decoding codes reads, see `zoo.codes_hash`; a .hqc file
carries its first four bytes, and a decoder fits the model with the same. digest: SHA-256 of the
tensors in the file, against damage.
"""

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqcodec.errors import UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

MAX_HEADER = 1 << 20  # bytes of JSON before the tensors
KEYS = {"kind", "name", "family", "hash", "digest", "description", "license"}


def read_metadata(weights: Path) -> dict[str, Any]:
    """What a weights file says of itself, without reading a tensor or importing torch."""
    with weights.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER + 1
        text = file.read(length) if length <= MAX_HEADER else b""
    try:
        metadata = json.loads(json.loads(text)["__metadata__"]["hqcodec"])
        if not isinstance(metadata, dict) or KEYS - set(metadata):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise UnknownModelError(
            f"{weights}: not weights of hqcodec; `hqcodec train` writes such a .safetensors file"
        ) from None
    return metadata


def read_tensors(weights: Path) -> "dict[str, Tensor]":
    """The tensors of a weights file, by name; UnknownModelError if they are damaged."""
    import safetensors.torch
    from safetensors import SafetensorError

    try:
        state = safetensors.torch.load_file(weights)
    except SafetensorError as error:
        raise UnknownModelError(f"{weights}: weights cannot be used ({error})") from None
    if sha256(state) != read_metadata(weights)["digest"]:
        raise UnknownModelError(f"{weights}: weights are damaged, their hash differs")
    return state


def write_weights(
    target: Path, state: "Mapping[str, Tensor]", metadata: dict[str, Any]
) -> dict[str, Any]:
    """Inverse of `read_tensors` and `read_metadata`; returns the metadata, the digest added."""
    import safetensors.torch

    text = json.dumps({**metadata, "digest": sha256(state)})
    temporary = target.with_name(target.name + ".part")
    safetensors.torch.save_file(dict(state), temporary, {"hqcodec": text})
    temporary.chmod(0o644)  # safetensors makes it private
    os.replace(temporary, target)
    return json.loads(text)  # type: ignore[no-any-return]


def sha256(state: "Mapping[str, Tensor]", start: bytes = b"") -> str:
    """SHA-256 (hex) of `start`, then of names, types, shapes and values of tensors, by name."""
    digest = hashlib.sha256(start)
    for key in sorted(state):
        tensor = state[key]
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
