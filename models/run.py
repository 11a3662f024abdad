"""What a training run is: a TOML file becomes a `Run`."""

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hqcodec.errors import HqcodecError
from hqcodec.models import zoo


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the `[train]` table of a config file."""

    steps: int = 10_000
    batch: int = 8
    crop: int = 128  # pixels a side
    shrink: float = 0.5  # crops are shrunk by a factor drawn from here to 1; 1 never shrinks
    flip: bool = True  # half of the crops are mirrored
    tile: int = 0  # pictures are sheets of tiles of so many pixels a side; 0: they are pictures
    held_out: float = 0.02  # share of the pictures kept for validation
    lr: float = 4e-4
    optimizer: str = "adam"
    betas: tuple[float, ...] = (0.9, 0.999)  # of the optimizer
    schedule: str = "cosine"  # or "constant", "plateau"
    hold: float = 0.3  # share of the steps before the cosine starts
    patience: int = 3  # plateau: the rate halves after so many validations without a lower loss
    warmup: int = 100  # steps of linear warm-up
    stages: int = 1  # equal parts of the steps; in each, rate and optimizer start anew
    clip: float = 1000.0  # gradient norm
    average: float = 0.0  # decay of the weights' moving average; 0: none
    bf16: bool = True  # bfloat16 autocast
    seed: int = 0
    validate_every: int = 1000
    checkpoint_every: int = 500
    start: str = ""  # weights file to start from, instead of the model's own start
    start_decoder: str = ""  # further decoder of `start` to start from, instead of its own
    freeze: tuple[str, ...] = ()  # prefixes of parameters that stay as they are
    lpips: float = 0.0  # weight of LPIPS in the loss
    log_lpips: float = 0.0  # of its logarithm: a per cent counts the same at every rate


@dataclass(frozen=True)
class Run:
    """A config file: family, [model] and [train]; name is the file's own unless it says."""

    family: str
    model: dict[str, Any]
    train: TrainConfig
    description: str = ""
    name: str = "model"
    config: str = "CONFIG"  # what the user called it
    decoder: str = ""  # export the decoder alone, under this name; else the whole model

    @property
    def file(self) -> str:
        """Name of the weights file that training ends with."""
        return ".".join(part for part in (self.name, self.decoder, "safetensors") if part)


def read_config(config: str | Path) -> Run:
    """A run from a TOML file or from the name of a config that came with the package."""
    built_in = resources.files("hqcodec.models") / "configs" / f"{config}.toml"
    if Path(config).is_file():
        text, name = Path(config).read_text(), Path(config).stem
    elif built_in.is_file():
        text, name = built_in.read_text(), str(config)
    else:
        known = sorted(p.name for p in (resources.files("hqcodec.models") / "configs").iterdir())
        names = ", ".join(p.removesuffix(".toml") for p in known if p.endswith(".toml"))
        raise HqcodecError(f"config {str(config)!r} is neither a file nor one of {names}")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HqcodecError(f"{config}: not TOML ({error})") from None
    unknown = set(table) - {"family", "name", "description", "decoder", "model", "train"}
    if unknown or "family" not in table:
        raise HqcodecError(
            f"{config}: found {', '.join(sorted(table)) or 'nothing'}; "
            "a config has family, name, description, decoder, [model] and [train]"
        )
    called = str(table.get("name", name))
    if not re.fullmatch(r"[a-z0-9._-]{1,32}", called):  # what a .hqc file can hold
        raise HqcodecError(f"name {called!r}; a model's name has 1 to 32 of a-z 0-9 . _ -")
    decoder = str(table.get("decoder", ""))
    if decoder and not zoo.is_decoder_name(decoder):
        raise HqcodecError(
            f"decoder {decoder!r}; its name has 1 to 32 of a-z 0-9 _ -, and is not {zoo.FIDELITY}"
        )
    train = zoo.from_dict(TrainConfig, table.get("train", {}))
    about = table.get("description", ""), called, name
    return Run(table["family"], table.get("model", {}), train, *about, decoder)
