"""The .hqc file of a sound: round trip, frozen bytes, hostile input."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import body, sealed
from hqcodec.container import ICC, Container, read, truncate, write
from hqcodec.content import Samples
from hqcodec.errors import FormatError
from hqcodec.limits import MAX_CHANNELS, MAX_RATE, MAX_SAMPLES, MAX_SECONDS, MIN_RATE

SMALL = Container(
    model="toy",
    weights_hash=b"\xde\xad\xbe\xef",
    content=Samples(channels=2, samples=100_000, rate=44_100),
    payloads=(b"ab", b"", b"cde"),
    chunks={},
)
HEADER = "485143 01 01 02 03 746f79 deadbeef a08d06 c4d802 00 03 02 00 03 6b365cc0"
GOLDEN = bytes.fromhex(HEADER + " 6162 6d48839e 6d48839e 636465 65d88785")
ENDS = [len(GOLDEN) - 7 - 4, len(GOLDEN) - 7, len(GOLDEN)]


@st.composite
def containers(draw: st.DrawFn) -> Container:
    rate, channels = draw(st.integers(MIN_RATE, MAX_RATE)), draw(st.integers(1, MAX_CHANNELS))
    most = min(MAX_SAMPLES, MAX_SECONDS * rate) // channels
    return Container(
        model=draw(st.from_regex(r"[a-z0-9._-]{1,32}", fullmatch=True)),
        weights_hash=draw(st.binary(min_size=4, max_size=4)),
        content=Samples(channels, draw(st.integers(0, most)), rate),
        payloads=tuple(draw(st.lists(st.binary(max_size=300), min_size=1, max_size=16))),
        chunks={},
    )


@given(containers())
def test_read_inverts_write(c: Container) -> None:
    assert read(write(c)) == c


def test_bytes_of_version_1_never_change() -> None:
    assert write(SMALL).hex() == GOLDEN.hex()
    assert read(GOLDEN) == SMALL


@pytest.mark.parametrize("cut", range(len(GOLDEN)))
def test_a_cut_file_holds_the_layers_that_are_whole(cut: int) -> None:
    whole = sum(end <= cut for end in ENDS)
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


@given(st.binary(max_size=99))
def test_random_bytes_are_a_format_error(noise: bytes) -> None:
    with pytest.raises(FormatError):
        read(b"HQC\x01\x01" + noise)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_truncation_keeps_bodies_and_promises_no_more(layers: int) -> None:
    short = truncate(SMALL, layers)
    assert read(write(short)) == short == replace(short, declared=layers)
    assert write(read(GOLDEN[: ENDS[layers - 1]])) == write(short)


def test_a_sound_without_samples_is_a_file() -> None:
    empty = replace(SMALL, content=Samples(8, 0, 8000), payloads=(b"",) * 16, declared=0)
    assert read(write(empty)) == empty
    assert empty.content == Samples(8, 0, 8000) and Samples(8, 0, 8000).seconds == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((0, 1, 8000), "0 channels; a sound has 1 to 8"),
        ((9, 1, 8000), "9 channels"),
        ((1, 1, 999), "999 samples a second; a sound has 1000 to 768000"),
        ((1, 1, 768_001), "768001 samples a second"),
        ((1, 131_072_001, 1000), "36.4 hours in all; .* at most .* 36 hours"),
        ((2, 65_536_001, 1000), "2 channels of 65536001 samples"),
        ((1, 1 << 32, 192_000), "at most 4294967295 samples"),
        ((8, 1 << 29, 768_000), "at most 4294967295 samples"),
    ],
)
def test_no_sound_can_be_what_no_file_can_hold(bad: tuple[int, int, int], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Samples(*bad)


def test_a_sound_has_no_chunks() -> None:
    with pytest.raises(FormatError, match="a sound with 1 chunks; it has none"):
        replace(SMALL, chunks={ICC: b""})


NAME = b"\x03toy" + bytes(4)
RATE = b"\xc0\x3e"  # 8000
LIES: dict[str, tuple[Any, ...]] = {
    "0 channels": (0, NAME, 1, RATE, 0, 1, 1),
    "9 channels": (9, NAME, 1, RATE, 0, 1, 1),
    "0 samples a second": (1, NAME, 1, 0, 0, 1, 1),
    "999 samples a second": (1, NAME, 1, b"\xe7\x07", 0, 1, 1),
    "4294967295 samples, 149": (1, NAME, b"\xff\xff\xff\xff\x0f", RATE, 0, 1, 1),
    "a sound with 1 chunks": (1, NAME, 1, RATE, 1, 1, 0, 1, 1),
    "model name 't/y'": (1, b"\x03t/y", bytes(4), 1, RATE, 0, 1, 1),
    "canonical": (1, NAME, b"\x81\x00", RATE, 0, 1, 1),
    "first layer": (1, NAME, 1, RATE, 0, 1, b"\xff\xff\xff\xff\x0f"),
}


@pytest.mark.parametrize("message", LIES)
def test_header_that_lies_is_a_format_error_even_with_a_good_checksum(message: str) -> None:
    contents = (b"", b"x") if "chunks" in message else (b"x",)
    with pytest.raises(FormatError, match=message):
        read(sealed(*LIES[message], bodies=body(*contents), kind=1))
    good = sealed(1, NAME, 1, RATE, 0, 1, 1, bodies=body(b"x"), kind=1)
    assert read(good).content == Samples(1, 1, 8000)
