"""The shape of a sound model, and how it is trained."""

from dataclasses import dataclass

from hqcodec.errors import HqcodecError


@dataclass(frozen=True)
class SoundConfig:
    """What a sound model is; the `[model]` table of a config file."""

    hop: int = 320  # samples a frame
    layers: int = 16
    groups: int = 2  # codes a frame and layer
    codebook: int = 32  # code vectors a group
    dim: int = 32  # dimensions of a code vector
    encoder_width: int = 256
    encoder_blocks: int = 4
    decoder_width: int = 256
    decoder_blocks: int = 6
    quantizer: str = "stochastic"  # or "ema": vector quantization by moving averages
    reset: bool = True  # ema: codes out of use start anew
    ema_decay: float = 0.98
    commitment: float = 0.25  # ema: weight of |z - Z|^2
    # stochastic: weight of the latent terms against the distortion, whose scale is not that of
    # samples; from 0.1 up few codes stay in use
    latent: float = 0.02
    # learning rate of the codebooks: they must follow an encoder that moves fast at first, or few
    # codes stay in use
    codebook_rate: float = 8.0
    temperature_decay: float = 1e-5  # stochastic: tau = exp(-decay * step)
    complex: float = 0.1  # weight of the complex spectrum in the distortion
    waveform: float = 0.1  # and of the samples
    context: int = 0  # channels of the learned prior; 0: static tables

    def __post_init__(self) -> None:
        """Raise HqcodecError for what cannot be built."""
        if self.quantizer not in ("stochastic", "ema"):
            raise HqcodecError(f"quantizer {self.quantizer!r}; known are stochastic, ema")
        if self.hop < 4 or self.hop % 2:
            raise HqcodecError(f"hop {self.hop}; want an even number of samples, 4 or more")
