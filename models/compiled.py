"""The compiled part of the package, c/, if it was built, and its range coder.

Without it everything works the same, by torch and `constriction`: codes become the same bytes, and
bytes the same codes. What is compiled is what tensors are bad at: a few hundred thousand binary
decisions and tables, each for a symbol of its own, and what leads up to them position by position.
"""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_float, c_int, c_int64, c_uint64, c_void_p
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from torch import Tensor

from hqcodec.errors import FormatError

NAME = "hqcodec.models._kernels"

BYTES = 16  # that an encoder may need besides 6 a code
TAPS = 9  # of a convolution, at most

WIDEST = 2  # kind of vectors that is tried, see c/product.c

enabled = True  # tests turn it off


class Coder(ctypes.Structure):
    """A range coder's state."""

    _fields_ = (
        *((name, c_uint64) for name in ("lower", "range", "point")),
        ("held", c_int64), ("first", c_uint64), ("bytes", c_void_p),
        *((name, c_int64) for name in ("at", "length")),
    )  # fmt: skip


class Convolution(ctypes.Structure):
    """See c/layer.h."""

    _fields_ = (
        *((name, c_int64) for name in ("kernel", "dilation", "parts", "part", "plane", "dim")),
        ("weight", c_void_p), ("bias", c_void_p), ("unit", c_float),
        *((name, c_int64) for name in ("channels", "hidden", "h", "w")),
        ("x", c_void_p * 2), ("apart", c_int64), ("more", c_void_p), ("n", c_int64),
        *((name, c_void_p) for name in ("where", "out", "padded")), ("behind", c_int64 * TAPS),
    )  # fmt: skip


class View(ctypes.Structure):
    """See c/layer.h."""

    _fields_ = (
        *((name, c_int64) for name in ("total", "scalars", "vectors", "size")),
        *((name, c_int64) for name in ("codebook", "layers")),
        *((name, c_void_p) for name in ("codes", "books", "looks", "own")),
        ("per_step", c_float), ("channels", c_int64), ("hidden", c_int64),
        *((name, c_void_p) for name in ("weight", "bias")), ("unit", c_float),
        *((name, c_void_p) for name in ("sum", "odds", "features")),
    )  # fmt: skip


class Step(ctypes.Structure):
    """See c/layer.h."""

    _fields_ = (
        *((name, c_int64) for name in ("channels", "groups", "ways", "size", "codebook")),
        *((name, c_int64) for name in ("group", "dim")),
        *((name, c_void_p) for name in ("here", "beside", "start")), ("hidden", c_int64),
        *((name, c_void_p) for name in ("middle_weight", "middle_bias")),
        *((name, c_void_p) for name in ("some_weight", "some_bias", "some_after")),
        ("padded", c_int64),
        *((name, c_void_p) for name in ("which_weight", "which_bias", "which_after")),
        *((name, c_void_p) for name in ("falls", "exponentials")), ("last", c_int64),
        *((name, c_void_p) for name in ("vectors", "norms", "look")), ("look_stride", c_int64),
        *((name, c_float) for name in ("middle_unit", "some_unit", "which_unit")),
        ("where", c_void_p), ("n", c_int64),
        *((name, c_int64) for name in ("mode", "total", "first")),
        *((name, c_void_p) for name in ("trunk", "near", "odds")), ("odds_stride", c_int64),
        *((name, c_void_p) for name in ("before", "codes", "latent", "sum")), ("dims", c_int64),
        ("known", c_void_p), ("known_stride", c_int64), ("known_rows", c_int64),
        ("rate_lambda", c_float),
    )  # fmt: skip


class Layer(ctypes.Structure):
    """See c/layer.h."""

    _fields_ = (
        *((name, c_int64) for name in ("mode", "h", "w", "groups", "dims", "chunk", "steps_count")),
        *((name, c_void_p) for name in ("steps", "view", "past")), ("known_rows", c_int64),
        *((name, c_void_p) for name in ("codes", "latent")), ("rate_lambda", c_float),
    )  # fmt: skip


FUNCTIONS: dict[str, tuple[Any, Any]] = {  # name -> types of its arguments and of its answer
    "start_decoder": ((POINTER(Coder),), None),
    "start_encoder": ((POINTER(Coder),), None),
    "finish_encoder": ((POINTER(Coder),), None),
    "use_vectors": ((c_int64,), c_int64),
    "code_layer": ((POINTER(Layer), POINTER(Coder), c_int64), c_int),
}
SIZES = {
    "size_of_coder": Coder, "size_of_convolution": Convolution, "size_of_view": View,
    "size_of_step": Step, "size_of_layer": Layer,
}  # fmt: skip


@cache
def library() -> ctypes.CDLL | None:
    """The compiled functions, None if the package was built without a compiler.

    Those of another system or of another version of the package count as none.
    """
    spec = find_spec(NAME)
    if spec is None or spec.origin is None:
        return None
    try:
        found = ctypes.CDLL(spec.origin)
        for name, (arguments, answer) in FUNCTIONS.items():
            function = getattr(found, name)
            function.argtypes, function.restype = arguments, answer
        same = all(getattr(found, name)() == ctypes.sizeof(kind) for name, kind in SIZES.items())
    except (OSError, AttributeError):
        return None
    if not same:
        return None
    found.use_vectors(WIDEST)
    return found


def available() -> bool:
    """Whether there are compiled functions, and they are wanted."""
    return enabled and library() is not None


def call(name: str, *arguments: Any) -> Any:
    """Call a function; ask `available` first. Raises what its answer stands for."""
    found = library()
    assert found is not None
    answer = getattr(found, name)(*arguments)
    if FUNCTIONS[name][1] is not c_int or not answer:
        return answer
    if answer == 1:
        raise FormatError("a layer does not decode under this model's tables")
    if answer == 2:
        raise MemoryError
    raise ValueError("codes outside of their codebook, or positions outside of the picture")


def at(x: Tensor | None) -> int | None:
    """Where a tensor lies, or None."""
    return None if x is None else x.data_ptr()


def all_at(tensors: Sequence[Tensor]) -> Any:
    """Where contiguous tensors lie, as an array."""
    assert all(x.is_contiguous() for x in tensors)
    return (c_void_p * len(tensors))(*map(at, tensors))


class Decoder:
    """A range decoder of one payload."""

    def __init__(self, payload: bytes) -> None:
        """The payload is kept, and read as it is asked for."""
        self._bytes = ctypes.create_string_buffer(payload, max(1, len(payload)))
        self.state = Coder(bytes=ctypes.addressof(self._bytes), length=len(payload))
        call("start_decoder", self.state)


class Encoder:
    """A range encoder of a layer of so many codes."""

    def __init__(self, codes: int) -> None:
        """Nothing is written yet."""
        self._bytes = np.empty(6 * codes + BYTES, np.uint8)  # most of which is never touched
        self.state = Coder(bytes=self._bytes.ctypes.data)
        call("start_encoder", self.state)

    def finish(self) -> bytes:
        """The payload, without zeros at the end."""
        if self.state.range != 2**64 - 1:  # or nothing was coded
            call("finish_encoder", self.state)
        return self._bytes[: self.state.at].tobytes().rstrip(b"\0")
