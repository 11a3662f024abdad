"""Sound: samples and their rate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Audio:
    """A sound. samples: [T, channels] in -1..1. rate: samples a second."""

    samples: NDArray[np.float32]
    rate: int
