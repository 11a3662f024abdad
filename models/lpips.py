"""LPIPS v0.1: how different two pictures look, as a distance between deep features.

Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.

    d(x, y) = sum over layers l of  mean over positions of  w_l . (u_l(x) - u_l(y))^2

u_l are the features of layer l, scaled to unit length over the channels; w_l >= 0 was fitted to
what people said. Smaller is closer, 0 is the same. AlexNet is what papers report; SqueezeNet is a
second opinion, for when the first was trained on. The two scales do not compare.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqcodec.errors import FormatError, HqcodecError, UnknownModelError

VARIABLE = "HQCODEC_LPIPS"  # environment variable: a weights file, or a folder with one
# Mean and deviation of ImageNet's colours, for pixels in -1..1 (LPIPS' own ScalingLayer).
MEAN = (-0.030, -0.088, -0.188)
DEVIATION = (0.458, 0.448, 0.450)
# Inside the root, so that the gradient at a position without features is 0 and not infinite.
# The reference adds 1e-10 outside it; on Kodak the distances agree to six digits.
EPSILON = 1e-8

TAPS = {"alex": (1, 4, 7, 9, 11), "squeeze": (1, 4, 7, 9, 10, 11, 12)}  # indices into `features`
CHANNELS = {"alex": (64, 192, 384, 256, 256), "squeeze": (64, 128, 256, 384, 384, 512, 512)}
SMALLEST = {"alex": 31, "squeeze": 17}  # pixels a side; below, a pooling layer has nothing left
BACKBONES = {"alex": "alexnet-owt-7be5be79.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}


class Fire(nn.Module):
    """SqueezeNet's block: [B,C,H,W] -> [B,2*expand,H,W], named as torchvision names it."""

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        """Down to `squeeze` channels, then up to `expand` of each kernel size."""
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,H,W] -> [B,2*expand,H,W]."""
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


def alex_features() -> nn.Sequential:
    """AlexNet's convolutions up to the last one that LPIPS reads."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def squeeze_features() -> nn.Sequential:
    """SqueezeNet 1.1 without its classifier."""
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool,
        Fire(64, 16, 64), Fire(128, 16, 64), pool,
        Fire(128, 32, 128), Fire(256, 32, 128), pool,
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
    )  # fmt: skip


class Lpips(nn.Module):
    """The metric, frozen. Differentiable, so it also serves as a loss."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: str = "alex") -> None:
        """Weights are random until loaded; `load_lpips` does both."""
        super().__init__()
        self.net = check_net(net)
        self.features = alex_features() if net == "alex" else squeeze_features()
        for i, channels in enumerate(CHANNELS[net]):
            self.register_buffer(f"lin{i}", torch.ones(1, channels, 1, 1) / channels)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False
        )
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of each pair: x, y [B,3,H,W] in 0..1 -> [B] float32, 0 where they are equal."""
        smallest = SMALLEST[self.net]
        if min(x.shape[-2:]) < smallest:
            found = f"{x.shape[-1]}x{x.shape[-2]}"
            raise HqcodecError(f"LPIPS ({self.net}) of {found} pixels; a side needs {smallest}")
        # One pass each: the backward pass then skips the picture that needs no gradient.
        return self.distance(self.embed(x), self.embed(y))

    def distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Distance of each pair from what `embed` made of the pictures: [B] float32."""
        total = first[0].new_zeros(first[0].shape[0])
        for i, (u, v) in enumerate(zip(first, second, strict=True)):
            weighted = self.get_buffer(f"lin{i}") * (u - v).square()  # [B,C,h,w]
            total = total + weighted.sum(1).mean((1, 2))
        return total

    def embed(self, x: Tensor) -> list[Tensor]:
        """Unit features u_l of x [B,3,H,W] in 0..1: [B,C_l,h_l,w_l] float32 a layer."""
        x = (2 * x - 1 - self.mean) / self.deviation
        found = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in TAPS[self.net]:
                f = x.float()  # under autocast only the convolutions are short of bits
                found.append(f / (f.square().sum(1, keepdim=True) + EPSILON).sqrt())
        return found


def shift(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cut up to 15 pixels off the top and the left of both pictures [B,3,H,W] alike, at random.

    For training only: max pooling sends gradients to few pixels, and always to the same ones
    unless the grid moves, which shows as artefacts. HQ-VAE (App. F.5) stretches the pictures too,
    which blurs the fine detail that is to be judged.
    """
    spare = [min(15, side - 32) for side in x.shape[-2:]]
    top, left = (int(torch.randint(0, max(0, n) + 1, ())) for n in spare)
    return x[..., top:, left:], y[..., top:, left:]


def check_net(net: str) -> str:
    """The name itself, if it is one of a backbone that we have."""
    if net not in TAPS:
        raise HqcodecError(f"LPIPS backbone {net!r}; there are {', '.join(TAPS)}")
    return net


def find_weights(net: str, path: Path | None = None) -> Path:
    """Where the weights of `net` are: an .npz with all of them, or torchvision's .pth backbone.

    path: a file, or a folder that holds lpips_<net>_v0.1.npz, <net>.npz or the backbone; without
    it, the environment variable HQCODEC_LPIPS, then torch.hub's cache.
    """
    check_net(net)
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    place = path or Path(os.environ.get(VARIABLE) or hub)
    names = (f"lpips_{net}_v0.1.npz", f"{net}.npz", BACKBONES[net])
    for candidate in (place, *(place / name for name in names)):
        if candidate.is_file():
            return candidate
    raise UnknownModelError(
        f"no LPIPS weights for {net!r} in {place}; name a file or folder with {names[0]} "
        f"or {names[2]} (--lpips, {VARIABLE}), or fetch them (hqcodec models --fetch lpips)"
    )


def find_heads(net: str, backbone: Path) -> Path:
    """Where the heads are if they are not in the .npz: LPIPS' own <net>.pth.

    Beside the backbone, or in the `lpips` package if that is installed.
    """
    spec = importlib.util.find_spec("lpips")
    installed = [] if spec is None or spec.origin is None else [Path(spec.origin).parent]
    places = [backbone.parent, *(folder / "weights" / "v0.1" for folder in installed)]
    for place in places:
        if (place / f"{net}.pth").is_file():
            return place / f"{net}.pth"
    raise UnknownModelError(
        f"{backbone} has no LPIPS heads and {net}.pth (LPIPS v0.1) is not in {places[0]}; "
        "put it there, or pip install lpips"
    )


def load_lpips(net: str = "alex", path: Path | None = None) -> Lpips:
    """The metric with its weights, on the CPU; `path` as in `find_weights`."""
    found = find_weights(net, path)
    try:
        state = read_npz(found) if found.suffix == ".npz" else read_pth(net, found)
        metric = Lpips(net)
        metric.load_state_dict(state)
    except HqcodecError:
        raise
    except Exception as error:  # numpy, zipfile and torch each have their own for a damaged file
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{found} does not hold LPIPS ({net}) weights: {cause}") from error
    return metric.eval()


def read_npz(path: Path) -> dict[str, Tensor]:
    """All weights of one file: torchvision's names `features.*` and the heads `lin<i>`."""
    # Opened here, because numpy leaves a damaged file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]).float() for name in arrays.files}


def read_pth(net: str, path: Path) -> dict[str, Tensor]:
    """The same from torchvision's backbone and LPIPS' heads; only tensors are unpickled."""
    heads = torch.load(find_heads(net, path), map_location="cpu", weights_only=True)
    backbone = torch.load(path, map_location="cpu", weights_only=True)
    own = set(Lpips(net).state_dict())
    state = {name: value for name, value in backbone.items() if name in own}
    # LPIPS calls them lin0.model.1.weight
    return state | {name.split(".")[0]: value for name, value in heads.items()}
