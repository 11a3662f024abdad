"""Lossless coding of a set of small pictures by bits-back with ANS (Townsend et al. 2019).

Of each picture x the coder pops codes z from q(z_l | z_>l, x), coarse to fine, pushes x under the
discretised logistic p(x | z), and pushes z under p(z_l | z_>l), fine to coarse. That costs
log q(z|x) - log p(x, z), on average the bound that RRVQ-VAE is trained on, eq 5. Pictures are
chained: what one pops is what the last one pushed. The first one pops random bits, which count.

**What exactness needs.** Both ends must get the same tables from the networks, and these compute
in floating point. Batches are of one picture, on one thread, in float64; logarithms of
probabilities, means and scales are rounded to a grid, and the probabilities that follow from them
to whole weights, so that the last digits of a sum rarely matter. The same machine and build of
torch give the same tables always; others very likely, for a value would have to lie within about
1e-13 of the middle between two points of the grid. Only networks in whole numbers would make it
certain. A file that decodes to anything but its pictures is an error: their checksum tells.

The file is specified in hqb.py.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from constriction import stream
from torch import Tensor

from hqcodec import hqb
from hqcodec.errors import FormatError, HqcodecError, UnknownModelError
from hqcodec.models.base import Model, frequencies
from hqcodec.models.logistic import LEVELS, pmf
from hqcodec.models.rrvq_vae import RRVQVAE
from hqcodec.models.weightfile import sha256

LOG_GRID = 1 << 8  # points a nat: moves a probability by 0.2 % at most
MEAN_GRID = 1 << 14  # points over the range of a pixel: 64 a level
WEIGHTS = 1 << 20  # what probability 1 weighs

Progress = Callable[[float], None]  # told what share is done, 0 to 1


class _DryError(Exception):
    """The coder has no bits left to pop."""


def pack(pictures: Tensor, model: Model, progress: Progress | None = None) -> bytes:
    """Pictures [N,3,H,W] uint8 -> a .hqb file.

    Raises HqcodecError for other pictures, and for models of other families than RRVQ-VAE.
    """
    _check(pictures)
    N, _, H, W = pictures.shape
    with _exact(model) as ladder:
        start = _start_words(ladder, (H, W))
        while True:
            coder = _Coder(_random(start))
            try:
                for n in range(N):
                    _push(coder, pictures[n : n + 1], ladder)
                    _tell(progress, n + 1, N)
                break
            except _DryError:  # a first picture with unlikely codes
                start *= 2
        payload = coder.words()
    crc = zlib.crc32(pictures.numpy().tobytes())
    return hqb.write(hqb.Bundle(_weights_hash(model), N, H, W, start, crc, payload))


def unpack(blob: bytes, model: Model, progress: Progress | None = None) -> Tensor:
    """Inverse of `pack`: pictures [N,3,H,W] uint8.

    Raises FormatError for bytes that are no .hqb file, and if the pictures do not come out as they
    were; UnknownModelError if other weights packed them.
    """
    bundle = hqb.read(blob)
    if bundle.weights != (mine := _weights_hash(model)):
        theirs = f"packed with weights {bundle.weights.hex()}"
        raise UnknownModelError(f"{theirs}; those of model {model.name!r} are {mine.hex()}")
    N, coder, found = bundle.count, _Coder(bundle.payload), []
    with _exact(model) as ladder:
        try:
            for n in range(N):
                found.append(_pop(coder, (bundle.height, bundle.width), ladder))
                _tell(progress, n + 1, N)
        except (_DryError, AssertionError):  # what constriction raises on impossible data
            raise FormatError(_differs(len(found))) from None
    pictures = torch.cat(found[::-1])
    left = np.array_equal(coder.words(), _random(bundle.start))
    if zlib.crc32(pictures.numpy().tobytes()) != bundle.crc or not left:
        raise FormatError(_differs(N))
    return pictures


def _push(coder: "_Coder", picture: Tensor, ladder: RRVQVAE) -> None:
    """Put a picture [1,3,H,W] on the stack, taking its codes' bits off it."""
    x = ladder.pad(picture.double() / (LEVELS - 1))
    features, state = ladder.features(x), ladder.start(1, (x.shape[2], x.shape[3]))
    pushes = []
    for layer in range(len(ladder.layers)):
        log_p, log_q = ladder.prior(state, layer), ladder.posterior(state, features, layer)
        codes = coder.pop(_tables(log_q))
        pushes.append((codes, _tables(log_p)))
        state = ladder.advance(state, layer, _grid(codes, log_q))
    pixels = picture.flatten().to(torch.int32).numpy()
    coder.push(pixels, _pixel_tables(ladder, state, (picture.shape[2], picture.shape[3])))
    for codes, tables in reversed(pushes):
        coder.push(codes, tables)


def _pop(coder: "_Coder", size: tuple[int, int], ladder: RRVQVAE) -> Tensor:
    """Inverse of `_push`: [1,3,H,W] uint8."""
    shape = 1, 3, *size
    padded = ladder.pad(torch.empty(shape)).shape
    state, states, codes = ladder.start(1, (padded[2], padded[3])), [], []
    for layer in range(len(ladder.layers)):
        states.append(state)
        log_p = ladder.prior(state, layer)
        codes.append(coder.pop(_tables(log_p)))
        state = ladder.advance(state, layer, _grid(codes[-1], log_p))
    pixels = coder.pop(_pixel_tables(ladder, state, size))
    picture = torch.from_numpy(pixels.astype(np.uint8)).view(shape)
    features = ladder.features(ladder.pad(picture.double() / (LEVELS - 1)))
    for layer in reversed(range(len(ladder.layers))):
        coder.push(codes[layer], _tables(ladder.posterior(states[layer], features, layer)))
    return picture


class _Coder:
    """A stack of bits, to which what was popped can be pushed back."""

    def __init__(self, words: np.ndarray) -> None:
        self.ans, self.family = (
            stream.stack.AnsCoder(words),
            stream.model.Categorical(perfect=False),
        )

    def pop(self, tables: np.ndarray) -> np.ndarray:
        """Symbols [n] int32 under tables [n,K]."""
        symbols: np.ndarray = self.ans.decode(self.family, tables)
        if self.ans.num_words() < hqb.SAFE:
            raise _DryError
        return symbols

    def push(self, symbols: np.ndarray, tables: np.ndarray) -> None:
        """Inverse of `pop`."""
        self.ans.encode_reverse(symbols, self.family, tables)

    def words(self) -> np.ndarray:
        """All that is on the stack."""
        found: np.ndarray = self.ans.get_compressed()
        return found


def _tables(log_p: Tensor) -> np.ndarray:
    """Frequencies [h*w,K], as entropy.py describes them, of log p(z) [1,K,h,w]."""
    p = ((log_p[0].flatten(1).T.double() * LOG_GRID).round() / LOG_GRID).exp()
    return _frequencies(p)


def _pixel_tables(ladder: RRVQVAE, state: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Frequencies [3*H*W,256] of a picture's pixels."""
    mean, log_scale = (part[..., : size[0], : size[1]] for part in ladder.likelihood(state))
    mean = (mean.double() * MEAN_GRID).round() / MEAN_GRID
    log_scale = (log_scale.double() * LOG_GRID).round() / LOG_GRID
    return _frequencies(pmf(mean.flatten(), log_scale.flatten()))


def _frequencies(p: Tensor) -> np.ndarray:
    """Of probabilities [n,K]; what lies far outside of all levels is as likely as anything."""
    weights = (p * WEIGHTS).round()
    weights[weights.sum(1) == 0] = 1
    found: np.ndarray = frequencies(weights).contiguous().numpy()
    return found


def _grid(codes: np.ndarray, like: Tensor) -> Tensor:
    """Codes [h*w] as the model takes them, [1,1,h,w] int64."""
    return torch.from_numpy(codes.astype(np.int64)).view(1, 1, *like.shape[2:])


@contextmanager
def _exact(model: Model) -> Iterator[RRVQVAE]:
    """The model in float64, to run on one thread and without gradients."""
    threads = torch.get_num_threads()
    ladder = deepcopy(_family(model)).double().eval()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield ladder
    finally:
        torch.set_num_threads(threads)


def _family(model: Model) -> RRVQVAE:
    if not isinstance(model, RRVQVAE):
        raise HqcodecError(f"model {model.name!r} is of family {model.family}; want rrvq_vae")
    return model


def _check(pictures: Tensor) -> None:
    if pictures.dtype != torch.uint8 or pictures.dim() != 4 or pictures.shape[1] != 3:
        found = f"pictures {list(pictures.shape)} {pictures.dtype}".replace("torch.", "")
        raise HqcodecError(f"{found}; want [N,3,H,W] uint8")
    hqb.check(pictures.shape[0], pictures.shape[2], pictures.shape[3])


def _weights_hash(model: Model) -> bytes:
    return bytes.fromhex(sha256(_family(model).state_dict()))[:8]


def _start_words(ladder: RRVQVAE, size: tuple[int, int]) -> int:
    """Enough for the codes of one picture, all of them as surprising as a uniform q has them."""
    bits = 0.0
    for layer, spec in enumerate(ladder.layers):
        bits += float(np.prod(ladder.code_shape(layer, size)) * np.log2(spec.codebook))
    return int(bits / 32) + 2 * hqb.SAFE


def _random(words: int) -> np.ndarray:
    """Random words, the same in every file; the last is not 0, or the coder would drop it."""
    return np.random.Generator(np.random.PCG64(0)).integers(1, 1 << 32, words, dtype=np.uint32)


def _tell(progress: Progress | None, done: int, of: int) -> None:
    if progress is not None:
        progress(done / of)


def _differs(done: int) -> str:
    where = f"after {done} pictures"
    return (
        f"does not decode, {where}: this machine or torch computes other floats than the packer's"
    )
