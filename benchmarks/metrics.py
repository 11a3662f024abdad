"""How far a decoded picture is from the original.

Pictures are [H,W,3] uint8, RGB. A metric that cannot be had is None with a reason, never a zero.
SSIM and MS-SSIM are pytorch-msssim's: a Gaussian window of 11x11 with sigma 1.5, K = (.01, .03),
only where the window fits into the picture, mean over positions and the RGB channels.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqcodec.errors import FormatError, HqcodecError, UnknownModelError
from hqcodec.models.lpips import SMALLEST, VARIABLE, Lpips, load_lpips
from hqcodec.models.weightfile import sha256

Pixels = NDArray[np.uint8]

NAMES = ("rmse", "psnr", "ssim", "ms_ssim", "lpips", "lpips_squeeze")
NETS = {"lpips": "alex", "lpips_squeeze": "squeeze"}  # metric -> backbone of LPIPS
WINDOW = 11  # pixels a side, of SSIM
# Five scales of that window: (11 - 1) * 2^4 pixels must fit into each side (Wang et al. 2003).
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


@dataclass
class Judge:
    """Computes the metrics that were asked for.

    names: some of NAMES. networks: LPIPS by metric, see NETS. notes: why a metric will be None for
    every picture. The features of the last original are kept, for it is judged many times.
    """

    names: tuple[str, ...] = NAMES
    networks: Mapping[str, Lpips] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    _original: Pixels | None = field(default=None, init=False, repr=False)
    _features: dict[str, list[Tensor]] = field(default_factory=dict, init=False, repr=False)

    def about(self) -> dict[str, Any]:
        """What a reader needs to compare values: metrics, and LPIPS' backbones and weights."""
        used = {name: net for name, net in self.networks.items() if name in self.names}
        return {
            "names": list(self.names),
            **{name: used[name].net if name in used else None for name in NETS},
            "weights": {name: sha256(dict(net.state_dict()))[:8] for name, net in used.items()},
        }

    def measure(self, x: Pixels, y: Pixels) -> tuple[dict[str, float | None], dict[str, str]]:
        """(metric -> value or None, metric -> why it is None) of y against the original x."""
        notes = {name: "not asked for" for name in NAMES if name not in self.names}
        notes |= {**self.notes, **self.too_small(x, notes)}
        found: dict[str, float | None] = dict.fromkeys(NAMES)
        error = rmse(x, y)
        found["rmse"] = error
        found["psnr"] = psnr(error)
        if error == 0:
            found["psnr"], notes["psnr"] = None, "infinite: the pictures are identical"
        with torch.inference_mode():
            pair = to_tensor(x), to_tensor(y)
            if "ssim" not in notes:
                found["ssim"] = ssim(*pair)
            if "ms_ssim" not in notes:
                found["ms_ssim"] = ms_ssim(*pair)
            for name, network in self.networks.items():
                if name not in notes:
                    features = network.embed(pair[1])
                    value = network.distance(self.features_of(x, name, pair[0]), features)
                    found[name] = float(value)
        for name in notes:
            found[name] = None
        return found, notes

    def too_small(self, x: Pixels, known: Mapping[str, str]) -> dict[str, str]:
        """Metric -> reason, for those that a picture x [H,W,3] has too few pixels for."""
        least = {"ssim": (WINDOW, "the window"), "ms_ssim": (MS_SSIM_SMALLEST, "five scales")}
        least |= {name: (SMALLEST[net], net) for name, net in NETS.items()}
        found = {}
        for name, (limit, what) in least.items():
            if name not in known and name not in self.notes and min(x.shape[:2]) < limit:
                verb = "needs" if name != "ms_ssim" else "need"
                found[name] = f"{what} {verb} sides of at least {limit} pixels"
        return found

    def features_of(self, x: Pixels, name: str, tensor: Tensor) -> list[Tensor]:
        """LPIPS' features of an original, computed once in a row of questions about it."""
        if self._original is not x:
            self._original = x
            self._features.clear()
        if name not in self._features:
            self._features[name] = self.networks[name].embed(tensor)
        return self._features[name]


def make_judge(names: Sequence[str] = NAMES, weights: Path | None = None) -> Judge:
    """A judge with what is installed; what is not becomes a note.

    weights: a folder, or the file of one backbone beside which the other may lie; if it was named,
    it must hold at least one of those that are asked for.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise HqcodecError(f"metric {unknown[0]!r}; there are {', '.join(NAMES)}")
    notes: dict[str, str] = {}
    networks: dict[str, Lpips] = {}
    missing: list[UnknownModelError] = []
    for name, net in NETS.items():
        if name in names:
            try:
                networks[name] = find_lpips(net, weights)
            except UnknownModelError as error:
                missing.append(error)
                get = "`hqcodec models --fetch lpips` gets them"
                notes[name] = f"no LPIPS weights for {net}; {get}"
    if weights is not None and missing and not networks:
        raise missing[0]
    try:
        import pytorch_msssim  # noqa: F401
    except ImportError:
        absent = "pytorch-msssim is not installed (pip install 'hqcodec[bench]')"
        notes |= {name: absent for name in ("ssim", "ms_ssim") if name in names}
    return Judge(tuple(names), networks, notes)


def find_lpips(net: str, weights: Path | None) -> Lpips:
    """LPIPS with a backbone, from a file or folder, HQCODEC_LPIPS or torch.hub's cache.

    Raises UnknownModelError if it is not there; a file of another backbone is not the end, for
    this one's may lie beside it.
    """
    place = weights or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    try:
        found = load_lpips(net, place)
    except FormatError as error:
        if place is None or not place.is_file():
            raise
        try:
            found = load_lpips(net, place.parent)
        except HqcodecError:
            raise UnknownModelError(str(error)) from None
    # As pictures lie in memory; SqueezeNet is nearly twice as fast in this order.
    found.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    return found


def ssim(x: Tensor, y: Tensor) -> float:
    """Structural similarity of pictures [1,3,H,W] in 0..1: 1 where they are equal."""
    import pytorch_msssim  # of the `bench` extra

    value: Any = pytorch_msssim.ssim(x, y, data_range=1.0)
    return float(value)


def ms_ssim(x: Tensor, y: Tensor) -> float:
    """Multi-scale structural similarity of pictures [1,3,H,W] in 0..1: 1 where they are equal."""
    import pytorch_msssim

    value: Any = pytorch_msssim.ms_ssim(x, y, data_range=1.0)
    return float(value)


def to_tensor(x: Pixels) -> Tensor:
    """[H,W,3] uint8 -> [1,3,H,W] float32 in 0..1."""
    return torch.from_numpy(x.copy()).permute(2, 0, 1)[None].float() / 255
