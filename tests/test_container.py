"""The .hqc file: round trip, frozen bytes, hostile input."""

import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import body, sealed
from hqcodec import metadata
from hqcodec.container import ALPHA, EXIF, ICC, Container, read, truncate, write
from hqcodec.content import MODES, Pixels, Samples
from hqcodec.errors import FormatError, HqcodecError
from hqcodec.limits import MAX_PIXELS, MAX_SIDE

SMALL = Container(
    model="toy",
    weights_hash=b"\xde\xad\xbe\xef",
    content=Pixels(200, 3, "RGBA"),
    payloads=(b"ab", b"", b"cde"),
    chunks={EXIF: b"e", ALPHA: b"\x00\xff"},
)
HEADER = "485143 01 00 03 03 746f79 deadbeef c801 03 02 0201 0302 03 02 00 03 387adcea"
BODIES = "65 5a7adaef 00ff 543f5f9c 6162 5f6132f6 5f6132f6 636465 02f5485a"
GOLDEN = bytes.fromhex(HEADER + BODIES)
ENDS = [len(GOLDEN) - 17, len(GOLDEN) - 7 - 4, len(GOLDEN) - 7, len(GOLDEN)]


@st.composite
def containers(draw: st.DrawFn) -> Container:
    mode = draw(st.sampled_from(MODES))
    width = draw(st.integers(1, MAX_SIDE))
    height = draw(st.integers(1, min(MAX_SIDE, MAX_PIXELS // width)))
    chunks = draw(st.dictionaries(st.sampled_from([ICC, EXIF]), st.binary(max_size=300)))
    return Container(
        model=draw(st.from_regex(r"[a-z0-9._-]{1,32}", fullmatch=True)),
        weights_hash=draw(st.binary(min_size=4, max_size=4)),
        content=Pixels(width, height, mode),
        payloads=tuple(draw(st.lists(st.binary(max_size=300), min_size=1, max_size=64))),
        chunks=chunks | ({ALPHA: draw(st.binary(max_size=9))} if "A" in mode else {}),
    )


@given(containers())
def test_read_inverts_write(c: Container) -> None:
    assert read(write(c)) == c


def test_bytes_of_version_1_never_change() -> None:
    assert write(SMALL).hex() == GOLDEN.hex()
    assert read(GOLDEN) == SMALL


def test_a_small_picture_does_not_drown_in_its_header() -> None:
    c = replace(SMALL, content=Pixels(200, 3, "RGB"), chunks={}, payloads=(b"",) * 6, declared=0)
    assert len(write(c)) == 29 + 6 * 4


@pytest.mark.parametrize("cut", range(len(GOLDEN)))
def test_a_cut_file_holds_the_layers_that_are_whole(cut: int) -> None:
    whole = sum(end <= cut for end in ENDS[1:])
    if not whole:
        with pytest.raises(FormatError, match=r"cut off|empty|not a"):
            read(GOLDEN[:cut])
    else:
        assert read(GOLDEN[:cut]) == replace(SMALL, payloads=SMALL.payloads[:whole], declared=3)


@pytest.mark.parametrize("at", range(len(GOLDEN)))
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_a_format_error(at: int, flip: int) -> None:
    damaged = bytearray(GOLDEN)
    damaged[at] ^= flip
    with pytest.raises(FormatError):
        read(bytes(damaged))


@given(st.binary(max_size=99), st.booleans())
def test_random_bytes_are_a_format_error(noise: bytes, with_magic: bool) -> None:
    with pytest.raises(FormatError):
        read(b"HQC\x01\x00" + noise if with_magic else noise)


def test_bodies_cannot_change_places() -> None:
    c = replace(
        SMALL, content=Pixels(200, 3, "RGB"), chunks={}, payloads=(b"ab", b"cd"), declared=0
    )
    one, two = body(b"ab", b"cd")[:6], body(b"ab", b"cd")[6:]
    header = write(c)[: -len(one + two)]
    assert read(header + one + two) == c
    with pytest.raises(FormatError, match="checksum"):
        read(header + two + one)
    with pytest.raises(FormatError, match="checksum"):
        read(header + body(b"cd")[:6] + two)


def test_bytes_behind_the_end_are_a_format_error() -> None:
    with pytest.raises(FormatError, match="1 bytes follow"):
        read(GOLDEN + b"\0")


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_truncation_keeps_bodies_and_promises_no_more(layers: int) -> None:
    short = truncate(SMALL, layers)
    assert read(write(short)) == short == replace(short, declared=layers)
    kept = GOLDEN[len(bytes.fromhex(HEADER)) : ENDS[layers]]
    assert write(short).endswith(kept)
    assert write(read(GOLDEN[: ENDS[layers]])) == write(short)


@pytest.mark.parametrize("layers", [-1, 0, 4])
def test_truncation_to_layers_that_are_not_there_is_an_error(layers: int) -> None:
    with pytest.raises(HqcodecError, match=f"^{layers} layers; the file has 1 to 3$"):
        truncate(SMALL, layers)


@pytest.mark.parametrize(
    "bad",
    [
        {"model": ""},
        {"model": "a" * 33},
        {"model": "Caps"},
        {"model": "caf\xe9"},
        {"model": "toy\n"},
        {"weights_hash": b"abc"},
        {"content": Pixels(200, 3, "RGB")},
        {"content": Samples(1, 2, 8000)},
        {"chunks": {}},
        {"chunks": {0: b"", ALPHA: b""}},
        {"chunks": {4: b"", ALPHA: b""}},
        {"payloads": ()},
        {"payloads": (b"",) * 65, "declared": 0},
        {"declared": 2},
        {"declared": 65},
    ],
    ids=str,
)
def test_no_container_can_hold_what_no_file_can(bad: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        replace(SMALL, **bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((0, 1, "L"), "0x1 pixels"),
        ((1, 65_536, "L"), "1x65536 pixels"),
        ((16_384, 16_385, "L"), "at most"),
        ((1, 1, "CMYK"), "mode 'CMYK'; known are L, LA, RGB, RGBA"),
    ],
)
def test_no_picture_can_be_what_no_file_can_hold(bad: tuple[Any, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Pixels(*bad)


NAME = b"\x03toy" + bytes(4)
LIES = {
    "mode 4": sealed(4, NAME, 1, 1, 0, 1, 1, bodies=body(b"x")),
    "model name ''": sealed(2, 0, bytes(4), 1, 1, 0, 1, 1, bodies=body(b"x")),
    "model name 't/y'": sealed(2, b"\x03t/y", bytes(4), 1, 1, 0, 1, 1, bodies=body(b"x")),
    "0x1 pixels": sealed(2, NAME, 0, 1, 0, 1, 1, bodies=body(b"x")),
    "65536x1 pixels": sealed(2, NAME, b"\x80\x80\x04", 1, 0, 1, 1, bodies=body(b"x")),
    "at most 268435456": sealed(2, NAME, b"\xff\xff\x03" * 2, 0, 1, 1, bodies=body(b"x")),
    "canonical": sealed(2, NAME, b"\x81\x00", 1, 0, 1, 1, bodies=body(b"x")),
    "canonical form": sealed(2, NAME, 1, 1, 0, 1, b"\x80\x80\x80\x80\x10", bodies=body(b"x")),
    "not in canonical": sealed(2, NAME, 1, 1, 0, 1, b"\xff" * 5, bodies=body(b"x")),
    "tag 4": sealed(2, NAME, 1, 1, 1, 4, 1, 1, 1, bodies=body(b"x", b"y")),
    r"tags \[2, 1\]": sealed(2, NAME, 1, 1, 2, 2, 1, 1, 1, 1, 1, bodies=body(b"x", b"y", b"z")),
    r"tags \[1, 1\]": sealed(2, NAME, 1, 1, 2, 1, 1, 1, 1, 1, 1, bodies=body(b"x", b"y", b"z")),
    "at most 8": sealed(2, NAME, 1, 1, 9, b"\1\0" * 9, 1, 1, bodies=body(*[b""] * 9, b"z")),
    "no alpha": sealed(3, NAME, 1, 1, 0, 1, 1, bodies=body(b"x")),
    "an alpha": sealed(2, NAME, 1, 1, 1, 3, 1, 1, 1, bodies=body(b"x", b"y")),
    "0 layers": sealed(2, NAME, 1, 1, 0, 0),
    "65 layers": sealed(2, NAME, 1, 1, 0, 65, b"\0" * 65, bodies=body(*[b""] * 65)),
    "first layer": sealed(2, NAME, 1, 1, 0, 1, b"\xff\xff\xff\xff\x0f", bodies=body(b"x")),
}


@pytest.mark.parametrize("message", LIES)
def test_header_that_lies_is_a_format_error_even_with_a_good_checksum(message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(LIES[message])


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 0x89, r"^not a \.hqc file: starts with b'\\x89QC'$"),
        (3, 2, "^format version 2; this hqcodec reads up to 1$"),
        (4, 2, "^content of kind 2; this hqcodec reads 0, pictures, and 1, sounds$"),
        (10, 0, "^damaged: the header does not match its checksum$"),
    ],
)
def test_errors_say_what_was_found_and_what_is_right(at: int, value: int, message: str) -> None:
    changed = bytearray(GOLDEN)
    changed[at] = value
    with pytest.raises(FormatError, match=message):
        read(bytes(changed))


@given(st.binary(max_size=2000))
def test_metadata_survives(data: bytes) -> None:
    assert metadata.unpack_metadata(metadata.pack_metadata(data)) == data


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"not zlib",
        zlib.compress(b"icc")[:-1],
        zlib.compress(b"icc") + b"\0",
        zlib.compress(bytes(metadata.MAX_METADATA + 1)),
    ],
    ids=["empty", "noise", "cut", "tail", "bomb"],
)
def test_metadata_that_is_damaged_or_a_bomb_is_a_format_error(bad: bytes) -> None:
    with pytest.raises(FormatError):
        metadata.unpack_metadata(bad)


def test_metadata_has_room_for_16_mib_and_no_more() -> None:
    largest = bytes(metadata.MAX_METADATA)
    assert metadata.unpack_metadata(metadata.pack_metadata(largest)) == largest
    with pytest.raises(FormatError, match="at most 16777216 fit"):
        metadata.pack_metadata(largest + b"\0")
