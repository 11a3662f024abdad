"""Streams for libsndfile, which calls them from C, where an exception would be lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import soundfile


class Guarded:
    """A stream whose errors wait until libsndfile is done, instead of being printed.

    What libsndfile is told meanwhile is that nothing was read or written.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """stream: open, and can seek."""
        self._stream = stream
        self._error: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        """The place after seeking; where a damaged file points beyond its start, as it was."""
        try:
            return self._stream.seek(offset, whence)
        except ValueError:
            return self._stream.tell()
        except OSError as error:
            self._error = error
            return 0

    def tell(self) -> int:
        """The present place."""
        return self._stream.tell()

    def read(self, size: int) -> bytes:
        """At most so many bytes."""
        try:
            return self._stream.read(size)
        except OSError as error:
            self._error = error
            return b""

    def write(self, data: bytes) -> int:
        """How many bytes were written: none after an error."""
        if self._error is None:
            try:
                return self._stream.write(data)
            except OSError as error:
                self._error = error
        return 0

    @contextmanager
    def own_error(self) -> Iterator[None]:
        """Raise the stream's OSError rather than what libsndfile makes of it."""
        try:
            yield
        except (soundfile.SoundFileError, AssertionError):
            if self._error is None:
                raise
        if self._error is not None:
            raise self._error
