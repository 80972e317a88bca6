"""Lines of a file, of standard input or of a gzip file, as bytes, each of bounded length."""

import codecs
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from fastcount.errors import FastcountError

MAX_LINE = 1 << 16  # an id, a member and a type are 1,342 bytes together; logs have longer lines, but not by much


class Lines:
    """Iterate for the lines without their end; None stands for one longer than `MAX_LINE`.

    path: ``-`` is standard input; a name that ends in ``.gz`` is unpacked. Raises FastcountError if it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._raw: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise FastcountError(f"cannot read {path}: {error.strerror}") from None
        packed = path.endswith(".gz")
        unpacked = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=self._raw))) if packed else None
        self._text: BinaryIO = unpacked or self._raw
        self._read = 0

    @property
    def size(self) -> int | None:
        """Bytes of the file, packed as it is; None if that cannot be known."""
        try:
            status = os.fstat(self._raw.fileno())
        except OSError:
            return None
        return status.st_size or None

    @property
    def position(self) -> int:
        """How many of those bytes were read."""
        return self._read if self._text is self._raw else self._raw.tell()

    def __iter__(self) -> Iterator[bytes | None]:
        first = True
        try:
            while line := self._text.readline(MAX_LINE):
                self._read += len(line)
                if first:
                    line, first = line.removeprefix(codecs.BOM_UTF8), False
                if len(line) == MAX_LINE and not line.endswith(b"\n"):
                    self._skip()
                    yield None
                else:
                    yield line.rstrip(b"\r\n")
        except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
            reason = getattr(error, "strerror", None) or str(error)
            raise FastcountError(f"reading {self.path} failed: {reason}") from None

    def _skip(self) -> None:
        while (rest := self._text.readline(MAX_LINE)) and not rest.endswith(b"\n"):
            self._read += len(rest)
        self._read += len(rest)

    def close(self) -> None:
        """Close the file (standard input stays open)."""
        if self._text is not self._raw:
            self._text.close()
        if self.path != "-":
            self._raw.close()
