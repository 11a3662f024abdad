"""Files whose checksums are right, whatever else they say."""

import struct
import zlib


def sealed(*fields: bytes | int, bodies: bytes = b"", kind: int = 0) -> bytes:
    """A file whose header says `fields` under a checksum that is right."""
    parts = (bytes([part]) if isinstance(part, int) else part for part in fields)
    header = b"HQC\x01" + bytes([kind]) + b"".join(parts)
    return header + struct.pack("<I", zlib.crc32(header)) + bodies


def body(*contents: bytes) -> bytes:
    """Bodies with their checksums."""
    out, crc = b"", 0
    for content in contents:
        crc = zlib.crc32(content, crc)
        out += content + struct.pack("<I", crc)
    return out
