"""The shape of an HD-VAE, and its networks: encoder and generative ladder (App. F)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.gated import GRID, Connection, Inject, Query, Stem
from hqcodec.models.stochastic_layer import StochasticLayer
from hqcodec.models.variational_memory import STARTS

ARCHITECTURES = "vae", "skip-vae", "lvae", "skip-lvae"  # eqs 17 to 20
LATENTS = "categorical", "gaussian"


@dataclass(frozen=True)
class HDVAEConfig:
    """Layers from coarse to fine: the paper's z_L first. The defaults are table 2's for L = 3."""

    architecture: str = "skip-lvae"  # one of ARCHITECTURES
    latent: str = "categorical"  # or "gaussian", the baseline, which is no codec
    units: tuple[int, ...] = (4, 8, 16)  # n_l, variables of each layer
    classes: tuple[int, ...] = (16, 64, 256)  # K of each layer, squares; of categorical latents
    dim: int = 8  # of keys and values, d_1 = d_2; even
    width: int = 64  # channels of the networks
    blocks: int = 3  # gated blocks of a connection
    dropout: float = 0.5
    free_bits: float = 2.0  # lambda: nats of KL a layer that cost nothing
    beta: float = 1.0  # of all rates in training; below 1 for more bits and fewer wrong pixels
    entropy_cost: float = 0.0  # what a nat of q's entropy costs; 1: what a file pays for it
    temperature: float = 0.8  # tau at first
    middle_temperature: float = 0.3  # halfway
    last_temperature: float = 0.1
    anneal_steps: int = 400_000  # until the last temperature
    memory_start: str = "arcs"  # keys and values at first, or "normal"; see variational_memory.py
    memory_rate: float = 10.0  # learning rate of memory values over that of the rest
    context: int = 0  # hidden channels of the integer prior; 0: static tables

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise HqcodecError(f"architecture {self.architecture!r}; known are {known}")
        if self.latent not in LATENTS:
            raise HqcodecError(f"latent {self.latent!r}; known are {', '.join(LATENTS)}")
        if self.memory_start not in STARTS:
            found = f"memory_start {self.memory_start!r}"
            raise HqcodecError(f"{found}; known are {', '.join(STARTS)}")
        if not self.units or min(self.units) < 1:
            raise HqcodecError(f"units {self.units}; want one number >= 1 a layer")
        if len(self.classes) != len(self.units):
            raise HqcodecError(
                f"classes {self.classes}; want {len(self.units)} sizes, one a layer of {self.units}"
            )
        if any(k < 4 or round(k**0.5) ** 2 != k for k in self.classes):
            raise HqcodecError(f"classes {self.classes}; factored keys want squares from 4")
        if self.dim < 4 or self.dim % 2:
            found = f"dim {self.dim}; want an even number from 4"
            raise HqcodecError(f"{found}, half for each factor of keys")
        if self.width < 2:
            raise HqcodecError(f"width {self.width}; want 2 channels or more")
        if self.entropy_cost < 0 or (self.entropy_cost and self.latent != "categorical"):
            found = f"entropy_cost {self.entropy_cost} of {self.latent} latents"
            raise HqcodecError(f"{found}; want 0 or more, and 0 unless categorical")
        if self.beta <= 0:
            raise HqcodecError(f"beta {self.beta}; want a number above 0")
        if min(self.temperature, self.middle_temperature, self.last_temperature) <= 0:
            raise HqcodecError("temperatures of the relaxation must be above 0")

    @property
    def ladder(self) -> bool:
        """Whether inference goes top-down (LVAE), not bottom-up (VAE)."""
        return self.architecture.endswith("lvae")

    @property
    def skip(self) -> bool:
        """Whether a layer sees all layers before it, not the last one alone."""
        return self.architecture.startswith("skip")

    def connection(self) -> Connection:
        """An intermediate connection of this width and depth."""
        return Connection(self.width, self.blocks, self.dropout)


class Ladder(nn.Module):
    """The generative path: p(z_l | z_>l), or of the next coarser layer alone without skips."""

    def __init__(self, config: HDVAEConfig, layers: list[StochasticLayer]) -> None:
        """The coarsest layer's prior is that of a learned state."""
        super().__init__()
        width = config.width
        self.skip = config.skip
        self.start = nn.Parameter(0.1 * torch.randn(width, GRID, GRID))
        self.queries = nn.ModuleList(Query(width, s.units, s.query_dim) for s in layers)
        self.injects = nn.ModuleList(Inject(width, s.units, s.value_dim) for s in layers)
        self.connections = nn.ModuleList(config.connection() for _ in layers[1:])

    def begin(self, count: int) -> Tensor:
        """The state [count,width,7,7] before the coarsest layer."""
        return self.start.expand(count, -1, -1, -1)

    def query(self, layer: int, state: Tensor) -> Tensor:
        """What a layer's prior asks its memory: [B,width,7,7] -> [B,units,query_dim]."""
        query: Tensor = self.queries[layer](state)
        return query

    def advance(self, layer: int, state: Tensor, y: Tensor) -> Tensor:
        """The state after a layer that read y [B,units,value_dim]: [B,width,7,7]."""
        after: Tensor = self.injects[layer](y)
        if self.skip:
            after = after + state
        if layer < len(self.connections):
            after = self.connections[layer](after)
        return after


class Encoder(nn.Module):
    """Inference networks: deterministic features, and the posteriors' queries."""

    def __init__(self, config: HDVAEConfig, layers: list[StochasticLayer]) -> None:
        """LVAE: features of every layer. VAE: of the picture; layers see the finer ones."""
        super().__init__()
        width = config.width
        self.skip, self.ladder = config.skip, config.ladder
        self.stem = nn.Sequential(Stem(width), config.connection())
        channels = 2 * width if config.ladder else width
        self.queries = nn.ModuleList(Query(channels, s.units, s.query_dim) for s in layers)
        self.connections = nn.ModuleList(config.connection() for _ in layers[1:])
        self.injects = nn.ModuleList(
            Inject(width, s.units, s.value_dim) for s in ([] if config.ladder else layers[1:])
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """Of pictures [B,1,28,28]: [B,width,7,7] a layer, coarse to fine; of a VAE only one."""
        found = [self.stem(x)]
        for connection in reversed(self.connections if self.ladder else []):
            found.append(connection(found[-1]))
        return found[::-1]

    def query(self, layer: int, features: Tensor, state: Tensor | None = None) -> Tensor:
        """[B,width,7,7] and, in a ladder, the generative state -> [B,units,query_dim]."""
        seen = features if state is None else torch.cat([features, state], 1)
        query: Tensor = self.queries[layer](seen)
        return query

    def advance(self, layer: int, features: Tensor, y: Tensor) -> Tensor:
        """VAE: features of layer - 1 from those of a layer, and what it read."""
        after = self.injects[layer - 1](y)
        if self.skip:
            after = after + features
        passed: Tensor = self.connections[layer - 1](after)
        return passed
