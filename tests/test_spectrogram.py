"""The multi-scale network of spectrograms, as a member of HQ-VAE."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.hq_vae import HQVAEConfig
from hqcodec.models.spectrogram import KERNELS, MultiScale, SpectrogramVAE, branch


def make(**changed: Any) -> SpectrogramVAE:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"resolutions": (4,), "chain": (3,), "codebook": (8, 8, 8)}
    shape |= {"shared_codebook": True, "dim": 4, "width": 8, "blocks": 1}
    return SpectrogramVAE(HQVAEConfig(**shape | changed))


def spectrograms(frames: int = 24, count: int = 4) -> Tensor:
    """Standardised values: slow stripes and noise."""
    noise = torch.randn(count, 1, 80, frames, generator=torch.Generator().manual_seed(1))
    return torch.sin(torch.arange(80.0) / 9)[:, None] + 0.3 * noise


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_branch_halves_both_sides_twice(kernel: int) -> None:
    net = branch(kernel, 6, 2)
    strided = [m for m in net if isinstance(m, nn.Conv2d)]
    assert [(m.kernel_size, m.stride) for m in strided] == 2 * [((kernel, kernel), (2, 2))]
    assert net(torch.zeros(1, 1, 80, 344)).shape == (1, 6, 20, 86)


def test_the_branches_are_summed() -> None:
    net, x = MultiScale(6, 1), torch.randn(2, 1, 8, 12)
    assert len(net.branches) == 4
    expected = torch.stack([one(x) for one in net.branches]).sum(0)
    assert torch.allclose(net(x)[0], expected, atol=1e-6)


def test_a_four_second_spectrogram_has_codes_of_20_by_86() -> None:
    model = make().eval()
    codes = model.encode(torch.zeros(1, 1, 80, 344))
    assert [tuple(layer.shape) for layer in codes] == 3 * [(1, 1, 20, 86)]
    assert model.code_shape(0, (80, 344)) == (1, 20, 86)


@torch.no_grad()
def test_every_prefix_of_the_layers_decodes_to_any_number_of_frames() -> None:
    model = make().eval()
    for frames in (1, 7, 24):
        codes = model.encode(spectrograms(frames))
        assert [model.code_shape(n, (80, frames)) for n in range(3)] == [
            tuple(layer.shape[1:]) for layer in codes
        ]
        for kept in (1, 2, 3):
            assert model.decode(codes[:kept], (80, frames)).shape == (4, 1, 80, frames)


@torch.no_grad()
def test_what_is_decoded_may_lie_outside_of_0_to_1() -> None:
    model = make().eval()
    last = list(model.decoder.children())[-1]
    assert isinstance(last, nn.ConvTranspose2d) and last.bias is not None
    last.bias.fill_(-2)
    assert float(model.decode(model.encode(spectrograms())).mean()) < -1


def test_it_learns_stripes_in_a_few_steps() -> None:
    model, x = make(dim=8, width=16), spectrograms(16)
    model.initialize(x)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(80):
        optimizer.zero_grad()
        model.loss(x, step)["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    with torch.no_grad():
        error = (model.decode(model.encode(x)) - x).square().mean()
    assert float(error) < 0.5 * float(x.var())  # the noise alone is 0.15


@pytest.mark.parametrize("quantizer", ["stochastic", "ema"])
def test_all_layers_share_one_codebook_that_starts_from_spectrograms(quantizer: str) -> None:
    model = make(quantizer=quantizer)
    model.initialize(spectrograms())
    assert len(model.quantizers) == 1
    with torch.no_grad():
        target = model.encoder.target(0, model.encoder.bottom_up(spectrograms())[0], None)
    assert float(target.std()) == pytest.approx(1, abs=0.05)
    names = {key.split("_")[0] for key in model.loss(spectrograms(), 0)}
    assert {"perplexity", "distortion", "latent"} <= names


def test_a_config_of_other_resolutions_is_refused() -> None:
    with pytest.raises(HqcodecError, match=r"resolutions \(8, 4\); spectrograms have \(4,\)"):
        make(resolutions=(8, 4), chain=(1, 2))


def test_softness_of_zero_is_refused() -> None:
    with pytest.raises(HqcodecError, match=r"soft 0; want more than 0"):
        make(soft=0)


def test_it_is_no_family_of_the_zoo() -> None:
    assert SpectrogramVAE.family not in zoo.FAMILIES
