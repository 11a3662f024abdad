"""The photo model's codes: how they are chosen, and their context models."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import logsigmoid

from hqcodec import entropy
from hqcodec.models.codebooks import grid_of
from hqcodec.models.photo import Photo
from hqcodec.models.photo_codes import pick, quantize
from photos import SMALL, pictures, small_photo


@pytest.fixture(scope="module")
def model() -> Photo:
    return small_photo()


@pytest.mark.parametrize("thrift", [0.0, 0.3, 3.0])
def test_the_pick_minimises_distance_plus_lambda_nats(model: Photo, thrift: float) -> None:
    """Few probabilities are worked out to choose a code, and the choice is that of all."""
    c, context, step = SMALL, model.context(1), model.context(1).steps[-1]
    torch.manual_seed(1)
    features, where = torch.randn(50, c.context), slice(0, 50)
    before = torch.randint(c.codebook, (50, c.scalars + c.vectors))
    number, book = len(context.steps) - 1, model.codebooks.get(1, 1)[step.start : step.end]
    some = torch.randn(50, len(book)) - 1
    r = torch.randn(50, len(book), c.vector) * c.quantizer_step(1)
    rate_lambda = thrift * c.rate_lambda(1)
    seen = number, features, before, where
    found = pick(context, seen, some, r, book, rate_lambda)
    all_of_them = torch.ones(50, len(book), dtype=torch.bool)
    which = context.which_logits(number, features, all_of_them, before, where).log_softmax(-1)
    which = which.view(len(book), 50, -1).movedim(1, 0)  # [n,g,K-1]
    log_p = torch.cat([logsigmoid(-some)[..., None], logsigmoid(some)[..., None] + which], -1)
    cost = (r[:, :, None] - book).square().sum(-1) - rate_lambda * log_p
    assert torch.equal(found, cost.argmin(-1))
    assert 0 < int((found > 0).sum()) <= found.numel()


def test_choosing_while_coding_gives_what_the_decoder_finds(model: Photo) -> None:
    x = pictures(1, 96)
    z, codes, same = model.analyze(x), [], 0
    for layer, expected in enumerate(model.encode(x)):
        current = torch.zeros(model.code_shape(layer, (96, 96)), dtype=torch.int64)
        payload = entropy.pack(current, model.choose_and_code(z, codes, current))
        assert payload == entropy.pack(current, model.tables(codes, current))
        decoded = torch.zeros_like(current)
        assert torch.equal(entropy.unpack(payload, decoded, model.tables(codes, decoded)), current)
        same += int((expected[0] == current).sum())
        codes.append(current)
    assert same >= 0.99 * sum(layer.numel() for layer in codes)  # `choose` computes in float


def test_the_context_models_pay_and_coded_size_is_their_cross_entropy(model: Photo) -> None:
    codes = [layer[0] for layer in model.encode(pictures(1, 256))]
    for layer, current in enumerate(codes):
        ideal = 0.0
        for batch in model.tables(codes[:layer], current):
            ideal += batch.bits(current)
        payload = entropy.pack(current, model.tables(codes[:layer], current))
        # zeros at the end are not stored, which may save some bits
        assert 0.95 * ideal <= 8 * len(payload) <= 1.01 * ideal + 8


def test_exact_tables_follow_the_float_network(model: Photo) -> None:
    x = pictures(1, 64)
    with torch.no_grad():
        z = model.encoder(x)
        y, chosen = torch.zeros_like(z), None
        for layer in range(2):
            chosen, nats = quantize(model, layer, z - y, y, chosen)
            codes = grid_of(chosen, (1, 4, 4))[0]
            before = [c[0] for c in model.encode(x, layer)] if layer else []
            exact = 0.0
            for batch in model.tables(before, codes):
                exact += batch.bits(codes) * math.log(2)
            assert exact == pytest.approx(float(nats.sum()), rel=0.01)
            y = y + grid_of(model.codebooks.lookup(layer, chosen), (1, 4, 4))


def test_static_order_sees_nothing_and_nearest_choice_ignores_rate() -> None:
    torch.manual_seed(0)
    plain = Photo(replace(SMALL, order="static", constrained=False))
    x = pictures(24, 64)
    plain.initialize(x)
    plain.eval().requires_grad_(False)
    codes = [layer[0] for layer in plain.encode(x[:1])]
    for layer, current in enumerate(codes):
        zeros = [torch.zeros_like(k) for k in codes[:layer]]
        pairs = zip(plain.tables(codes[:layer], current), plain.tables(zeros, current), strict=True)
        assert all(torch.equal(a.frequencies, b.frequencies) for a, b in pairs)
        for first in (0, 1):  # whether codes are 0, and which they are
            tables = plain.tables(zeros, current)
            rows = torch.cat([batch.frequencies for batch in tables if batch.first == first])
            assert len(rows.unique(dim=0)) <= SMALL.scalars + SMALL.vectors  # a table a group
    z = plain.analyze(x[:1])
    r = z[0, 0].flatten()[:, None]  # the first scalar
    nearest = (r - plain.codebooks.get(0, 0)[0].T).abs().argmin(1)
    assert torch.equal(plain.choose(z, [])[0, 0].flatten(), nearest)


def test_thrift_buys_fewer_bits_for_more_error(model: Photo) -> None:
    z = model.analyze(pictures(1, 128))
    found = []
    for thrift in (0.25, 1.0, 4.0):
        codes = model.choose(z, [], thrift)
        error = (z - model.latent([codes])).square().sum()
        found.append((int((codes > 0).sum()), float(error)))
    assert found[0][0] > found[1][0] > found[2][0] and found[0][1] < found[1][1] < found[2][1]


def test_context_models_that_train_alone_see_all_layers_of_all_samples_and_lower_the_rate() -> None:
    model = copy.deepcopy(small_photo())
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith("contexts."))
    x, optimizer = pictures(8, 64, seed=3), torch.optim.Adam(model.contexts.parameters(), 3e-3)
    found = []
    for _ in range(12):
        terms = model.train().loss(x, 0)
        assert set(terms) == {"loss", "bpp_1", "bpp_2", "bpp_3"}
        found.append(float(terms["loss"].detach()))
        assert float(terms["bpp_3"]) == pytest.approx(found[-1] / math.log(2) / 256, rel=1e-5)
        optimizer.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert found[-1] < 0.98 * found[0]


def test_precision_that_is_lowered_after_a_file_was_decoded_changes_no_table() -> None:
    model, before = copy.deepcopy(small_photo()), torch.get_float32_matmul_precision()
    codes = [layer[0] for layer in model.encode(pictures(1, 64), 2)]
    expected = [batch.frequencies for batch in model.tables(codes[:1], codes[1])]
    try:
        torch.set_float32_matmul_precision("medium")
        found = [batch.frequencies for batch in model.tables(codes[:1], codes[1])]
        weights = [p.dtype for p in model.exact("contexts")[1].past.parameters()]
    finally:
        torch.set_float32_matmul_precision(before)
    assert all(map(torch.equal, found, expected)) and len(found) == len(expected)
    assert set(weights) == {torch.float64}  # products no longer trust float32
    assert all(p.dtype == torch.float32 for p in model.exact("contexts").parameters())
