"""How far a decoded picture is from the original.

Pictures are [H,W,3] uint8, RGB. A metric that cannot be had is None with a reason, never a zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqcodec.errors import HqcodecError, UnknownModelError
from hqcodec.models.lpips import SMALLEST, Lpips, load_lpips

Pixels = NDArray[np.uint8]

NAMES = ("rmse", "psnr", "ms_ssim", "lpips")
# Five scales of an 11x11 window: (11 - 1) * 2^4 pixels must fit into each side (Wang et al. 2003).
MS_SSIM_SMALLEST = 161


def rmse(x: Pixels, y: Pixels) -> float:
    """Root of the mean squared error over pixels and channels, on the scale 0..255."""
    difference = x.astype(np.float64) - y.astype(np.float64)
    return math.sqrt(float(np.mean(difference * difference)))


def psnr(error: float) -> float:
    """Peak signal to noise ratio in dB of an RMSE on the scale 0..255; infinite for 0.

    The mean over pictures of this is "mean of PSNR". That of the root of the mean MSE is "PSNR of
    the mean MSE", which is .1 to .45 dB lower on Kodak: say which.
    """
    return math.inf if error == 0 else 20 * math.log10(255 / error)


def psnr_of_mean_mse(errors: Sequence[float]) -> float:
    """PSNR in dB of the mean of the squared RMSEs, each on the scale 0..255."""
    return psnr(math.sqrt(sum(e * e for e in errors) / len(errors)))


@dataclass(frozen=True)
class Judge:
    """Computes the metrics that were asked for.

    names: some of NAMES. notes: why a metric will be None for every picture.
    """

    names: tuple[str, ...] = NAMES
    lpips: Lpips | None = None
    notes: dict[str, str] = field(default_factory=dict)

    def measure(self, x: Pixels, y: Pixels) -> tuple[dict[str, float | None], dict[str, str]]:
        """(metric -> value or None, metric -> why it is None) of y against the original x."""
        notes = {name: "not asked for" for name in NAMES if name not in self.names} | self.notes
        found: dict[str, float | None] = dict.fromkeys(NAMES)
        error = rmse(x, y)
        found["rmse"] = error
        found["psnr"] = psnr(error)
        if error == 0:
            found["psnr"], notes["psnr"] = None, "infinite: the pictures are identical"
        smallest = min(x.shape[:2])
        if "ms_ssim" not in notes and smallest < MS_SSIM_SMALLEST:
            notes["ms_ssim"] = f"five scales need sides of at least {MS_SSIM_SMALLEST} pixels"
        if "ms_ssim" not in notes:
            found["ms_ssim"] = ms_ssim(x, y)
        if "lpips" not in notes and self.lpips is not None:
            limit = SMALLEST[self.lpips.net]
            if smallest < limit:
                notes["lpips"] = f"{self.lpips.net} needs sides of at least {limit} pixels"
            else:
                with torch.inference_mode():
                    found["lpips"] = float(self.lpips(to_tensor(x), to_tensor(y)))
        for name in notes:
            found[name] = None
        return found, notes


def make_judge(
    names: Sequence[str] = NAMES, net: str = "alex", weights: Path | None = None
) -> Judge:
    """A judge with what is installed; what is not becomes a note.

    Weights that were named (`weights`) must exist; those that were merely hoped for need not.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise HqcodecError(f"metric {unknown[0]!r}; there are {', '.join(NAMES)}")
    notes: dict[str, str] = {}
    lpips: Lpips | None = None
    if "lpips" in names:
        try:
            lpips = load_lpips(net, weights)
        except UnknownModelError as error:
            if weights is not None:
                raise
            notes["lpips"] = str(error)
    if "ms_ssim" in names:
        try:
            import pytorch_msssim  # noqa: F401
        except ImportError:
            notes["ms_ssim"] = "pytorch-msssim is not installed (pip install 'hqcodec[bench]')"
    return Judge(tuple(names), lpips, notes)


def ms_ssim(x: Pixels, y: Pixels) -> float:
    """Multi-scale structural similarity, 1 for equal pictures, mean over the RGB channels."""
    import pytorch_msssim  # of the `bench` extra

    value: Any = pytorch_msssim.ms_ssim(to_tensor(x), to_tensor(y), data_range=1.0)
    return float(value)


def to_tensor(x: Pixels) -> Tensor:
    """[H,W,3] uint8 -> [1,3,H,W] float32 in 0..1."""
    return torch.from_numpy(x.copy()).permute(2, 0, 1)[None].float() / 255
