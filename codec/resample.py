"""Samples at one rate -> samples at another, block by block, in a number that is exact."""

import numpy as np
import soxr
from numpy.typing import NDArray


def resampled(count: int, source: int, target: int) -> int:
    """How many samples at rate `target` stand for `count` at rate `source`."""
    return -(-count * target // source)


class Resampler:
    """Sinc interpolation in a stream; n samples become resampled(n), aligned at the first.

    Blocks of any sizes give the same samples.
    """

    def __init__(self, source: int, target: int, channels: int) -> None:
        """source, target: samples a second."""
        self.source, self.target = source, target
        self._soxr: soxr.ResampleStream | None = None
        if source != target:
            self._soxr = soxr.ResampleStream(source, target, channels, dtype="float32")
        self._taken = self._given = 0
        self._late = np.zeros((0, channels), np.float32)  # made before their time had come

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n,channels] -> [m,channels], what is certain now."""
        self._taken += len(block)
        if self._soxr is None or not len(block):
            return block
        return self._give(self._soxr.resample_chunk(block))

    def finish(self) -> NDArray[np.float32]:
        """The rest: [m,channels]."""
        if self._soxr is None:
            return self._late
        rest = self._give(self._soxr.resample_chunk(self._late[:0], last=True))
        # soxr rounds the number of samples; those that are wanting would be less than half of one
        missing = resampled(self._taken, self.source, self.target) - self._given
        return np.concatenate([rest, np.zeros((missing, rest.shape[1]), np.float32)])

    def _give(self, made: NDArray[np.float32]) -> NDArray[np.float32]:
        """As many of what was made as stand for what was taken."""
        ready = np.concatenate([self._late, made])
        count = resampled(self._taken, self.source, self.target) - self._given
        ready, self._late = ready[:count], ready[count:]
        self._given += len(ready)
        return ready
