"""Static tables: the frequencies of a layer's codes, counted once on training pictures."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from hqcodec.models.base import Batch, Layer, frequencies


class StaticTables(nn.Module):
    """One table a layer and group. Until something is counted, all codes are equally likely."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        """Tables for codes of these layers."""
        super().__init__()
        for n, layer in enumerate(layers):
            # From 1 up, so that a code that no training picture took can still be coded.
            ones = torch.ones(layer.groups, layer.codebook, dtype=torch.int64)
            self.register_buffer(f"counts_{n}", ones)

    def counts(self, layer: int) -> Tensor:
        """[groups, K] int64, each one more than the code was seen."""
        return self.get_buffer(f"counts_{layer}")

    def clear(self) -> None:
        """Forget what was counted."""
        for buffer in self.buffers():
            buffer.fill_(1)

    def count(self, codes: Sequence[Tensor]) -> None:
        """Add the codes [B,groups,h,w] of each layer."""
        for n, layer in enumerate(codes):
            counts = self.counts(n)
            for group, row in enumerate(layer.unbind(1)):
                counts[group] += row.flatten().bincount(minlength=counts.shape[1])

    def tables(self, codes: Sequence[Tensor], current: Tensor) -> Iterator[Batch]:
        """`Model.tables`: one batch a group, its frequencies [1,K] from the counts alone."""
        counts = self.counts(len(codes)).cpu()
        places = torch.arange(current.numel()).view(len(current), -1)  # [groups, h*w]
        for group, where in enumerate(places):
            yield Batch(where, frequencies(counts[group : group + 1]))
