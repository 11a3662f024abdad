"""Models by name: which are installed, their weights on disk, and how to make and keep them.

Weights are one .safetensors file; its own metadata, under the key `hqcodec`, is a JSON object with
name, family, config, layers ([stride, groups, codebook] each), hash, description and license. The
hash is the SHA-256 of what decoding reads; a .hqc file carries its first four bytes. Nothing here
imports torch until weights are really loaded.
"""

import hashlib
import json
import os
import struct
from dataclasses import asdict
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqcodec.errors import HqcodecError, UnknownModelError

if TYPE_CHECKING:
    from torch import Tensor

    from hqcodec.models.base import Model

# family -> (module, config class, model class)
FAMILIES = {
    "photo": ("hqcodec.models.photo", "PhotoConfig", "Photo"),
    "hq_vae": ("hqcodec.models.hq_vae", "HQVAEConfig", "HQVAE"),
}
DEFAULT = "photo"
MAX_HEADER = 1 << 20  # bytes of JSON before the tensors


def names() -> list[str]:
    """Models that came with the package, by name."""
    folder = resources.files("hqcodec.models.weights")
    found = [item.name for item in folder.iterdir() if item.name.endswith(".safetensors")]
    return sorted(name.removesuffix(".safetensors") for name in found)


def path(name: str | Path) -> Path:
    """The weights file of an installed model, or `name` itself if it is a file."""
    if isinstance(name, str) and name in names():
        return Path(str(resources.files("hqcodec.models.weights") / f"{name}.safetensors"))
    if Path(name).is_file():
        return Path(name)
    raise UnknownModelError(
        f"model {str(name)!r} is neither installed ({', '.join(names()) or 'none is'}) nor a file"
    )


def read_metadata(weights: Path) -> dict[str, Any]:
    """What a weights file says of itself, without reading a tensor or importing torch."""
    with weights.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER + 1
        text = file.read(length) if length <= MAX_HEADER else b""
    try:
        metadata = json.loads(json.loads(text)["__metadata__"]["hqcodec"])
        if not isinstance(metadata, dict) or metadata["family"] not in FAMILIES:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise UnknownModelError(
            f"{weights}: not weights of hqcodec; `hqcodec train` writes such a .safetensors file"
        ) from None
    return metadata


def build(family: str, config: dict[str, Any]) -> "Model":
    """A model with fresh weights; a key that its config lacks is an error, not ignored."""
    if family not in FAMILIES:
        raise HqcodecError(f"family {family!r}; known are {', '.join(FAMILIES)}")
    module, config_class, model_class = FAMILIES[family]
    loaded = import_module(module)
    made = from_dict(getattr(loaded, config_class), config)
    return getattr(loaded, model_class)(made)  # type: ignore[no-any-return]


def from_dict(kind: type[Any], values: dict[str, Any]) -> Any:
    """A frozen config dataclass from JSON or TOML; lists become tuples, unknown keys errors."""
    known = kind.__dataclass_fields__
    for key, value in values.items():
        if key not in known:
            keys = ", ".join(known)
            raise HqcodecError(f"{kind.__name__} has no key {key!r}; its keys are {keys}")
        wanted, found = known[key].type, type(value)
        if wanted in (int, float, str, bool) and found is not wanted:
            if not (wanted is float and found is int):
                kind_of = f"{key} = {value!r} in {kind.__name__}"
                raise HqcodecError(f"{kind_of} must be {wanted.__name__}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def load(model: "str | Path" = DEFAULT, device: str = "cpu") -> "Model":
    """A trained model, ready to encode and decode; by name, or from a weights file.

    >>> import torch, hqcodec
    >>> m = hqcodec.load("photo")
    >>> codes = m.encode(torch.rand(1, 3, 64, 48))
    >>> [tuple(layer.shape) for layer in codes][:2]
    [(1, 60, 4, 3), (1, 60, 4, 3)]
    """
    import safetensors.torch
    from safetensors import SafetensorError

    weights = path(model)
    metadata = read_metadata(weights)
    try:
        state = safetensors.torch.load_file(weights)
        made = build(metadata["family"], metadata["config"])
        made.load_state_dict(state)
        made.to(device)
    except (SafetensorError, RuntimeError, TypeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnknownModelError(f"{weights}: weights cannot be used ({reason})") from None
    if decoding_hash(state, made) != metadata["hash"]:
        raise UnknownModelError(f"{weights}: weights are damaged, their hash differs")
    made.name, made.hash = metadata["name"], bytes.fromhex(metadata["hash"])
    made.requires_grad_(False)
    return made.eval()


def save(
    model: "Model", target: Path, name: str, description: str, licence: str = "MIT"
) -> dict[str, Any]:
    """Inverse of `load`: write `model` in half precision; returns the metadata."""
    import safetensors.torch

    state = {
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.state_dict().items()
    }
    metadata = {
        "name": name,
        "family": model.family,
        "config": asdict(model.config),
        "layers": [[layer.stride, layer.groups, layer.codebook] for layer in model.layers],
        "hash": decoding_hash(state, model),
        "description": description,
        "license": licence,
    }
    text = json.dumps(metadata)
    temporary = target.with_name(target.name + ".part")
    safetensors.torch.save_file(state, temporary, {"hqcodec": text})
    os.replace(temporary, target)
    return json.loads(text)  # type: ignore[no-any-return]


def decoding_hash(state: "dict[str, Tensor]", model: "Model") -> str:
    """SHA-256 (hex) of config and weights that decoding reads; the encoder's are left out."""
    config = json.dumps([model.family, asdict(model.config)], sort_keys=True)
    digest = hashlib.sha256(config.encode())
    for key in sorted(state):
        if not key.startswith(model.encoder_prefixes):
            tensor = state[key]
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
