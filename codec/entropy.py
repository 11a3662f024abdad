"""Codes <-> payload, by range coding (Martin 1979) through `constriction`.

The frequencies are whole numbers in float64 that sum to 2^24 - K. For such weights constriction's
`Categorical(perfect=False)` gives symbol k exactly the probability (f_k + 1) / 2^24, whatever the
machine, the version of a maths library or the width of the float; for others it rounds. The coder
never notices wrong bytes: lengths and checksums are the container's to keep.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from constriction import stream  # its submodules are attributes, not importable by path
from torch import Tensor

from hqcodec.errors import FormatError
from hqcodec.models.base import Batch, Model, count


def pack(codes: Tensor, batches: Iterable[Batch]) -> bytes:
    """Code `codes` [groups,h,w] in the order and under the frequencies of `batches`.

    `codes` is read for a batch when it has been drawn; so `batches` may still be choosing them.
    """
    encoder = stream.queue.RangeEncoder()
    for batch in batches:
        symbols = batch.symbols(codes).to(torch.int32).numpy()
        if len(batch.frequencies) == 1:
            encoder.encode(symbols, _shared(batch))
        else:
            encoder.encode(symbols, _family(), batch.frequencies.numpy())
    # the decoder reads zeros behind the end, so zeros at the end need not be kept
    return bytes(encoder.get_compressed().astype("<u4").tobytes().rstrip(b"\0"))


def unpack(payload: bytes, codes: Tensor, batches: Iterable[Batch]) -> Tensor:
    """Inverse of `pack`: fills in and returns `codes` [groups,h,w], from which `batches` reads on.

    Raises FormatError where the payload cannot have come from `pack` (most wrong payloads decode
    to wrong codes instead; the container's checksum is what tells).
    """
    words = np.frombuffer(payload + bytes(-len(payload) % 4), "<u4").astype(np.uint32)
    decoder = stream.queue.RangeDecoder(words)
    flat = codes.view(-1)
    for batch in batches:
        try:
            if len(batch.frequencies) == 1:
                symbols = decoder.decode(_shared(batch), count(batch.where))
            else:
                symbols = decoder.decode(_family(), batch.frequencies.numpy())
        except AssertionError as error:  # what constriction raises on impossible data
            raise FormatError("a layer does not decode under this model's tables") from error
        flat[batch.where] = torch.from_numpy(symbols.astype(np.int64)).add_(batch.first)
    return codes


def pack_chosen(
    model: Model, analysis: Any, codes: Sequence[Tensor], current: Tensor, thrift: float = 1.0
) -> bytes:
    """Choose a model's codes of layer len(codes) and pack them; see `Model.choose_and_code`."""
    payload = model.choose_and_pack(analysis, codes, current, thrift)
    if payload is None:
        return pack(current, model.choose_and_code(analysis, codes, current, thrift))
    return payload


def pack_layer(model: Model, codes: Sequence[Tensor], current: Tensor) -> bytes:
    """`pack` of a model's layer len(codes); see `Model.tables`."""
    payload = model.pack(codes, current)
    return pack(current, model.tables(codes, current)) if payload is None else payload


def unpack_layer(model: Model, payload: bytes, codes: Sequence[Tensor], current: Tensor) -> Tensor:
    """`unpack` of a model's layer len(codes); see `Model.tables`."""
    if model.unpack(payload, codes, current):
        return current
    return unpack(payload, current, model.tables(codes, current))


def _shared(batch: Batch) -> stream.model.Categorical:
    """One table for all symbols of the batch."""
    return stream.model.Categorical(batch.frequencies[0].numpy(), perfect=False)


def _family() -> stream.model.Categorical:
    """A table for each symbol, given beside the symbols."""
    return stream.model.Categorical(perfect=False)
