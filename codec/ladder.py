"""One picture through the layers of a model, under any thrift; the networks run once."""

from typing import Any

from torch import Tensor

from hqcodec import entropy
from hqcodec.models.base import Model
from hqcodec.target import Thrifts


class Ladder:
    """Codes and payloads of a picture, made when asked for; coarser layers are kept for finer ones.

    `thrifts` has a number for each layer to code: see `Model.choose`.
    """

    def __init__(self, model: Model, x: Tensor, effort: int, layers: int) -> None:
        """x: [1,3,H,W] in 0..1; effort, layers: see `Model.analyze`."""
        self.model = model
        self.analysis: Any = model.analyze(x, effort, layers)
        self._codes: dict[Thrifts, list[Tensor]] = {(): []}
        self._payloads: dict[Thrifts, bytes] = {}

    def codes(self, thrifts: Thrifts) -> list[Tensor]:
        """Codes [1,groups,h,w] of each layer."""
        if thrifts in self._codes:
            return self._codes[thrifts]
        coarser = self.codes(thrifts[:-1])
        found = [*coarser, self.model.choose(self.analysis, coarser, thrifts[-1])]
        if len(set(thrifts)) == 1:  # what others build on; trials differ in their last thrift
            self._codes[thrifts] = found
        return found

    def payloads(self, thrifts: Thrifts) -> tuple[bytes, ...]:
        """The bytes of each layer."""
        found: list[bytes] = []
        for count in range(1, len(thrifts) + 1):
            part = thrifts[:count]
            if part not in self._payloads:
                *coarser, last = (layer[0].cpu() for layer in self.codes(part))
                self._payloads[part] = entropy.pack(last, self.model.tables(coarser, last))
            found.append(self._payloads[part])
        return tuple(found)
