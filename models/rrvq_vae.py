"""RRVQ-VAE (Willetts et al. 2020), a deep hierarchy of discrete latents trained end to end.

    features    x -> d^_0 .. d^_{L-1}, coarse to fine                      Encoder
    prior       log p(z_l | z_>l), responsibilities of strap(d)            eq 7
    posterior   log q(z_l | z_>l, x), of ladder(d^_l) + strap(d)           eq 6
    advance     d <- dec(d + ladder(z_l))                                  Generator
    likelihood  p(x | z), discretised logistics around decoder(d)          eq 3

Layer 0 is the coarsest, the paper's z_L. One layer with sigma "fixed" and a uniform prior is the
rVQ-VAE of section 2. Files are coded by the learned integer prior of prior.py, whose tables are
exact on every machine; the model's own p, in floating point, is what eq 5 trains and measures.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models import responsibility
from hqcodec.models.base import Batch, Layer, Model, lpips_terms, mix
from hqcodec.models.logistic import log_prob, to_levels
from hqcodec.models.prior import Prior
from hqcodec.models.quantize import perplexity
from hqcodec.models.responsibility import Responsibility, divergence, named, wide
from hqcodec.models.rrvq_ladder import Decoder, Encoder, Generator
from hqcodec.models.rrvq_ladder import RRVQConfig as RRVQConfig
from hqcodec.models.weight_norm import Conv, Up, start

SAMPLE = 64  # pictures that one step of counting looks at
SCALE_RATE = 10  # learning rate of the likelihood's scale, relative to all others


class RRVQVAE(Model):
    """Relaxed-responsibility vector-quantised VAE, trained on eq 5."""

    family = "rrvq_vae"
    config: RRVQConfig

    def __init__(self, config: RRVQConfig) -> None:
        """Random weights."""
        super().__init__()
        self.config = config
        pairs = zip(config.strides, config.codebook, strict=True)
        self.layers = tuple(Layer(stride, 1, size) for stride, size in pairs)
        self.encoder = Encoder(config)
        self.generator = Generator(config)
        self.decoder = Decoder(config)
        learnt = config.sigma == "learnt"
        self.codebooks = nn.ModuleList(
            Responsibility(size, config.dim, learnt) for size in config.codebook
        )
        self.integer_prior = Prior(self.layers, config.context)

    def start(self, batch: int, size: tuple[int, int]) -> Tensor:
        """The top of the generative path for pictures of `size` (H, W): [batch,width,h,w]."""
        _, h, w = self.code_shape(0, size)
        return self.generator.start[:, None, None].expand(batch, -1, h, w)

    def prior(self, state: Tensor, layer: int) -> Tensor:
        """log p(z_l | z_>l), nats (eq 7): state [B,width,h,w] -> [B,K,h,w]."""
        if layer < self.generator.first:
            size, (B, _, h, w) = self.layers[layer].codebook, state.shape
            return state.new_full((B, size, h, w), -math.log(size), dtype=torch.float32)
        e = self.generator.embedding(layer, state)
        if self.config.parameterisation == "direct":
            return wide(e).log_softmax(1)
        return self.codebook(layer).forward(e)

    def features(self, x: Tensor) -> list[Tensor]:
        """The bottom-up path: x [B,3,H,W] in 0..1, padded -> [B,width,h,w] a layer."""
        found: list[Tensor] = self.encoder(x)
        return found

    def posterior(self, state: Tensor, features: Sequence[Tensor], layer: int) -> Tensor:
        """log q(z_l | z_>l, x), nats (eq 6): state [B,width,h,w] -> [B,K,h,w]."""
        return self.codebook(layer).forward(self.encoder.embedding(layer, state, features[layer]))

    def advance(self, state: Tensor, layer: int, codes: Tensor) -> Tensor:
        """The state that the next layer sees, given codes [B,1,h,w] of this one."""
        return self.generator.advance(layer, state, self.codebook(layer).lookup(codes))

    def advance_soft(self, state: Tensor, layer: int, weights: Tensor) -> Tensor:
        """As `advance`, for relaxed one-hots or probabilities [B,K,h,w]."""
        return self.generator.advance(layer, state, self.codebook(layer).mixture(weights))

    def likelihood(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log scale [B,3,H,W] of each pixel's logistic, after the last layer."""
        found: tuple[Tensor, Tensor] = self.decoder(state)
        return found

    @torch.no_grad()
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Most likely codes of pictures [B,3,H,W] in 0..1: a [B,1,h,w] int64 a layer.

        layers: compute only so many, coarse to fine.
        """
        return self._descend(self.features(self.pad(x)), layers)

    @torch.no_grad()
    def interpolate(self, x: Tensor, y: Tensor, count: int) -> list[Tensor]:
        """Codes on the way from x to y [1,3,H,W]: what is mixed are the features."""
        ends = self.features(self.pad(torch.cat([x, y])))
        return self._descend([mix(feature, count) for feature in ends])

    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss.

        A layer that is missing is replaced by the mean embedding that the prior expects.
        """
        if not 1 <= len(codes) <= len(self.layers):
            raise HqcodecError(f"codes of {len(codes)} layers; want 1 to {len(self.layers)}")
        state = self.follow(codes)
        for layer in range(len(codes), len(self.layers)):
            state = self.advance_soft(state, layer, self.prior(state, layer).exp())
        x_hat = self.likelihood(state)[0].clamp(0, 1)
        return x_hat if size is None else x_hat[..., : size[0], : size[1]]

    @torch.no_grad()
    def log_prior(self, codes: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """log p(z_l | z_>l) of layer len(codes), eq 7, nats: [B,K,h,w]."""
        state = self.follow(codes) if codes else self.start(1, size)
        return self.prior(state, len(codes))

    def follow(self, codes: Sequence[Tensor]) -> Tensor:
        """The state behind codes [B,1,h,w] of the coarsest layers, one at least."""
        (B, _, h, w), stride = codes[0].shape, self.stride
        state = self.start(B, (h * stride, w * stride))
        for layer, current in enumerate(codes):
            state = self.advance(state, layer, current)
        return state

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Scalars of a training step: minus the bound of eq 5, nats a value of x [B,3,H,W].

        Gumbel-softmax samples stand for the codes in train mode, codes drawn from q in eval mode.
        distortion: -log p(x|z). kl_l: of layer l >= 1. loss: distortion plus every layer's KL, of
        which no less is counted than `free_bits` nats a code (Kingma et al. 2016).
        bpd: the bound without free bits, in bits a value. perplexity_l: of the sampled codes.
        prior: -log p of the most likely codes under the integer prior, if there is one; no gradient
        of it reaches the rest. psnr: of the likelihood's mean.
        """
        x = self.pad(x)
        features, state = self.features(x), self.start(len(x), (x.shape[2], x.shape[3]))
        tau = self.temperature(step)
        nats, free, shown = [], [], {}
        for layer, spec in enumerate(self.layers):
            log_q, log_p = self.posterior(state, features, layer), self.prior(state, layer)
            if self.training:
                weights = responsibility.relax(log_q, tau)
                codes = weights.argmax(1, keepdim=True)
                state = self.advance_soft(state, layer, weights)
            else:
                codes = responsibility.sample(log_q)
                state = self.advance(state, layer, codes)
            nats.append(divergence(log_q, log_p).mean() / x[0].numel())
            free.append(nats[-1].clamp(min=self.config.free_bits * codes[0].numel() / x[0].numel()))
            shown[f"perplexity_{layer + 1}"] = perplexity(codes, spec.codebook)
        mean, log_scale = self.likelihood(state)
        terms = {"distortion": -log_prob(to_levels(x), mean, log_scale).mean()}
        terms["loss"] = terms["distortion"] + torch.stack(free).sum()
        bound = terms["distortion"] + torch.stack(nats).sum()
        terms["bpd"] = bound.detach() / math.log(2)
        terms |= {f"kl_{n}": kl.detach() for n, kl in enumerate(nats, 1)} | shown
        if self.config.context:
            with torch.no_grad():
                likeliest = self._descend(features)
            terms |= self.integer_prior.terms(likeliest, x)
            terms["loss"] = terms["loss"] + terms["prior"]
        if self.perceptual is not None:
            terms |= lpips_terms(self.perceptual(mean, x))
        terms["psnr"] = -10 * (mean.detach().clamp(0, 1) - x).square().mean().log10()
        return terms

    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """What the learned integer prior says, or static tables if the config has no context."""
        return self.integer_prior.tables(codes, current)

    @torch.no_grad()
    def initialize(self, x: Tensor, loaded: Collection[str] = ()) -> None:
        """Scale every convolution, and the likelihood, to pictures [N,3,H,W].

        loaded: if there is any, nothing is changed.
        """
        if loaded:
            return
        x = self.pad(x[:SAMPLE])
        convolutions = [module for module in self.modules() if isinstance(module, Conv | Up)]
        hooks = [module.register_forward_hook(start) for module in convolutions]
        features, state = self.features(x), self.start(len(x), (x.shape[2], x.shape[3]))
        for layer in range(len(self.layers)):
            self.prior(state, layer)
            weights = responsibility.relax(self.posterior(state, features, layer), 1.0)
            state = self.advance_soft(state, layer, weights)
        mean, _ = self.likelihood(state)
        for hook in hooks:
            hook.remove()
        # of a logistic with the deviation of the error
        deviation = (mean - x).square().mean((0, 2, 3)).sqrt()
        self.decoder.log_scale.copy_((deviation * math.sqrt(3) / math.pi).log())

    def calibrate(self, x: Tensor) -> None:
        """Count the codes of pictures [N,3,H,W] for the static tables, anew."""
        self.integer_prior.calibrate(map(self.encode, torch.split(x, SAMPLE)))

    @torch.no_grad()
    def bound(self, x: Tensor, samples: int = 1) -> Tensor:
        """The bound on -log2 p(x), bits a value: pictures [B,3,H,W] in 0..1 -> [B].

        Codes are drawn from q, never relaxed. samples: more than 1 gives the importance-weighted
        bound (Burda et al. 2016), -log of the mean of p(x,z)/q(z|x); 1 gives eq 5, whose KL is
        summed over all codes.
        """
        if samples == 1:
            bits, divergences = self.parts(x)
            return (bits + divergences.sum(1)) / x[0].numel()
        weights = []
        for _ in range(samples):
            _, ratios, log_likelihood = self._draw(x)
            weights.append(log_likelihood - ratios.sum(1))
        log_mean = torch.stack(weights).logsumexp(0) - math.log(samples)
        return -log_mean / (x[0].numel() * math.log(2))

    @torch.no_grad()
    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the bound is made of, bits a picture: of x given z [B], KL of each layer [B,L]."""
        divergences, _, log_likelihood = self._draw(x)
        return -log_likelihood / math.log(2), divergences / math.log(2)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Codebooks and the likelihood's scale at rates of their own.

        Either has to move by units, where a convolution's weights move by tenths.
        """
        scale, books = self.decoder.log_scale, list(self.codebooks.parameters())
        apart = {id(p) for p in (scale, *books)}
        return [
            {"params": [p for p in self.parameters() if id(p) not in apart], "lr": lr},
            {"params": books, "lr": self.config.codebook_rate * lr},
            {"params": [scale], "lr": SCALE_RATE * lr},
        ]

    def codebook(self, layer: int) -> Responsibility:
        """The codebook of a layer."""
        module = self.codebooks[layer]
        assert isinstance(module, Responsibility)
        return module

    def temperature(self, step: int) -> float:
        """Tau at a step."""
        config = self.config
        falling = config.temperature * math.exp(-config.temperature_decay * step)
        return max(config.last_temperature, falling)

    def _draw(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes drawn from q; KL(q||p) and log q - log p of the codes [B,L], log p(x|z) [B], nats.

        What was padded does not count in the likelihood; its codes do count.
        """
        padded, (h, w) = self.pad(x), x.shape[-2:]
        features = self.features(padded)
        state = self.start(len(x), (padded.shape[2], padded.shape[3]))
        divergences, ratios = [], []
        for layer in range(len(self.layers)):
            log_q, log_p = self.posterior(state, features, layer), self.prior(state, layer)
            codes = responsibility.sample(log_q)
            divergences.append(divergence(log_q, log_p))
            ratios.append(named(log_q, codes) - named(log_p, codes))
            state = self.advance(state, layer, codes)
        mean, log_scale = (part[..., :h, :w] for part in self.likelihood(state))
        log_likelihood = log_prob(to_levels(x), mean, log_scale).sum((1, 2, 3))
        return torch.stack(divergences, 1), torch.stack(ratios, 1), log_likelihood

    def _descend(self, features: Sequence[Tensor], layers: int | None = None) -> list[Tensor]:
        """The most likely codes, coarse to fine, of as many layers."""
        B, _, h, w = features[0].shape
        state = self.start(B, (h * self.stride, w * self.stride))
        codes: list[Tensor] = []
        for layer in range(len(self.layers))[:layers]:
            if codes:
                state = self.advance(state, layer - 1, codes[-1])
            codes.append(self.posterior(state, features, layer).argmax(1, keepdim=True))
        return codes
