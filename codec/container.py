r"""The .hqc file, version 1.

A varint is an unsigned LEB128 number below 2^32: 7 bits a byte, the low ones first, the top bit set
on all bytes but the last; at most 5 bytes, and no more than the number needs. CRC-32 is zlib's,
stored little-endian. Sizes are in bytes unless said otherwise.

    size     field
    3        magic     b"HQC"
    1        version   1
    1        kind      0 picture, 1 sound; all else is reserved
    1        form      of a picture, its mode: 0 "L", 1 "LA", 2 "RGB", 3 "RGBA"
                       of a sound, its channels: 1..8
    1        n         length of the model's name, 1..32
    n        model     ASCII, of a-z 0-9 . _ -
    4        hash      first bytes of the SHA-256 of the weights that decoding codes reads
    varint   length    of a picture, its width: pixels, 1..65535
                       of a sound, its samples a channel; 0 is allowed
    varint   breadth   of a picture, its height: pixels, 1..65535; width * height <= 2^28
                       of a sound, its samples a second: 1000..768000
    1        C         number of chunks, 0..8
    C *      chunk     1 byte tag, rising from chunk to chunk; varint length of its body
    1        L         number of layers, 1..64
    L *      layer     varint length of its payload, coarse to fine
    4        crc       CRC-32 of all bytes above
    ...      bodies    of the chunks, then of the layers; after each 4 bytes, the CRC-32 of all
                       bodies up to here, these checksums not counted

Tags: 1 ICC profile and 2 EXIF, both as zlib streams of at most 16 MiB inflated; 3 alpha plane (as
alpha.py specifies it), there if and only if the mode has an A. A sound has no chunks. A reader
rejects other tags.

Rate and samples of a sound are the source's: n samples at rate r are coded as ceil(n * R / r) at
the rate R of the model, and given back as n at r. Channels are coded side by side, in the order of
the source; but those of a stereo sound are mid = (left + right) / 2 and side = (left - right) / 2.
All its channels together have less than 2^32 samples and last at most 2^17 seconds.

**A file cut anywhere behind its first layer is valid**: it holds the layers that are whole, and
what is left of the next is ignored. Nothing may follow the last layer. To drop the finest layers
on purpose, rewrite L, the lengths and the header's crc; bodies and their checksums stay.
"""

import re
import struct
import zlib
from dataclasses import dataclass, replace

from hqcodec.content import MODES, Pixels, Samples
from hqcodec.errors import FormatError, HqcodecError

MAGIC = b"HQC"
VERSION = 1
PICTURE, SOUND = 0, 1  # kinds
ICC, EXIF, ALPHA = 1, 2, 3  # tags of chunks
TAGS = {ICC: "ICC", EXIF: "EXIF", ALPHA: "alpha"}
MAX_CHUNKS = 8
MAX_LAYERS = 64
HASH_SIZE = 4

_CRC = struct.Struct("<I")
_NAME = re.compile(r"[a-z0-9._-]{1,32}")


@dataclass(frozen=True, slots=True)
class Container:
    """What a .hqc file says. One that exists is valid: every field was checked.

    chunks: tag -> body as stored. payloads: coarse to fine. declared: layers that the header
    promises, more than there are payloads if the file was cut; 0 means as many.
    """

    model: str
    weights_hash: bytes
    content: Pixels | Samples
    chunks: dict[int, bytes]
    payloads: tuple[bytes, ...]
    declared: int = 0

    def __post_init__(self) -> None:
        """Raise FormatError for what no file can hold."""
        if not _NAME.fullmatch(self.model):
            raise FormatError(f"model name {self.model!r}; it has 1 to 32 of a-z 0-9 . _ -")
        if len(self.weights_hash) != HASH_SIZE:
            raise FormatError(f"weights hash of {len(self.weights_hash)} bytes; it has {HASH_SIZE}")
        if unknown := set(self.chunks) - set(TAGS):
            raise FormatError(f"chunk with tag {min(unknown)}; known are 1 to {max(TAGS)}")
        if isinstance(self.content, Samples):
            if self.chunks:
                raise FormatError(f"a sound with {len(self.chunks)} chunks; it has none")
        elif (ALPHA in self.chunks) != ("A" in self.content.mode):
            found = "an" if ALPHA in self.chunks else "no"
            raise FormatError(f"mode {self.content.mode} with {found} alpha plane")
        if not self.declared:
            object.__setattr__(self, "declared", len(self.payloads))
        if not 1 <= len(self.payloads) <= self.declared <= MAX_LAYERS:
            found = f"{len(self.payloads)} layers, {self.declared} declared"
            raise FormatError(f"{found}; a file has 1 to {MAX_LAYERS}")


def write(c: Container) -> bytes:
    """Serialize `c`. One cut short becomes a file that promises no more than it has."""
    name = c.model.encode("ascii")
    chunks = sorted(c.chunks.items())
    kind, form, length, breadth = _fields(c.content)
    header = bytearray(MAGIC)
    header += bytes([VERSION, kind, form, len(name)]) + name + c.weights_hash
    header += _pack_varint(length) + _pack_varint(breadth)
    header.append(len(chunks))
    for tag, body in chunks:
        header += bytes([tag]) + _pack_varint(len(body))
    header.append(len(c.payloads))
    for payload in c.payloads:
        header += _pack_varint(len(payload))
    blob, crc = [bytes(header), _CRC.pack(zlib.crc32(header))], 0
    for body in (*(body for _, body in chunks), *c.payloads):
        crc = zlib.crc32(body, crc)
        blob += [body, _CRC.pack(crc)]
    return b"".join(blob)


def read(blob: bytes) -> Container:
    """Inverse of `write`; raise FormatError, never anything else, on bad input.

    A file cut behind its first layer gives the layers that are whole; `declared` tells.
    """
    cursor = _Cursor(blob)
    kind = _start(cursor)
    form = cursor.byte()
    model = cursor.take(cursor.byte()).decode("latin-1")
    weights_hash = cursor.take(HASH_SIZE)
    length, breadth = cursor.varint(), cursor.varint()
    chunk_count = cursor.byte()
    chunk_sizes = [(cursor.byte(), cursor.varint()) for _ in range(chunk_count)]
    layer_count = cursor.byte()
    layer_sizes = [cursor.varint() for _ in range(layer_count)]
    crc = zlib.crc32(blob[: cursor.at])
    if _CRC.unpack(cursor.take(_CRC.size)) != (crc,):
        raise FormatError("damaged: the header does not match its checksum")
    tags = [tag for tag, _ in chunk_sizes]
    if chunk_count > MAX_CHUNKS or tags != sorted(set(tags)):
        raise FormatError(f"chunks with tags {tags}; at most {MAX_CHUNKS}, rising")
    content = _content(kind, form, length, breadth)
    bodies = _bodies(cursor, [size for _, size in chunk_sizes] + layer_sizes)
    chunks, payloads = bodies[:chunk_count], tuple(bodies[chunk_count:])
    if layer_count and not payloads:
        raise FormatError(f"cut off within the first layer, after {len(blob)} bytes")
    return Container(
        model=model,
        weights_hash=weights_hash,
        content=content,
        payloads=payloads,
        chunks=dict(zip(tags, chunks, strict=True)),
        declared=layer_count,
    )


def truncate(c: Container, layers: int) -> Container:
    """Keep the `layers` coarsest of `c`; raise HqcodecError if there are not so many."""
    if not 1 <= layers <= len(c.payloads):
        raise HqcodecError(f"{layers} layers; the file has 1 to {len(c.payloads)}")
    return replace(c, payloads=c.payloads[:layers], declared=layers)


class _Cursor:
    """Takes fields off the front of `blob`, and never reads beyond its end."""

    def __init__(self, blob: bytes) -> None:
        self.blob, self.at = blob, 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > len(self.blob) - self.at:
            raise FormatError(f"cut off within the header, after {len(self.blob)} bytes")
        self.at += size
        return self.blob[self.at - size : self.at]

    def byte(self) -> int:
        """The next byte as a number."""
        return self.take(1)[0]

    def varint(self) -> int:
        """Inverse of `_pack_varint`."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 1 << 32 or (byte == 0 and shift):
                    break
                return value
        raise FormatError("damaged: a number in the header is not in canonical form")


def _pack_varint(value: int) -> bytes:
    if value >= 1 << 32:
        raise FormatError(f"a body of {value} bytes; at most {(1 << 32) - 1} fit")
    packed = bytearray()
    while value > 0x7F:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    packed.append(value)
    return bytes(packed)


def _fields(content: Pixels | Samples) -> tuple[int, int, int, int]:
    """Kind, form, length and breadth in the header."""
    if isinstance(content, Samples):
        return SOUND, content.channels, content.samples, content.rate
    return PICTURE, MODES.index(content.mode), content.width, content.height


def _content(kind: int, form: int, length: int, breadth: int) -> Pixels | Samples:
    """Inverse of `_fields`."""
    if kind == SOUND:
        return Samples(form, length, breadth)
    if form >= len(MODES):
        raise FormatError(f"mode {form}; known are 0 to {len(MODES) - 1}")
    return Pixels(length, breadth, MODES[form])


def _start(cursor: _Cursor) -> int:
    """Take what says how to read the rest, magic, version and kind; the kind."""
    if not cursor.blob.startswith(MAGIC):
        start = cursor.blob[:3]
        raise FormatError(
            f"not a .hqc file: starts with {start!r}" if start else "the file is empty"
        )
    cursor.take(len(MAGIC))
    if (version := cursor.byte()) != VERSION:
        raise FormatError(f"format version {version}; this hqcodec reads up to {VERSION}")
    if (kind := cursor.byte()) not in (PICTURE, SOUND):
        raise FormatError(f"content of kind {kind}; this hqcodec reads 0, pictures, and 1, sounds")
    return kind


def _bodies(cursor: _Cursor, sizes: list[int]) -> list[bytes]:
    """The bodies that are whole, each held against its checksum."""
    bodies: list[bytes] = []
    crc = 0
    for size in sizes:
        if size + _CRC.size > len(cursor.blob) - cursor.at:
            return bodies
        body = cursor.take(size)
        crc = zlib.crc32(body, crc)
        if _CRC.unpack(cursor.take(_CRC.size)) != (crc,):
            raise FormatError(f"damaged: body {len(bodies)} does not match its checksum")
        bodies.append(body)
    if extra := len(cursor.blob) - cursor.at:
        raise FormatError(f"{extra} bytes follow the last layer; nothing may")
    return bodies
