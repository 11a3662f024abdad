"""The alpha plane comes back as it was, and hostile bytes do no harm."""

import lzma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqcodec.alpha import Plane, pack_alpha, unpack_alpha
from hqcodec.errors import FormatError

X, Y = np.meshgrid(np.arange(64), np.arange(48))
PLANES: dict[str, Plane] = {
    "constant": np.full((48, 64), 255, np.uint8),
    "mask": np.where((X - 30) ** 2 + (Y - 20) ** 2 < 300, 255, 0).astype(np.uint8),
    "rows": (X * 3 + Y % 2).astype(np.uint8),
    "columns": (Y * 5 + X * X).astype(np.uint8),
    "levels": (X // 16 * 80).astype(np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8),
}


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 256), st.integers(0, 1 << 32))
def test_unpack_inverts_pack(width: int, height: int, values: int, seed: int) -> None:
    plane = np.random.default_rng(seed).integers(0, values, (height, width), np.uint8)
    assert np.array_equal(unpack_alpha(pack_alpha(plane), width, height), plane)


@pytest.mark.parametrize("name", PLANES)
def test_pictures_survive_and_only_noise_grows(name: str) -> None:
    packed = pack_alpha(PLANES[name])
    restored = unpack_alpha(packed, 64, 48)
    assert np.array_equal(restored, PLANES[name])
    assert restored.flags.writeable
    assert len(packed) < (3100 if name == "noise" else 200)


def test_a_constant_plane_takes_two_bytes() -> None:
    assert pack_alpha(PLANES["constant"]) == b"\x00\xff"


def test_each_coding_is_chosen_where_it_is_the_smallest() -> None:
    chosen = {name: pack_alpha(plane)[0] for name, plane in PLANES.items()}
    assert set(chosen.values()) == {0, 1, 2, 3, 4}, chosen


@pytest.mark.parametrize("name", PLANES)
def test_every_truncation_is_a_format_error(name: str) -> None:
    packed = pack_alpha(PLANES[name])
    for cut in {*range(min(len(packed), 300)), len(packed) - 1}:
        with pytest.raises(FormatError):
            unpack_alpha(packed[:cut], 64, 48)


@pytest.mark.parametrize("name", ["mask", "rows"])
def test_flipped_bytes_raise_nothing_but_format_errors(name: str) -> None:
    packed = pack_alpha(PLANES[name])
    for at in range(len(packed)):
        damaged = bytearray(packed)
        damaged[at] ^= 0xFF
        try:  # the container's checksum finds what this cannot
            assert unpack_alpha(bytes(damaged), 64, 48).shape == (48, 64)
        except FormatError:
            pass


@pytest.mark.parametrize("name", PLANES)
def test_a_plane_of_another_size_is_a_format_error(name: str) -> None:
    packed = pack_alpha(PLANES[name])
    if name != "constant":
        for size in [(64, 47), (64, 49), (1, 1), (65_535, 4096)]:
            with pytest.raises(FormatError):
                unpack_alpha(packed, *size)
    with pytest.raises(FormatError):
        unpack_alpha(packed + b"\0", 64, 48)
    with pytest.raises(FormatError):
        unpack_alpha(packed, 0, 48)


def test_a_bomb_inflates_no_further_than_the_plane() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
    bomb = lzma.compress(bytes(5_000_000), format=lzma.FORMAT_RAW, filters=filters)
    with pytest.raises(FormatError, match="does not hold 3072 bytes"):
        unpack_alpha(b"\2" + bomb, 64, 48)


def test_bytes_of_each_coding_never_change_their_meaning() -> None:
    stored = b"\1\0\3\1\2\3\xff\0"  # LZMA2: a block of 3 + 1 bytes as they are, the end
    assert unpack_alpha(b"\0\7", 2, 2).tolist() == [[7, 7], [7, 7]]
    assert unpack_alpha(b"\1\5\6" + b"\1\0\0\x60\0", 2, 2).tolist() == [[5, 6], [6, 5]]
    assert unpack_alpha(b"\2" + stored, 2, 2).tolist() == [[1, 2], [3, 255]]
    assert unpack_alpha(b"\3" + stored, 2, 2).tolist() == [[1, 3], [3, 2]]
    assert unpack_alpha(b"\4" + stored, 2, 2).tolist() == [[1, 2], [4, 1]]
