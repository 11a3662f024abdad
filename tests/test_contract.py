"""The contract of models/base.py, over every configuration of every family."""

import math

import pytest
import torch
from torch import Tensor

from families import MODELS, crops, examples, make, pictures
from hqcodec.models import zoo
from hqcodec.models.base import SOFT, TOTAL, Model

SIZES = (1, 1), (1, 7), (33, 17), (16, 16)


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> Model:
    return make(name)


@pytest.mark.parametrize("size", SIZES)
def test_codes_have_the_promised_shape_and_range(model: Model, size: tuple[int, int]) -> None:
    codes = model.encode(examples(model, 2, size))
    assert len(codes) == len(model.layers)
    for n, (layer, spec) in enumerate(zip(codes, model.layers, strict=True)):
        assert layer.dtype == torch.int64
        assert tuple(layer.shape) == (2, *model.code_shape(n, size))
        assert layer.min() >= 0 and layer.max() < spec.codebook


@pytest.mark.parametrize("size", SIZES)
def test_every_prefix_decodes_to_the_right_size(model: Model, size: tuple[int, int]) -> None:
    x = examples(model, 2, size)
    codes, lowest = model.encode(x), 0 if model.kind == "picture" else -1
    for kept in range(1, len(codes) + 1):
        x_hat = model.decode(codes[:kept], size)
        assert x_hat.shape == x.shape
        assert x_hat.min() >= lowest and x_hat.max() <= 1
        whole = model.decode(codes[:kept])
        assert whole.shape == model.pad(x).shape
        assert torch.equal(whole[..., : size[0], : size[1]], x_hat)


def test_a_batch_encodes_as_its_pictures_do_one_by_one(model: Model) -> None:
    x = examples(model, 3, (24, 40))
    single = [model.encode(alone[None]) for alone in x]
    for layer, *alone in zip(model.encode(x), *single, strict=True):
        assert torch.equal(layer, torch.cat(alone))


def test_encoding_fewer_layers_gives_the_first_of_all(model: Model) -> None:
    x = examples(model, 1, (24, 40))
    codes = model.encode(x)
    for layers in range(1, len(codes) + 1):
        fewer = model.encode(x, layers)
        assert len(fewer) == layers
        assert all(torch.equal(a, b) for a, b in zip(fewer, codes[:layers], strict=True))


def test_training_mode_does_not_change_what_encode_gives(model: Model) -> None:
    x = examples(model, 2, (16, 16))
    expected = model.encode(x)
    model.train()
    again = model.encode(x), model.encode(x)
    model.eval()
    for codes in again:
        assert all(torch.equal(a, b) for a, b in zip(codes, expected, strict=True))


def test_tables_name_each_code_once_with_whole_frequencies_of_the_right_sum(model: Model) -> None:
    codes = [layer[0] for layer in model.encode(examples(model, 1, (33, 17)))]
    for n, (layer, spec) in enumerate(zip(codes, model.layers, strict=True)):
        named = []
        for batch in model.tables(codes[:n], layer):
            f, flat = batch.frequencies, layer.flatten()[batch.where]
            assert f.dtype == torch.float64 and f.dim() == 2 and len(f) in (1, len(flat))
            assert torch.equal(f, f.round()) and f.min() >= 0
            assert bool((f.sum(1) == TOTAL - f.shape[1]).all())
            last = batch.first + f.shape[1] - 1
            assert last < spec.codebook and int(flat.min()) >= batch.first
            # the last symbol may stand for greater codes too, which a later batch names
            settled = flat < last if last < spec.codebook - 1 else torch.ones_like(flat).bool()
            named += torch.arange(layer.numel())[batch.where][settled].tolist()
        assert sorted(named) == list(range(layer.numel()))


def test_tables_do_not_peek_at_codes_that_were_not_yet_decoded(model: Model) -> None:
    codes = [layer[0] for layer in model.encode(examples(model, 1, (33, 17)))]
    for n, layer in enumerate(codes):
        revealed = torch.zeros_like(layer)
        known = model.tables(codes[:n], layer)
        for batch, twin in zip(model.tables(codes[:n], revealed), known, strict=True):
            place = torch.arange(layer.numel())
            assert torch.equal(place[batch.where], place[twin.where])
            assert torch.equal(batch.frequencies, twin.frequencies)
            revealed.view(-1)[batch.where] = batch.symbols(layer) + batch.first  # as when decoding
        assert torch.equal(revealed, layer)


def test_saved_weights_give_the_same_codes_tables_and_pictures(name: str, model: Model) -> None:
    x = examples(model, 1, (16, 24))
    torch.manual_seed(5)
    twin = MODELS[name]().eval()
    twin.load_state_dict(model.state_dict())
    assert_same(model, twin, model.encode(x))
    pairs = zip(twin.encode(x), model.encode(x), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_decoding_codes_never_reads_what_is_called_a_transform(name: str, model: Model) -> None:
    codes, twin = model.encode(examples(model, 1, (16, 24))), make(name)
    unread = [k for k in twin.state_dict() if k.startswith(model.transform_prefixes)]
    for prefix in model.transform_prefixes:
        assert any(key.startswith(prefix) for key in unread), prefix
    fill(twin, unread)
    assert_same_tables(model, twin, codes)


def test_decoding_pictures_reads_no_transform_but_the_decoder(name: str, model: Model) -> None:
    codes, twin = model.encode(examples(model, 1, (16, 24))), make(name)
    prefixes = tuple(p for p in model.transform_prefixes if p != zoo.DECODER)
    fill(twin, [key for key in twin.state_dict() if key.startswith(prefixes)])
    assert_same(model, twin, codes)


def fill(model: Model, keys: list[str]) -> None:
    """Spoil weights."""
    with torch.no_grad():
        for key in keys:
            model.state_dict()[key].fill_(7)


def assert_same(model: Model, twin: Model, codes: list[Tensor]) -> None:
    """Both decode the codes of every prefix alike, and code them with the same tables."""
    for n in range(len(codes)):
        assert torch.equal(model.decode(codes[: n + 1]), twin.decode(codes[: n + 1]))
    assert_same_tables(model, twin, codes)


def assert_same_tables(model: Model, twin: Model, codes: list[Tensor]) -> None:
    """Both code the codes with the same tables."""
    first = [layer[0] for layer in codes]
    for n in range(len(codes)):
        pairs = zip(
            model.tables(first[:n], first[n]), twin.tables(first[:n], first[n]), strict=True
        )
        assert all(torch.equal(a.frequencies, b.frequencies) for a, b in pairs)


def test_the_loss_is_a_finite_scalar_whose_gradient_reaches_every_parameter(name: str) -> None:
    model = make(name).train()
    for stage in range(model.stages):
        terms = model.loss(crops(model, 2), stage * model.stage_steps)
        assert all(value.shape == () and bool(value.isfinite()) for value in terms.values())
        terms["loss"].backward()  # type: ignore[no-untyped-call]
    without = [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


def test_every_model_of_pictures_reports_lpips_when_the_trainer_asks(name: str) -> None:
    model = make(name).train()
    if model.kind != "picture":
        model.perceptual = lambda x, y: torch.full((2,), float("nan"))  # nobody asks it
        assert not {"lpips", "log_lpips"} & model.loss(crops(model, 2), 0).keys()
        return
    model.perceptual = lambda x, y: (x - y).abs().mean((1, 2, 3))
    terms = model.loss(pictures(6, (32, 32)), 0)
    assert terms["lpips"].requires_grad
    assert 0 < terms["lpips"].item() < 1
    assert terms["log_lpips"].requires_grad
    assert terms["log_lpips"].item() <= math.log(terms["lpips"].item() + SOFT) + 1e-6  # Jensen


def test_the_way_between_two_pictures_begins_and_ends_with_their_codes(model: Model) -> None:
    x, y = examples(model, 2, (24, 40)).split(1)
    way = model.interpolate(x, y, 4)
    assert (way is None) == (model.family in ("photo", "sound"))
    for layer, first, last in zip(
        way or (), model.encode(x), model.encode(y), strict=way is not None
    ):
        assert torch.equal(layer[0], first[0]) and torch.equal(layer[-1], last[0])
        assert layer.shape == (4, *first.shape[1:]) and layer.dtype == torch.int64
