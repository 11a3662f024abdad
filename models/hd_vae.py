"""HD-VAE: a hierarchy of variational memory layers, for binary pictures of 28x28 pixels.

    inference    q(z_L|x) .. q(z_1|z_>1, x) top-down (LVAE), or q(z_1|x) q(z_2|z_<2, x) .. (VAE)
    generation   p(z_L) .. p(z_1|z_>1), then p(x|z), a Bernoulli variable a pixel       App. F

As a codec: a picture is cut into tiles of 28x28 pixels, black and white; codes are the most likely
classes under the posterior, coded under an integer prior that also sees neighbouring tiles. What
comes back is black and white too: the likelier value of each pixel, which gets the fewest pixels
wrong, and a scan or mask has no greys. Layers that are missing take their most likely classes
under p(z_l | z_>l). With Gaussian layers it is the paper's baseline, and no codec.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models.base import Batch, Layer, Model, lpips_terms, mix
from hqcodec.models.gated import SIDE, BernoulliDecoder, log_bernoulli
from hqcodec.models.gaussian_layer import GaussianLayer
from hqcodec.models.hd_vae_config import Encoder, Ladder
from hqcodec.models.hd_vae_config import HDVAEConfig as HDVAEConfig
from hqcodec.models.prior import Prior
from hqcodec.models.stochastic_layer import StochasticLayer
from hqcodec.models.tiles import cut, join
from hqcodec.models.variational_memory import VariationalMemory

SAMPLE = 64  # pictures that one step of counting looks at
Draw = Callable[[StochasticLayer, Tensor], Tensor]  # of a distribution, a value


class Path(NamedTuple):
    """One value of all variables, and how likely they were; layers from coarse to fine."""

    z: list[Tensor]
    posterior: list[Tensor]  # q(z_l | ..), as `StochasticLayer.distribution` gives it
    prior: list[Tensor]  # p(z_l | ..)
    state: Tensor  # [B,width,7,7], of which the decoder makes p(x|z)


class HDVAE(Model):
    """Trained on the relaxed bound of eq 5, with free bits (App. A)."""

    family = "hd_vae"
    config: HDVAEConfig

    def __init__(self, config: HDVAEConfig) -> None:
        """Random weights; see `initialize`."""
        super().__init__()
        self.config = config
        made: list[StochasticLayer] = [
            VariationalMemory(units, classes, config.dim, config.memory_start)
            if config.latent == "categorical"
            else GaussianLayer(units)
            for units, classes in zip(config.units, config.classes, strict=True)
        ]
        self.stochastic = nn.ModuleList(made)
        self.encoder = Encoder(config, made)
        self.ladder = Ladder(config, made)
        self.decoder = BernoulliDecoder(config.width, config.blocks, config.dropout)
        self.layers = tuple(
            Layer(SIDE, memory.units, memory.classes)
            for memory in made
            if isinstance(memory, VariationalMemory)
        )
        self.prior = Prior(self.layers, config.context)

    @property
    def stride(self) -> int:
        """A tile, also of the baseline, which has no codes."""
        return SIDE

    @torch.no_grad()
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Most likely codes of pictures [B,3,H,W] in 0..1: a [B,units,h,w] int64 a layer.

        layers: keep only so many, coarse to fine.
        """
        self._check_codec()
        x = self.pad(x)
        with self._evaluating():
            path = self.infer(self.encoder.features(cut(x, SIDE)), _mode)
        return self._codes(path, x)[:layers]

    @torch.no_grad()
    def interpolate(self, x: Tensor, y: Tensor, count: int) -> list[Tensor]:
        """Codes on the way from x to y [1,3,H,W]: what is mixed are the encoder's features."""
        self._check_codec()
        x, y = self.pad(x), self.pad(y)
        with self._evaluating():
            ends = [self.encoder.features(cut(end, SIDE)) for end in (x, y)]
            mixed = [
                mix(torch.stack(pair), count).flatten(0, 1) for pair in zip(*ends, strict=True)
            ]
            path = self.infer(mixed, _mode)
        return self._codes(path, x.expand(count, -1, -1, -1))

    @torch.no_grad()
    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss: every pixel 0 or 1, whichever is the likelier.

        Layers that are missing take their most likely codes under p(z_l | z_>l).
        """
        self._check_codec()
        if not 1 <= len(codes) <= len(self.layers):
            raise HqcodecError(f"codes of {len(codes)} layers; want 1 to {len(self.layers)}")
        h, w = codes[0].shape[2:]
        given = [layer.movedim(1, -1).flatten(0, 2) for layer in codes]  # [B*h*w,units]
        with self._evaluating():
            state = self.ladder.begin(len(given[0]))
            for n in range(len(self.layers)):
                memory = self.memory(n)
                if n < len(given):
                    z = memory.one_hot(given[n])
                else:
                    z = memory.mode(memory.distribution(self.ladder.query(n, state)))
                state = self.ladder.advance(n, state, memory.read(z))
            x_hat = join((self.decoder(state) >= 0).float(), h, w)
        return x_hat if size is None else x_hat[..., : size[0], : size[1]]

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Scalars of a training step, nats a tile of 28x28, for x [B,3,H,W].

        loss: reconstruction + sum over l of max(free_bits, kl_l), the means of the batch; free bits
            are Kingma et al.'s, a layer at a time (App. A). With an `entropy_cost`, plus that times
            q's entropy: KL is the price of codes drawn at random if a later picture can be hidden
            in the choice (bits-back); in files it cannot, and a code costs -log p. All but the
            reconstruction times `beta`. In eval mode minus the ELBO of hard samples, without any
            of these, or dropout.
        reconstruction: -log p(x|z). kl_l: of layer l from 1, coarse to fine; see `divergences`.
        elbo: as the loss would be without free bits, negative; of relaxed samples in train mode.
        temperature: tau. prior: nats a value of x of the codes under the integer prior, if it is
            learned: it is added to the loss, but no gradient of it reaches the rest.
        lpips, log_lpips: of the pixels' probabilities, if asked for.
        """
        x = self.pad(x)
        tiles = cut(x, SIDE)
        tau = self.temperature(step) if self.training else 0.0
        path = self.infer(self.encoder.features(tiles), lambda s, p: s.draw(p, tau))
        logits = self.decoder(path.state).float()
        kl = self.divergences(path).mean(1)  # [L]
        terms = {"reconstruction": -log_bernoulli(tiles, logits).mean()}
        free = self.config.free_bits if self.training else 0.0
        rate = kl.clamp_min(free).sum()
        if self.training and (cost := self.entropy_cost(step)):
            pairs = enumerate(path.posterior)
            drawn = torch.stack([self.layer(n).entropy(q).mean() for n, q in pairs])
            rate = rate + cost * drawn.sum()
        beta = self.config.beta if self.training else 1.0
        terms["loss"] = terms["reconstruction"] + beta * rate
        terms["elbo"] = -(terms["reconstruction"] + kl.sum()).detach()
        terms |= {f"kl_{n}": value for n, value in enumerate(kl.detach(), 1)}
        terms["temperature"] = torch.tensor(tau)
        if self.config.context and self.layers:
            terms |= self.prior.terms(self.encode(x), x)
            terms["loss"] = terms["loss"] + terms["prior"]
        if self.perceptual is not None:
            h, w = (side // SIDE for side in x.shape[2:])
            terms |= lpips_terms(self.perceptual(join(logits.sigmoid(), h, w), x))
        return terms

    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """What the integer prior says, or static tables if the config has no context."""
        self._check_codec()
        return self.prior.tables(codes, current)

    @torch.no_grad()
    def initialize(self, x: Tensor, loaded: Collection[str] = ()) -> None:
        """Let every pixel begin at the share of white in pictures [N,3,H,W]."""
        if "decoder.out.bias" not in loaded:
            self.decoder.start(cut(self.pad(x), SIDE).mean())

    def calibrate(self, x: Tensor) -> None:
        """Count the codes of pictures [N,3,H,W] for the static tables, anew."""
        if self.layers:
            self.prior.calibrate(map(self.encode, torch.split(x, SAMPLE)))

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Memory values learn faster: a sample touches few of them (App. A)."""
        values = [p for name, p in self.named_parameters() if name.endswith(".values")]
        rest = [p for name, p in self.named_parameters() if not name.endswith(".values")]
        groups = [{"params": rest, "lr": lr}]
        return groups + [{"params": values, "lr": self.config.memory_rate * lr}] * bool(values)

    def temperature(self, step: int) -> float:
        """tau at a step: linear from the first to the middle one, then to the last (App. A)."""
        c, half = self.config, max(1, self.config.anneal_steps // 2)
        if step < half:
            return c.temperature + (c.middle_temperature - c.temperature) * step / half
        part = min(1.0, (step - half) / half)
        return c.middle_temperature + (c.last_temperature - c.middle_temperature) * part

    def entropy_cost(self, step: int) -> float:
        """Of a nat of q's entropy at a step: 0 to the middle one, then linear to the config's.

        From the start it would silence variables before the networks use them.
        """
        half = max(1, self.config.anneal_steps // 2)
        return self.config.entropy_cost * min(1.0, max(0.0, step / half - 1))

    def infer(self, features: Sequence[Tensor], draw: Draw) -> Path:
        """Values of all variables from the encoder's features, each drawn from its posterior."""
        if not self.config.ladder:
            return self._climb(features[0], draw)
        z: list[Tensor] = []
        posterior, prior = [], []
        state = self.ladder.begin(len(features[0]))
        for n, feature in enumerate(features):
            layer = self.layer(n)
            prior.append(layer.distribution(self.ladder.query(n, state)))
            posterior.append(layer.distribution(self.encoder.query(n, feature, state)))
            z.append(draw(layer, posterior[n]))
            state = self.ladder.advance(n, state, layer.read(z[n]))
        return Path(z, posterior, prior, state)

    def _climb(self, feature: Tensor, draw: Draw) -> Path:
        """`infer` of a VAE: bottom-up to the coarsest layer, then down for the priors."""
        count = len(self.stochastic)
        z, posterior = [feature] * count, [feature] * count
        for n in reversed(range(count)):
            layer = self.layer(n)
            posterior[n] = layer.distribution(self.encoder.query(n, feature))
            z[n] = draw(layer, posterior[n])
            if n:
                feature = self.encoder.advance(n, feature, layer.read(z[n]))
        prior, state = [], self.ladder.begin(len(feature))
        for n in range(count):
            prior.append(self.layer(n).distribution(self.ladder.query(n, state)))
            state = self.ladder.advance(n, state, self.layer(n).read(z[n]))
        return Path(z, posterior, prior, state)

    def divergences(self, path: Path) -> Tensor:
        """What each layer costs, nats a picture: [L,B].

        Ladder: KL(q(z_l|z_>l, x) || p(z_l|z_>l)), the exact mean over z_l of eq 14's (b) and (c).
        Bottom-up, the prior of z_l is known only once z_l is drawn: the entropy of q is exact, and
        log p is of the sample, in train mode of the relaxed one (eq 15).
        """
        found = []
        for n, (z, q, p) in enumerate(zip(path.z, path.posterior, path.prior, strict=True)):
            layer = self.layer(n)
            if self.config.ladder:
                found.append(layer.divergence(q, p))
            else:
                seen = z if self.training else layer.harden(z)
                found.append(-layer.entropy(q) - layer.log_prob(seen, p))
        return torch.stack(found)

    def layer(self, n: int) -> StochasticLayer:
        """A layer of variables, coarse to fine."""
        module = self.stochastic[n]
        assert isinstance(module, StochasticLayer)
        return module

    def memory(self, n: int) -> VariationalMemory:
        """A layer of a model that is a codec."""
        module = self.stochastic[n]
        assert isinstance(module, VariationalMemory)
        return module

    def _codes(self, path: Path, x: Tensor) -> list[Tensor]:
        """The classes of a hard path over the tiles of x: a [B,units,h,w] a layer."""
        h, w = (side // SIDE for side in x.shape[2:])
        found = [self.memory(n).codes(z) for n, z in enumerate(path.z)]
        return [layer.view(len(x), h, w, -1).movedim(-1, 1).contiguous() for layer in found]

    def _check_codec(self) -> None:
        if not self.layers:
            raise HqcodecError('a Gaussian HD-VAE has no codes; want latent = "categorical"')

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Without dropout, whatever the mode."""
        modules = self.encoder, self.ladder, self.decoder
        for module in modules:
            module.eval()
        yield
        for module in modules:
            module.train(self.training)


def _mode(layer: StochasticLayer, p: Tensor) -> Tensor:
    """A `Draw` that always gives the most likely value."""
    return layer.mode(p)
