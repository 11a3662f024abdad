"""Models by name: which are installed, their weights on disk, and how to make and keep them.

Weights are one .safetensors file, specified in weightfile.py. Further decoders lie beside it as
NAME.DECODER.safetensors: each shows the same codes in another way, and is chosen when decoding.
Nothing here imports torch until weights are really loaded.
"""

import json
import re
from dataclasses import asdict
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqcodec.errors import HqcodecError, UnknownModelError
from hqcodec.models.weightfile import read_metadata as read_metadata
from hqcodec.models.weightfile import read_tensors, sha256, write_weights

if TYPE_CHECKING:
    from torch import Tensor

    from hqcodec.models.base import Model

# family -> (module, config class, model class)
FAMILIES = {
    "photo": ("hqcodec.models.photo", "PhotoConfig", "Photo"),
    "hq_vae": ("hqcodec.models.hq_vae", "HQVAEConfig", "HQVAE"),
    "hr_vqvae": ("hqcodec.models.hr_vqvae", "HRVQVAEConfig", "HRVQVAE"),
    "hqa": ("hqcodec.models.hqa", "HQAConfig", "HQA"),
    "rrvq_vae": ("hqcodec.models.rrvq_vae", "RRVQConfig", "RRVQVAE"),
    "hd_vae": ("hqcodec.models.hd_vae", "HDVAEConfig", "HDVAE"),
    "sound": ("hqcodec.models.sound", "SoundConfig", "Sound"),
}
SOUNDS = ("sound",)  # families that code sound; all others code pictures
DEFAULT = "photo"
DEFAULTS = {"picture": DEFAULT, "sound": "sound"}  # kind -> model
FIDELITY = "fidelity"  # the decoder in a model's own file
DECODER = "decoder."  # prefix of the tensors that a decoder's file holds


def names() -> list[str]:
    """Models that came with the package, by name."""
    folder = resources.files("hqcodec.models.weights")
    files = [item.name for item in folder.iterdir() if item.name.endswith(".safetensors")]
    found = sorted(name.removesuffix(".safetensors") for name in files)
    return [name for name in found if "." not in name]  # a dot sets the name of a decoder off


def path(name: str | Path) -> Path:
    """The weights file of an installed model, or `name` itself if it is a file."""
    if isinstance(name, str) and name in names():
        return Path(str(resources.files("hqcodec.models.weights") / f"{name}.safetensors"))
    if Path(name).is_file():
        return Path(name)
    raise UnknownModelError(
        f"model {str(name)!r} is neither installed ({', '.join(names()) or 'none is'}) nor a file"
    )


def decoders(model: str | Path = DEFAULT) -> dict[str, Path]:
    """The decoders of a model, and the file that each is in: its own, then those that lie beside.

    >>> import hqcodec
    >>> hqcodec.models.zoo.decoders("photo")["fidelity"].name
    'photo.safetensors'
    """
    weights = path(model)
    found = {FIDELITY: weights}
    for file in sorted(weights.parent.iterdir()):
        name = file.stem.removeprefix(f"{weights.stem}.")
        if file.name == f"{weights.stem}.{name}.safetensors" and is_decoder_name(name):
            found[name] = file
    return {name: file for name, file in found.items() if name == FIDELITY or is_decoder(file)}


def is_decoder(file: Path) -> bool:
    """Whether a file says that it holds a decoder alone."""
    try:
        return bool(read_metadata(file)["kind"] == "decoder")
    except UnknownModelError:
        return False


def is_decoder_name(name: str) -> bool:
    """Whether a decoder beside a model can have this name; a dot would leave it ambiguous."""
    return name != FIDELITY and re.fullmatch(r"[a-z0-9_-]{1,32}", name) is not None


def decoder_path(model: str | Path, decoder: str | Path) -> Path:
    """The file of a model's decoder, by name, or `decoder` itself if it is a file."""
    known = decoders(model)
    if str(decoder) in known:
        return known[str(decoder)]
    if Path(decoder).is_file():
        return Path(decoder)
    raise UnknownModelError(
        f"decoder {str(decoder)!r} is neither one of model {path(model).stem!r} "
        f"({', '.join(known)}) nor a file"
    )


def model_class(family: str) -> "type[Model]":
    """The class of a family; HqcodecError if there is none of this name."""
    if family not in FAMILIES:
        raise HqcodecError(f"family {family!r}; known are {', '.join(FAMILIES)}")
    module, _, name = FAMILIES[family]
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def kind_of(family: str) -> str:
    """What models of a family code, "picture" or "sound"; told without importing torch."""
    return "sound" if family in SOUNDS else "picture"


def build(family: str, config: dict[str, Any]) -> "Model":
    """A model with fresh weights; a key that its config lacks is an error, not ignored."""
    made = model_class(family)
    module, config_class, _ = FAMILIES[family]
    return made(from_dict(getattr(import_module(module), config_class), config))


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


def load(
    model: str | Path = DEFAULT, device: str = "cpu", decoder: str | Path = FIDELITY
) -> "Model":
    """A trained model, ready to encode and decode; by name, or from a weights file.

    decoder: how codes become pictures, by name (`decoders` lists them) or from a decoder's file.

    >>> import torch, hqcodec
    >>> m = hqcodec.load("photo")
    >>> codes = m.encode(torch.rand(1, 3, 64, 48))
    >>> [tuple(layer.shape) for layer in codes][:2]
    [(1, 60, 4, 3), (1, 60, 4, 3)]
    """
    weights = path(model)
    metadata = read_metadata(weights)
    if metadata["kind"] == "decoder":
        raise UnknownModelError(f"{weights}: a decoder of model {metadata['model']!r}, not a model")
    state, config = read_tensors(weights), metadata["config"]
    own: dict[str, Tensor] = {}
    if decoder != FIDELITY:
        found, own = read_decoder(decoder_path(model, decoder), metadata)
        config = config | found
    try:
        made = build(metadata["family"], config)
        if codes_hash(state, made, metadata["config"]) != metadata["hash"]:
            raise UnknownModelError(f"{weights}: weights are damaged, their hash differs")
        if own:
            state = {key: x for key, x in state.items() if not key.startswith(DECODER)} | own
        made.float().load_state_dict(state)  # whatever torch's default dtype
        made.to(device)
    except (RuntimeError, TypeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnknownModelError(f"{weights}: weights cannot be used ({reason})") from None
    made.name, made.hash = metadata["name"], bytes.fromhex(metadata["hash"])
    made.requires_grad_(False)
    return made.eval()


def read_decoder(file: Path, model: dict[str, Any]) -> "tuple[dict[str, Any], dict[str, Tensor]]":
    """Config and tensors of a decoder's file, if it was made for weights with metadata `model`."""
    metadata = read_metadata(file)
    if metadata["kind"] != "decoder":
        raise UnknownModelError(f"{file}: a whole model, not a decoder")
    if metadata["hash"] != model["hash"]:
        raise UnknownModelError(
            f"{file}: a decoder for other weights of {metadata['model']!r} "
            f"({metadata['hash'][:8]}); those given are {model['name']!r} ({model['hash'][:8]})"
        )
    return metadata.get("config", {}), read_tensors(file)


def save(
    model: "Model", target: Path, name: str, description: str, licence: str = "MIT"
) -> dict[str, Any]:
    """Inverse of `load`: write `model` in half precision; returns the metadata."""
    state, config = halves(model), asdict(model.config)
    return write_weights(
        target,
        state,
        {
            "kind": "model",
            "name": name,
            "family": model.family,
            "config": config,
            "layers": [[layer.stride, layer.groups, layer.codebook] for layer in model.layers],
            "hash": codes_hash(state, model, config),
            "description": description,
            "license": licence,
        },
    )


def save_decoder(
    model: "Model", start: str | Path, target: Path, name: str, description: str
) -> dict[str, Any]:
    """Write the decoder of `model` alone; returns the metadata.

    start: the weights that it was trained on and belongs to; HqcodecError if anything but the
    decoder differs from them.
    """
    if others := [key for key in changed(model, start) if not key.startswith(DECODER)]:
        raise HqcodecError(f"{others[0]} is not what it is in {start}; the decoder would not fit")
    state, owner = halves(model), read_metadata(path(start))
    if not same_codes(load(start).config, model.config):
        raise HqcodecError(f"the config is not that of {start}; the decoder would not fit")
    return write_weights(
        target,
        {key: x for key, x in state.items() if key.startswith(DECODER)},
        {
            "kind": "decoder",
            "name": name,
            "model": owner["name"],
            "family": model.family,
            "config": {k: v for k, v in asdict(model.config).items() if is_decoders(k)},
            "hash": owner["hash"],
            "description": description,
            "license": owner["license"],
        },
    )


def is_decoders(key: str) -> bool:
    """Whether a key of a config shapes the decoder alone."""
    return key.startswith("decoder_")


def same_codes(first: Any, second: Any) -> bool:
    """Whether two configs differ at most in how the decoder is shaped."""
    mine, other = asdict(first), asdict(second)
    keys = mine.keys() | other.keys()
    return all(is_decoders(key) or mine.get(key) == other.get(key) for key in keys)


def changed(model: "Model", start: str | Path) -> list[str]:
    """Names of weights that, saved, would differ in any bit from those in the file `start`."""
    before, state = read_tensors(path(start)), halves(model)
    same = {
        key
        for key in before
        if key in state and sha256({"": before[key]}) == sha256({"": state[key]})
    }
    return [key for key in state if key not in same]


def halves(model: "Model") -> "dict[str, Tensor]":
    """Weights as a file keeps them."""
    return {
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.state_dict().items()
    }


def codes_hash(state: "dict[str, Tensor]", model: "Model", config: dict[str, Any]) -> str:
    """SHA-256 (hex) of config and weights that decoding codes reads.

    Encoder and decoder are left out: another decoder may show the same file. config: as the file
    has it, so that a key that a later hqcodec adds changes nothing.
    """
    start = json.dumps([model.family, config], sort_keys=True)
    read = {key: x for key, x in state.items() if not key.startswith(model.transform_prefixes)}
    return sha256(read, start.encode())
