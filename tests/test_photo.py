"""The photo model: its transforms, its layers, its exact decoding."""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from hqcodec.errors import HqcodecError
from hqcodec.models import photo, photo_loss
from hqcodec.models.codebooks import grid_of, rows_of
from hqcodec.models.photo import Photo
from hqcodec.models.photo_start import entropy_constrained_kmeans, principal_components
from hqcodec.models.transforms import PhotoConfig, tiled
from photos import SMALL, pictures, small_photo


@pytest.fixture(scope="module")
def model() -> Photo:
    return small_photo()


def test_entry_zero_of_every_codebook_is_zero(model: Photo) -> None:
    for layer in range(SMALL.layers):
        for kind in range(2):
            assert not model.codebooks.get(layer, kind)[:, 0].any()


def test_the_linear_start_is_the_best_linear_transform() -> None:
    x = pictures(64, 32)
    components, mean = principal_components(x, 16, 40)
    torch.testing.assert_close(components @ components.T, torch.eye(40), rtol=0, atol=1e-4)
    patches = torch.nn.functional.unfold(x, 16, stride=16).movedim(1, -1).flatten(0, 1) - mean
    kept = (patches @ components.T).square().sum() / patches.square().sum()
    spectrum = torch.linalg.svdvals(patches).square()
    assert float(kept) == pytest.approx(float(spectrum[:40].sum() / spectrum.sum()), abs=1e-4)


def test_before_training_the_model_is_that_block_transform() -> None:
    torch.manual_seed(0)
    model = Photo(SMALL)
    x = pictures(32, 32)
    model.initialize(x)
    z = model.encoder(x)
    components, mean = principal_components(x, 16, SMALL.dim)
    patches = torch.nn.functional.unfold(x, 16, stride=16).movedim(1, -1).flatten(0, 1)
    torch.testing.assert_close(rows_of(z), (patches - mean) @ components.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(model.encoder(model.decoder(z)), z, rtol=0, atol=1e-3)


def test_kmeans_under_rate_lowers_its_lagrangian_and_keeps_zero() -> None:
    torch.manual_seed(0)
    r = torch.randn(1, 4000, 1) * 3
    codebook, p, values = entropy_constrained_kmeans(r, 16, 0.18)
    assert codebook[0, 0, 0] == 0
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    bits = -(p * p.log2()).sum()
    error = (r - values).square().mean()
    # Gish and Pierce: at high rate D = sigma^2 * pi e / 6 * 2^-2R at best for entropy-coded scalars
    best = 9 * 3.14159 * 2.71828 / 6 * 2 ** (-2 * float(bits))
    assert best * 0.9 < float(error) < best * 1.3


def test_kept_layers_decode_to_their_partial_sum(model: Photo) -> None:
    codes = model.encode(pictures(1, 48))
    total = torch.zeros(1, SMALL.dim, 3, 3, dtype=torch.float64)
    for layer in range(SMALL.layers):
        values = model.exact("codebooks").lookup(layer, rows_of(codes[layer]))
        total += grid_of(values, (1, 3, 3))
        torch.testing.assert_close(model.latent(codes[: layer + 1]), total, rtol=0, atol=0)


def test_each_layer_brings_the_decoded_picture_nearer(model: Photo) -> None:
    x = pictures(1, 96)
    codes = model.encode(x)
    errors = [
        float((model.decode(codes[:n]) - x).square().mean()) for n in range(1, SMALL.layers + 1)
    ]
    assert errors == sorted(errors, reverse=True)


def test_encoding_some_layers_gives_the_first_of_all(model: Photo) -> None:
    x = pictures(1, 40)
    both = zip(model.encode(x, 2), model.encode(x), strict=False)
    assert all(torch.equal(a, b) for a, b in both)


def test_codes_and_pixels_do_not_depend_on_threads(model: Photo) -> None:
    codes = model.encode(pictures(1, 128))
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        current = codes[1][0]
        tables = [b.frequencies for b in model.tables([codes[0][0]], current)]
        found.append([model.decode(codes), *tables])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_decoding_ignores_the_last_bit_of_the_float_networks_in_use(model: Photo) -> None:
    """Files are decoded with fixed-point weights; noise below their grid is nothing."""
    codes = model.encode(pictures(1, 64))
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, p in other.named_parameters():
            if not name.startswith("codebooks"):
                tie = torch.zeros_like(p, dtype=torch.bool)  # there, a hair decides
                for bits in range(17):  # whatever the grid of the layer
                    tie |= ((p * 2.0**bits).frac().abs() - 0.5).abs() < 1e-3
                p.copy_(torch.where(tie, p, p * (1 + 2.0**-23)))
    other.train().eval()  # forget the exact twins
    for layer in range(2):
        before, current = [k[0] for k in codes[:layer]], codes[layer][0]
        pairs = zip(model.tables(before, current), other.tables(before, current), strict=True)
        assert all(torch.equal(a.frequencies, b.frequencies) for a, b in pairs)


def test_tiles_leave_no_seam(model: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    x = pictures(1, 400)
    codes = model.encode(x)
    whole = model.decode(codes)
    monkeypatch.setattr(photo, "TILE", 3)
    assert torch.equal(model.decode(codes), whole)
    again = model.encode(x)
    changed = sum(int((a != b).sum()) for a, b in zip(codes, again, strict=True))
    assert changed <= 0.001 * sum(a.numel() for a in codes)  # float ties at most


def test_tiled_drops_the_margin_of_a_local_map() -> None:
    blur = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False).requires_grad_(False)
    x = torch.rand(1, 1, 20, 11)
    torch.testing.assert_close(tiled(blur, x, 4, 1, (1, 1)), blur(x))


def test_a_codebook_of_two_is_refused() -> None:
    with pytest.raises(HqcodecError, match="codebook 2; want 3 codes or more"):
        PhotoConfig(codebook=2)


def test_quantizer_steps_shrink_by_the_ratio() -> None:
    c = PhotoConfig()
    steps = [c.quantizer_step(layer) for layer in range(c.layers)]
    for a, b in pairwise(steps):
        assert a / b == pytest.approx(c.ratio, rel=0.01)
    assert c.rate_lambda(0) == pytest.approx(c.rate_weight * c.step**2, rel=0.01)


def test_samples_of_a_batch_keep_from_one_to_all_layers_or_those_that_are_asked_for() -> None:
    assert photo_loss.depths(6, SMALL).tolist() == [1, 1, 2, 2, 3, 3]
    assert photo_loss.depths(2, SMALL).tolist() == [2, 3]
    chosen = replace(SMALL, decoder_layers=(3, 2, 2, 1))
    assert photo_loss.depths(4, chosen).tolist() == [1, 2, 2, 3]
    assert photo_loss.depths(8, chosen).tolist() == [1, 1, 2, 2, 2, 2, 3, 3]
