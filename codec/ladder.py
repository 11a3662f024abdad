"""One picture through the layers of a model, under any thrift; the networks run once."""

from typing import Any

from torch import Tensor

from hqcodec import entropy
from hqcodec.models.base import Model, zeros
from hqcodec.target import Thrifts


class Ladder:
    """Codes and payloads of a picture, made when asked for; coarser layers are kept for finer ones.

    `thrifts` has a number for each layer to code: see `Model.choose`.
    """

    def __init__(self, model: Model, x: Tensor, effort: int, layers: int) -> None:
        """x: [1,3,H,W] in 0..1; effort, layers: see `Model.analyze`."""
        self.model, self.size = model, (x.shape[2], x.shape[3])
        self.analysis: Any = model.analyze(x, effort, layers)
        self._codes: dict[Thrifts, Tensor] = {}  # of the last of the layers, [groups,h,w]
        self._payloads: dict[Thrifts, bytes] = {}  # likewise

    def codes(self, thrifts: Thrifts) -> list[Tensor]:
        """Codes [1,groups,h,w] of each layer, on the CPU."""
        return [self._layer(thrifts[: n + 1])[0][None] for n in range(len(thrifts))]

    def payloads(self, thrifts: Thrifts) -> tuple[bytes, ...]:
        """The bytes of each layer."""
        parts = [thrifts[: n + 1] for n in range(len(thrifts))]
        return tuple(self._payloads.get(part) or self._layer(part)[1] for part in parts)

    def _layer(self, thrifts: Thrifts) -> tuple[Tensor, bytes]:
        """Codes and payload of the last of the layers."""
        if thrifts not in self._codes:
            coarser = [layer[0] for layer in self.codes(thrifts[:-1])]
            shape = self.model.code_shape(len(coarser), self.size)
            current = zeros(shape)
            self._payloads[thrifts] = entropy.pack_chosen(
                self.model, self.analysis, coarser, current, thrifts[-1]
            )
            if len(set(thrifts)) > 1:  # a trial; others differ in their last thrift
                return current, self._payloads[thrifts]
            self._codes[thrifts] = current
        return self._codes[thrifts], self._payloads[thrifts]
