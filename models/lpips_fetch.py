"""LPIPS' published weights, downloaded to where `find_weights` looks: torch.hub's cache.

Backbones are torchvision's files, whose names end in the start of their SHA-256; heads are those of
LPIPS v0.1, whose names do not, so they are tried instead.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from hqcodec.errors import HqcodecError
from hqcodec.models.lpips import BACKBONES, load_lpips

BACKBONES_AT = "https://download.pytorch.org/models"
HEADS_AT = (
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
)


def fetch_lpips(folder: Path | None = None) -> Iterator[tuple[Path, bool]]:
    """Download what is missing; yields each file, and whether it was downloaded.

    folder: by default torch.hub's cache of checkpoints. Raises HqcodecError if a file cannot be
    had or is not what it should be; it then is not there.
    """
    place = folder or Path(torch.hub.get_dir()) / "checkpoints"
    for net, backbone in BACKBONES.items():
        start = backbone.removesuffix(".pth").rpartition("-")[2]
        yield place / backbone, download(f"{BACKBONES_AT}/{backbone}", place / backbone, start)
        heads = place / f"{net}.pth"
        new = download(f"{HEADS_AT}/{net}.pth", heads)
        try:
            load_lpips(net, place / backbone)
        except HqcodecError:
            if new:
                heads.unlink()
            raise
        yield heads, new


def download(url: str, target: Path, hash_start: str | None = None) -> bool:
    """Store what `url` holds, whole or not at all; False if `target` is there already.

    hash_start: of the SHA-256 that the file must have, in hexadecimal.
    """
    if target.exists():
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), hash_start, progress=False)
    except (OSError, RuntimeError) as error:  # no network, no space; another hash
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HqcodecError(
            f"{target.name} cannot be fetched from {url} ({reason}); put it into {target.parent}"
        ) from error
    return True
