"""The data directory: one server at a time, by a lock that the system frees even when the server is killed.

lock          flock(2) held while a server runs
server.json   who that is: its doors and pid, from when it is ready until it stops
secret        32 hex digits that decide which members samples keep; made at the first start, mode 0600
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from fastcount.errors import FastcountError
from fastcount.keyring import Warn, create_secret, read_secret


class DataDir:
    """Create and lock `path`. Raises FastcountError if it cannot be used, or another server has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._card = path / "server.json"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FastcountError(f"cannot use the data directory {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise FastcountError(
                f"the data directory {path} belongs to a running server{self._holder()}; "
                "stop that one, or give this one a --data-dir of its own"
            ) from None
        self._card.unlink(missing_ok=True)  # of a server that was killed

    def _holder(self) -> str:
        try:
            return f" (pid {int(json.loads(self._card.read_bytes())['pid'])})"
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def secret(self, warn: Warn) -> bytes:
        """The 16 bytes that belong to the samples of this directory. Raises FastcountError."""
        path = self.path / "secret"
        if path.exists():
            return read_secret(path, warn)
        try:
            return create_secret(path)
        except OSError as error:
            raise FastcountError(f"cannot write to the data directory {self.path}: {error.strerror}") from None

    def announce(self, card: Mapping[str, object]) -> None:
        """Write server.json, whole or not at all. Raises FastcountError."""
        new = self._card.with_suffix(".new")
        try:
            new.write_text(json.dumps(card) + "\n", encoding="utf-8")
            new.replace(self._card)
        except OSError as error:
            raise FastcountError(f"cannot write to the data directory {self.path}: {error.strerror}") from None

    def close(self) -> None:
        """Give the directory back."""
        with contextlib.suppress(OSError):
            self._card.unlink(missing_ok=True)
        os.close(self._lock)
