"""hqcodec: a neural codec for pictures and sound, built on hierarchical quantizers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hqcodec.api import compress as compress
    from hqcodec.api import decompress as decompress
    from hqcodec.audio import Audio as Audio
    from hqcodec.models.zoo import load as load
    from hqcodec.target import Target as Target

__version__ = "0.6.0"
__all__ = ["Audio", "Target", "compress", "decompress", "load"]


def __getattr__(name: str) -> Any:
    """Load the API on first use, so that `hqcodec --help` does not wait for torch (PEP 562)."""
    if name == "load":
        from hqcodec.models import zoo

        return zoo.load
    if name == "Audio":
        from hqcodec import audio

        return audio.Audio
    if name == "Target":
        from hqcodec import target

        return target.Target
    if name in __all__:
        from hqcodec import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
