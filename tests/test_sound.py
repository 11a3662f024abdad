"""The sound codec's model: shapes, prefixes, windows, the terms of its loss, a start that works."""

import math
from itertools import pairwise

import pytest
import torch

from hqcodec import entropy
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.quantize import EmaQuantizer, StochasticQuantizer, lloyd
from hqcodec.models.sound import Sound, SoundConfig
from hqcodec.models.sound_net import LowBand, Spectrum

TINY = {
    "hop": 32, "layers": 3, "codebook": 4, "dim": 4,
    "encoder_width": 8, "encoder_blocks": 1, "decoder_width": 8, "decoder_blocks": 1,
}  # fmt: skip


def tiny(**changes: object) -> Sound:
    torch.manual_seed(0)
    model = Sound(SoundConfig(**(TINY | changes)))  # type: ignore[arg-type]
    model.initialize(sounds(8, 3200))
    return model


def sounds(count: int, samples: int) -> torch.Tensor:
    """Tones of random pitch and level with noise: [count,1,samples]."""
    g = torch.Generator().manual_seed(3)
    pitch = 0.01 + 0.2 * torch.rand(count, 1, 1, generator=g)
    level = 0.5 * torch.rand(count, 1, 1, generator=g)
    tones = level * torch.sin(pitch * torch.arange(samples))
    return tones + 0.02 * torch.randn(count, 1, samples, generator=g)


def test_the_spectrum_of_a_sound_gives_the_sound_back() -> None:
    spectrum, x = Spectrum(32), sounds(2, 640)[:, 0]
    y = spectrum.synthesize(spectrum.analyze(x))
    # the first and last half window lack the windows that would lie beyond the ends
    inside = slice(64, -64)
    assert torch.allclose(x[:, inside], y[:, inside], atol=1e-5)


def test_all_coefficients_of_the_low_band_are_the_sound() -> None:
    band, x = LowBand(32, 32), sounds(2, 640)[:, 0]
    y = band.synthesize(band.analyze(x))
    inside = slice(16, -16)  # half a hop at each end lacks the frame beyond
    assert torch.allclose(x[:, inside], y[:, inside], atol=1e-4)


def test_the_lowest_coefficients_are_the_lowest_frequencies() -> None:
    time = torch.arange(3200)
    low, high = (torch.sin(math.pi * pitch * time)[None] for pitch in (0.1, 0.6))
    band = LowBand(32, 8)  # a quarter of all frequencies
    inside = slice(320, -320)
    kept, lost = band.synthesize(band.analyze(low)), band.synthesize(band.analyze(high))
    assert (kept - low)[:, inside].abs().max() < 0.05
    assert lost[:, inside].abs().max() < 0.05


def test_an_untrained_model_codes_the_low_band_and_leaves_less_over_with_each_layer() -> None:
    torch.manual_seed(1)
    model = Sound(SoundConfig(**(TINY | {"layers": 6, "codebook": 16})))  # type: ignore[arg-type]
    for p in model.decoder.body.parameters():
        torch.nn.init.zeros_(p)
    with torch.no_grad():
        model.decoder.body.end.bias.fill_(-20)  # silence from the network
    x = 0.1 * torch.sin(0.05 * torch.arange(9600)).expand(2, 1, -1).clone()
    model.eval().initialize(x)
    codes = model.encode(x)
    model.requires_grad_(False)
    errors = [float((model.decode(codes[:n]) - x).square().mean()) for n in (1, 3, 6)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.1 * float(x.square().mean())


def test_a_frames_spectrum_is_centred_on_the_frame() -> None:
    spectrum, x = Spectrum(32), torch.zeros(1, 320)
    x[0, 5 * 32 + 16] = 1  # the middle of frame 5
    energy = spectrum.analyze(x).abs().square().sum(1)[0]
    assert energy.argmax() == 5
    assert torch.allclose(energy[4], energy[6])


@pytest.mark.parametrize("quantizer", ["stochastic", "ema"])
@pytest.mark.parametrize(("channels", "samples"), [(1, 1), (2, 100), (3, 64)])
def test_sounds_of_any_length_and_number_of_channels_come_back(
    quantizer: str, channels: int, samples: int
) -> None:
    model = tiny(quantizer=quantizer).eval()
    x = sounds(2 * channels, samples).view(2, channels, samples)
    codes = model.encode(x)
    for layer, chosen in enumerate(codes):
        assert tuple(chosen.shape[1:]) == model.code_shape(layer, (channels, samples))
    for kept in range(1, 4):
        assert model.decode(codes[:kept], (channels, samples)).shape == x.shape
    alone = model.encode(x[:, :1])
    for both, one in zip(codes, alone, strict=True):
        assert torch.equal(both[:, :, :1], one)  # a channel does not see the others
    with pytest.raises(HqcodecError, match="4 layers; want 1 to 3"):
        model.decode([*codes, codes[0]])


def test_windows_with_a_margin_give_what_the_whole_sound_gives() -> None:
    model = tiny().eval()
    x, hop, margin = sounds(1, 64 * 32), 32, model.margin
    whole = model.encode(x)
    cut = model.encode(x[..., (20 - margin) * hop : (30 + margin) * hop])
    decoded = model.decode(whole)
    part = model.decode([layer[..., 20 - margin : 30 + margin] for layer in whole])
    for one, other in zip(whole, cut, strict=True):
        assert torch.equal(one[..., 20:30], other[..., margin : margin + 10])
    found = part[..., margin * hop : (margin + 10) * hop]
    assert torch.allclose(decoded[..., 20 * hop : 30 * hop], found, atol=1e-6)
    nearer = model.decode([layer[..., 20:30] for layer in whole])
    assert not torch.allclose(decoded[..., 20 * hop : 30 * hop], nearer, atol=1e-4)


@pytest.mark.parametrize("context", [0, 8])
def test_codes_come_back_through_the_coder_in_every_layer(context: int) -> None:
    model = tiny(context=context)
    model.calibrate(sounds(4, 640))
    model.eval()
    codes = [layer[0] for layer in model.encode(sounds(2, 999).view(1, 2, 999))]
    for n, layer in enumerate(codes):
        payload = entropy.pack(layer, model.tables(codes[:n], layer))
        current = torch.zeros(layer.shape, dtype=torch.int64)
        assert torch.equal(
            entropy.unpack(payload, current, model.tables(codes[:n], current)), layer
        )


def test_the_terms_of_the_loss_are_what_their_equations_say() -> None:
    model = tiny(complex=0.2, waveform=0.3).eval()
    x = sounds(3, 2080)
    with torch.no_grad():
        terms = model.loss(x, 0)
        z = model.encoder(x[:, 0])
        latent = entropy_ = 0.0
        for layer in range(3):
            q = model.quantizer(layer)
            assert isinstance(q, StochasticQuantizer)
            frames = z.transpose(1, 2).reshape(3, -1, 2, 1, 4)  # [B,frames,groups,1,D]
            off = (frames - q.codebook[None, None]).square().sum(-1)  # [B,frames,groups,K]
            p = (-off / (2 * q.variance())).softmax(-1)
            entropy_ -= float((p * p.log()).sum())
            z = z - q.decode(q.encode(z[:, :, None]))[:, :, 0]
            latent += float(z.square().sum() / (2 * q.variance()))
        assert math.isclose(float(terms["latent"]), latent / x.numel(), rel_tol=1e-4)
        assert math.isclose(float(terms["entropy"]), entropy_ / x.numel(), rel_tol=1e-3)
        total = []
        for kept in (1, 2):
            y = model.decode(model.encode(x)[:kept])[:, 0]
            mel, off, error = model._distances(y, x[:, 0])
            assert math.isclose(float(terms[f"mel_{kept}"]), float(mel.mean()), rel_tol=1e-4)
            total.append((mel + 0.2 * off + 0.3 * error).log().mean())
        found = float(terms["distortion"])
    assert math.isclose(found, float(sum(total) / 2), abs_tol=2e-3)
    whole = found + model.config.latent * float(terms["latent"] - terms["entropy"])
    assert math.isclose(float(terms["loss"]), whole, rel_tol=1e-5)


def test_commitment_is_the_loss_of_the_moving_averages() -> None:
    model = tiny(quantizer="ema", commitment=0.5).eval()
    x = sounds(2, 640)
    with torch.no_grad():
        z, total = model.encoder(x[:, 0])[:, :, None], 0.0
        for layer in range(3):
            z = z - model.quantizer(layer).decode(model.quantizer(layer).encode(z))
            total += 0.5 * float(z.square().sum())
        assert math.isclose(float(model.loss(x, 0)["latent"]), total / x.numel(), rel_tol=1e-4)


@pytest.mark.parametrize("quantizer", ["stochastic", "ema"])
def test_a_few_steps_lower_the_distortion(quantizer: str) -> None:
    model = tiny(quantizer=quantizer)
    x = sounds(8, 2080)
    before = model.eval().loss(x, 0)
    optimizer = torch.optim.Adam(model.parameter_groups(3e-3))
    model.train()
    for step in range(60):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model.loss(x, step)["loss"].backward()
        optimizer.step()
    after = model.eval().loss(x, 0)
    assert after["distortion"] < before["distortion"] - 0.05
    assert isinstance(model.quantizer(0), EmaQuantizer) == (quantizer == "ema")


def test_the_prior_learns_what_the_codes_are_like() -> None:
    model, x = tiny(context=8), sounds(8, 2080)
    before = model.eval().loss(x, 0)
    optimizer = torch.optim.Adam(model.prior.parameters(), lr=1e-2)
    for step in range(100):
        optimizer.zero_grad()
        model.loss(x, step)["prior"].backward()
        optimizer.step()
    after = model.eval().loss(x, 0)
    assert math.isclose(
        float(before["prior"].detach()), 6 * math.log(4) / 32, rel_tol=1e-5
    )  # uniform
    assert after["prior"] < 0.9 * before["prior"]
    assert after["kbps_2"] > after["kbps_1"] > 0


def test_no_gradient_of_the_prior_reaches_the_rest() -> None:
    model = tiny(context=4).train()
    model.loss(sounds(2, 640), 0)["prior"].backward()
    for name, p in model.named_parameters():
        assert (p.grad is not None) == name.startswith("prior."), name


def test_every_layer_starts_with_code_vectors_that_leave_less_over() -> None:
    model, x = tiny(), sounds(8, 3200)
    z = model.encoder(x[:, 0])[:, :, None]
    sizes = [z.square().mean()]
    for layer in range(3):
        z = z - model.quantizer(layer).decode(model.quantizer(layer).encode(z))
        sizes.append(z.square().mean())
    assert all(b < 0.9 * a for a, b in pairwise(sizes))


def test_k_means_finds_two_far_clusters() -> None:
    points = torch.tensor([0.0, 0.2, 5.0, 5.2]).view(1, 1, 1, 4)
    found = lloyd(points, torch.tensor([[[0.0], [1.0]]]), 5)
    assert torch.allclose(found.flatten(), torch.tensor([0.1, 5.1]), atol=1e-6)


def test_a_saved_model_is_the_same_and_wrong_configs_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = tiny(context=4).eval()
    zoo.save(model, tmp_path / "tiny.safetensors", "tiny", "for this test")
    again = zoo.load(tmp_path / "tiny.safetensors")
    x = sounds(2, 640)
    for one, other in zip(
        again.encode(x), zoo.load(tmp_path / "tiny.safetensors").encode(x), strict=True
    ):
        assert torch.equal(one, other)
    assert (again.kind, again.rate, again.margin) == ("sound", 24_000, model.margin)
    with pytest.raises(HqcodecError, match="quantizer 'vq'; known are stochastic, ema"):
        SoundConfig(quantizer="vq")
    with pytest.raises(HqcodecError, match="hop 5; want an even number"):
        SoundConfig(hop=5)
