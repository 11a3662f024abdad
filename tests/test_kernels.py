"""Compiled functions give what tensors and `constriction` give, to the byte."""

import _ctypes
import random
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
from constriction import stream
from torch import Tensor

from hqcodec import entropy
from hqcodec.errors import FormatError
from hqcodec.models import compiled, kernels, steps
from hqcodec.models.narrow import Conv, Linear
from hqcodec.models.photo import Photo
from photos import SMALL, pictures, small_photo
from switches import without_compiled


@pytest.fixture(scope="module")
def model() -> Photo:
    return small_photo()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def random_codes(model: Photo, size: tuple[int, int], zeros: float = 0.7) -> list[Tensor]:
    """Codes [groups,h,w] that no model would call likely."""
    codes = []
    for layer, spec in enumerate(model.layers):
        shape = model.code_shape(layer, size)
        some = torch.rand(shape) > zeros
        codes.append(torch.randint(1, spec.codebook, shape) * some)
    return codes


def by_tensors(model: Photo, codes: list[Tensor], current: Tensor) -> bytes:
    return entropy.pack(current, model.tables(codes, current))


def test_they_are_built_where_there_is_a_compiler() -> None:
    assert compiled.library() is not None and compiled.available()
    with without_compiled():
        assert not compiled.available()


def test_those_of_another_version_or_system_count_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "text.so").write_text("no library")
    here = compiled.library()
    assert here is not None
    with monkeypatch.context() as patched:
        patched.setattr(compiled, "SIZES", {"size_of_step": compiled.View})
        assert compiled.library.__wrapped__() is None
    for origin in (str(tmp_path / "text.so"), _ctypes.__file__):
        with monkeypatch.context() as patched:
            patched.setattr(
                compiled, "find_spec", lambda _, o=origin: ModuleSpec("", None, origin=o)
            )
            assert compiled.library.__wrapped__() is None
    assert compiled.library.__wrapped__() is not None


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 200), (203, 90)])
def test_payloads_are_those_of_the_tables_and_decode_either_way(
    model: Photo, size: tuple[int, int]
) -> None:
    codes = random_codes(model, size)
    for layer, current in enumerate(codes):
        payload = model.pack(codes[:layer], current)
        assert payload == by_tensors(model, codes[:layer], current)
        for _ in range(2):
            decoded = torch.full_like(current, 3)  # of which nothing may be left
            found = entropy.unpack_layer(model, payload, codes[:layer], decoded)
            assert torch.equal(found, current) and found.data_ptr() == decoded.data_ptr()
            with without_compiled():
                assert not model.unpack(payload, codes[:layer], decoded)
                assert entropy.pack_layer(model, codes[:layer], current) == payload


@pytest.mark.parametrize(
    "changes",
    [
        {"order": "static"},
        {"order": "checkerboard", "codebook": 3},
        {"codebook": 40, "vector": 3, "context": 20, "first_context": 33},
        {"scalars": 17, "vectors": 33, "strong": 17, "vector": 1, "codebook": 5},
        {"codebook": 150},
    ],
    ids=["no contexts", "checkerboard", "odd widths", "many groups", "many codes"],
)
def test_so_they_are_for_models_of_any_shape(changes: dict[str, object]) -> None:
    model = Photo(replace(SMALL, **changes))  # type: ignore[arg-type]
    for p in model.contexts.parameters():
        p.data.add_(0.1 * torch.randn_like(p))
    codes = random_codes(model.eval(), (130, 70), zeros=0.5)
    for layer, current in enumerate(codes):
        payload = entropy.pack_layer(model, codes[:layer], current)
        assert payload == by_tensors(model, codes[:layer], current)
        decoded = torch.zeros_like(current)
        assert torch.equal(entropy.unpack_layer(model, payload, codes[:layer], decoded), current)


def test_so_they_are_for_the_largest_weights_that_sums_leave_room_for() -> None:
    model = Photo(SMALL)
    for context in map(model.context, range(SMALL.layers)):
        for layer in context.modules():
            if isinstance(layer, Conv | Linear):
                layer.weight.data[0] = 0
                layer.weight.data[0].view(-1)[:2] = torch.tensor([63.7, -63.7])
    codes, most = random_codes(model.eval(), (100, 70), zeros=0.5), 0
    for layer, current in enumerate(codes):
        payload = entropy.pack_layer(model, codes[:layer], current)
        assert payload == by_tensors(model, codes[:layer], current)
        contexts: list[kernels.CompiledContext] = model.exact("kernels")
        most = max(most, *(int(each.weight.abs().max()) for each in contexts[layer].middle))
    assert most > 2**13  # of the 2^15 there are


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_so_they_are_on_processors_of_every_kind(kind: int) -> None:
    library = compiled.library()
    assert library is not None
    model = Photo(replace(SMALL, context=20, first_context=33)).eval()
    codes = random_codes(model, (100, 70), zeros=0.5)
    try:
        used = library.use_vectors(kind)  # what there is here
        assert 0 <= used <= kind
        for layer, current in enumerate(codes):
            payload = entropy.pack_layer(model, codes[:layer], current)
            assert payload == by_tensors(model, codes[:layer], current)
    finally:
        library.use_vectors(compiled.WIDEST)


def test_so_they_are_on_more_threads_than_there_are_processors(model: Photo) -> None:
    codes, before = random_codes(model, (203, 190)), torch.get_num_threads()
    try:
        torch.set_num_threads(7)
        for layer, current in enumerate(codes):
            payload = entropy.pack_layer(model, codes[:layer], current)
            assert payload == by_tensors(model, codes[:layer], current)
            decoded = torch.zeros_like(current)
            entropy.unpack_layer(model, payload, codes[:layer], decoded)
            assert torch.equal(decoded, current)
    finally:
        torch.set_num_threads(before)


def test_a_layer_may_come_in_many_pieces(model: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "CHUNK", 7)
    codes = random_codes(model, (100, 90))
    for layer, current in enumerate(codes):
        payload = entropy.pack_layer(model, codes[:layer], current)
        assert payload == by_tensors(model, codes[:layer], current)
        decoded = torch.zeros_like(current)
        assert torch.equal(entropy.unpack_layer(model, payload, codes[:layer], decoded), current)


def test_carries_run_through_words_that_were_held_back(model: Photo) -> None:
    codes, held = random_codes(model, (600, 400), zeros=0.1), 0
    encoder = stream.queue.RangeEncoder()
    tables = stream.model.Categorical(perfect=False)
    for batch in model.tables([], codes[0]):
        symbols = batch.symbols(codes[0]).to(torch.int32).numpy()
        for symbol, row in zip(symbols, batch.frequencies.numpy(), strict=True):
            encoder.encode(symbol[None], tables, row[None])
            _, (lower, width) = encoder.pos()
            held += lower + width > 2**64
    assert held > 0
    assert model.pack([], codes[0]) == by_tensors(model, [], codes[0])


@pytest.mark.parametrize("order", ["lattices", "static"])
def test_codes_are_chosen_as_by_tensors_but_for_ties(order: str) -> None:
    model = small_photo() if order == "lattices" else Photo(replace(SMALL, order=order)).eval()
    x, codes, other = pictures(1, 400), list[Tensor](), 0
    z = model.analyze(x)
    for layer in range(SMALL.layers):
        ours = torch.zeros(model.code_shape(layer, (400, 400)), dtype=torch.int64)
        theirs = ours.clone()
        payload = entropy.pack_chosen(model, z, codes, ours, 0.5)
        with without_compiled():
            entropy.pack_chosen(model, z, codes, theirs, 0.5)
        assert payload == by_tensors(model, codes, ours)
        other += int((ours != theirs).sum())
        assert 0.05 < float((ours > 0).float().mean()) < 0.95
        codes.append(ours)
    assert other <= 0.001 * sum(layer.numel() for layer in codes)


def test_wrong_bytes_decode_to_the_same_wrong_codes_or_to_the_same_error(model: Photo) -> None:
    dice, outcomes = random.Random(0), set()
    codes = random_codes(model, (64, 64))
    for length in (0, 1, 2, 3, 5, 8, 13, 200, 2000):
        for layer in range(2):
            payload = dice.randbytes(length) if length != 5 else b"\xff" * 50
            found: list[Tensor | None] = []
            for switch in (compiled.available, without_compiled):
                current = torch.zeros_like(codes[layer])
                try:
                    if switch is without_compiled:
                        with without_compiled():
                            entropy.unpack_layer(model, payload, codes[:layer], current)
                    else:
                        entropy.unpack_layer(model, payload, codes[:layer], current)
                    found.append(current)
                except FormatError:
                    found.append(None)
            ours, theirs = found
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                assert torch.equal(ours, theirs)
            outcomes.add(ours is None)
    assert outcomes == {True, False}


@pytest.mark.parametrize("wrong", [-1, SMALL.codebook, 2**40])
def test_codes_outside_of_their_codebook_are_refused(model: Photo, wrong: int) -> None:
    codes = random_codes(model, (64, 64))
    for layer in range(2):
        bad = [k.clone() for k in codes]
        bad[layer][2, 1, 1] = wrong
        with pytest.raises(ValueError, match="outside of their codebook"):
            model.pack(bad[:1], bad[1])
