"""The default photo codec: RSQ-VAE (HQ-VAE, section 4.3) made into a codec.

    x --encoder--> z --quantize under rate, L layers--> codes --sum--> y --decoder--> x_hat
                                ^                         |
                                +--- context models <-----+

What it adds to the paper. (1) Many small code vectors a position instead of one: the strongest
dimensions are scalars with a codebook each, the others vectors of four; entry 0 of every codebook
is zero. (2) The uniform prior P(z) of eq 4 becomes a learned one, p(k | context), and so enters the
posterior of eq 2: q(k) ~ p(k | context) exp(-|r - b_k|^2 / 2 s_l^2). Its mode, taken here without
sampling, minimises |r - b_k|^2 + lambda_l * (-log p(k | context)) with lambda_l = 2 s_l^2, which is
entropy-constrained vector quantization (Chou, Lookabaugh, Gray 1989). (3) Both transforms are a
linear patch transform, started from principal components, plus a convolutional branch that starts
at zero. (4) The samples of a batch keep from one to all layers, so every prefix decodes well.
(5) All that decoding needs is evaluated in exact arithmetic (exact.py, narrow.py): codes and pixels
agree on every machine.
"""

from collections.abc import Collection, Iterator, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from hqcodec.models import compiled, photo_codes, photo_loss, photo_start
from hqcodec.models.base import Batch, Layer, Model, zeros
from hqcodec.models.codebooks import Codebooks, grid_of, rows_of
from hqcodec.models.context import Context
from hqcodec.models.exact import exact_copy
from hqcodec.models.narrow import fix, wide_enough
from hqcodec.models.refine import refine
from hqcodec.models.steps import plan
from hqcodec.models.transforms import Decoder, Encoder, PhotoConfig, reach, tiled

TILE = 64  # positions a side that a transform sees at a time


class Photo(Model):
    """See the module docstring."""

    family = "photo"
    tunable = True

    def __init__(self, config: PhotoConfig) -> None:
        """Random weights; `initialize` sets the linear start."""
        super().__init__()
        self.config = config
        groups = config.scalars + config.vectors
        self.layers = (Layer(config.patch, groups, config.codebook),) * config.layers
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.codebooks = Codebooks(config)
        self.contexts = nn.ModuleList(self._context(layer) for layer in range(config.layers))
        self._exact: dict[str, Any] = {}  # float64 twins of what decoding needs, made on first use

    def _context(self, layer: int) -> Context:
        """A fresh context model for a layer."""
        c, blind = self.config, self.config.order == "static"
        order = "whole" if layer or blind else c.order
        steps = plan(order, c.scalars, c.vectors, c.strong)
        hidden = c.context if layer else c.first_context
        return Context(c.kinds, c.codebook, hidden, steps, layer == 0, blind)

    def train(self, mode: bool = True) -> "Photo":
        """Training changes weights, so the exact twins are forgotten."""
        self._exact = {}
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """Copies make exact twins of their own, for compiled ones hold addresses."""
        return self.__dict__ | {"_exact": {}}

    def exact(self, name: str) -> Any:
        """The exact twin of the submodule `name`, made on first use, or anew while training.

        Or "vectors": the codebooks [layer][kind] of it, [g,K,s], as the context models read them;
        "looks": `Context.look` at those, [layer][kind] of [2,g,K,s]; "kernels": the context models
        for compiled functions.
        """
        if self.training:
            return self._make_exact(name)
        # torch's precision can be lowered at any time
        key = name if name != "contexts" or wide_enough() else "contexts in float64"
        if key not in self._exact:
            self._exact[key] = self._make_exact(name)
        return self._exact[key]

    def _make_exact(self, name: str) -> Any:
        if name == "vectors":
            books = self.exact("codebooks")
            kinds, layers = range(len(self.config.kinds)), range(self.config.layers)
            return [[books.get(layer, kind).float() for kind in kinds] for layer in layers]
        if name == "looks":
            return photo_codes.looks(self)
        if name == "kernels":
            return photo_codes.compiled_contexts(self)
        return (fix if name == "contexts" else exact_copy)(getattr(self, name))

    @property
    def default_layers(self) -> int:
        """Where JPEG's usual quality lies."""
        return max(1, round(len(self.layers) * 2 / 3))

    def context(self, layer: int) -> Context:
        """The context model of a layer."""
        context = self.contexts[layer]
        assert isinstance(context, Context)
        return context

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """Rate-distortion Lagrangian of x [B,3,H,W], see photo_loss.py."""
        return photo_loss.loss(self, x)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Codebooks, kept in quantizer steps, move ten times as fast."""
        codebooks = list(self.codebooks.parameters())
        chosen = {id(p) for p in codebooks}
        rest = [p for p in self.parameters() if id(p) not in chosen]
        return [{"params": rest, "lr": lr}, {"params": codebooks, "lr": 10 * lr}]

    def initialize(self, x: Tensor, loaded: Collection[str] = ()) -> None:
        """Principal components of the patches of x [N,3,H,W]; codebooks by k-means under rate."""
        photo_start.start(self, x, loaded)

    # -- the codec

    @torch.no_grad()
    def encode(self, x: Tensor, layers: int | None = None) -> list[Tensor]:
        """Codes [B,groups,h,w] int64 of each layer for x [B,3,H,W] in 0..1."""
        z, codes = self.analyze(x), list[Tensor]()
        for _ in range(self.config.layers if layers is None else layers):
            codes.append(self.choose(z, codes))
        return codes

    @torch.no_grad()
    def analyze(self, x: Tensor, effort: int = 1, layers: int | None = None) -> Tensor:
        """The latent z [B,D,h,w] of pictures x [B,3,H,W]; refined for `layers` if effort > 1."""
        c = self.config
        margin = reach(c.encoder_depth, (1, 1, 0))
        z = tiled(self.encoder, self.pad(x), TILE, margin, (c.patch, 1)).float()
        if effort == 1:
            return z
        return refine(self, x, z, layers or c.layers, effort)

    @torch.no_grad()
    def quantized(self, z: Tensor, layers: int) -> tuple[Tensor, float]:
        """The sum of the layers that z [1,D,h,w] is quantized to, and the nats of its file."""
        y, nats, codes = torch.zeros_like(z), 0.0, list[Tensor]()
        for layer in range(layers):
            current = zeros((self.layers[layer].groups, *z.shape[-2:]))
            payload = self.choose_and_pack(z, codes, current)
            if payload is None:
                batches = self.choose_and_code(z, codes, current)
                nats += sum(batch.bits(current) for batch in batches) * log(2)
            else:
                nats += 8 * len(payload) * log(2)
            codes.append(current)
            vectors = self.codebooks.lookup(layer, rows_of(current[None].to(z.device)))
            y = y + grid_of(vectors, (1, *z.shape[-2:]))
        return y, nats

    @torch.no_grad()
    def choose(self, analysis: Tensor, codes: Sequence[Tensor], thrift: float = 1.0) -> Tensor:
        """Codes of layer len(codes) under thrift * lambda; analysis: the latent."""
        z, y, before = analysis, torch.zeros_like(analysis), None
        for layer, chosen in enumerate(codes):
            before = rows_of(chosen)
            y = y + grid_of(self.codebooks.lookup(layer, before), (len(z), *z.shape[-2:]))
        found, _ = photo_codes.quantize(self, len(codes), z - y, y, before, thrift)
        return grid_of(found, (len(z), *z.shape[-2:])).contiguous()

    @torch.no_grad()
    def decode(self, codes: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
        """Inverse of `encode`, up to the loss, by exact arithmetic on the CPU: [B,3,H,W]."""
        c = self.config
        y = self.latent([layer.cpu() for layer in codes])
        margin = reach(c.decoder_depth, (1, 0, 1))
        x = tiled(self.exact("decoder"), y, TILE, margin, (1, c.patch)).clamp(0, 1).float()
        return x if size is None else x[..., : size[0], : size[1]]

    def latent(self, codes: Sequence[Tensor]) -> Tensor:
        """Sum of the code vectors of the layers given, exact: [B,D,h,w] float64."""
        B, _, h, w = codes[0].shape
        books = self.exact("codebooks")
        y = torch.zeros(B * h * w, self.config.dim, dtype=torch.float64)
        for layer, chosen in enumerate(codes):
            y += books.lookup(layer, rows_of(chosen))
        return grid_of(y, (B, h, w))

    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """Context-modelled frequencies of layer len(codes), in the order of its context's steps."""
        return photo_codes.batches(self, codes, current)

    def choose_and_code(
        self, analysis: Tensor, codes: Sequence[Tensor], current: Tensor, thrift: float = 1.0
    ) -> Iterator[Batch]:
        """`Model.choose_and_code`, in exact arithmetic: codes may differ from those of `choose`."""
        return photo_codes.batches(self, codes, current, analysis[0].cpu(), thrift)

    def pack(self, codes: Sequence[Tensor], current: Tensor) -> bytes | None:
        """`Model.pack`, where there are compiled kernels."""
        return self._pack(codes, current) if compiled.available() else None

    def choose_and_pack(
        self, analysis: Tensor, codes: Sequence[Tensor], current: Tensor, thrift: float = 1.0
    ) -> bytes | None:
        """`Model.choose_and_pack`, likewise."""
        if not compiled.available():
            return None
        return self._pack(codes, current, analysis[0].cpu(), thrift)

    def _pack(self, codes: Sequence[Tensor], current: Tensor, *choice: Any) -> bytes:
        encoder = compiled.Encoder(current.numel())
        photo_codes.code(self, encoder, codes, current, *choice)
        return encoder.finish()

    def unpack(self, payload: bytes, codes: Sequence[Tensor], current: Tensor) -> bool:
        """`Model.unpack`, likewise."""
        if not compiled.available():
            return False
        photo_codes.code(self, compiled.Decoder(payload), codes, current)
        return True
