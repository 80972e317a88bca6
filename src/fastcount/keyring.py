"""Secrets in files: the keys that frames are signed with, and the secret that samples are made under.

No message ever holds a key: it names the file and the line. `warn` is told of files that others can read.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from fastcount.errors import ConfigError

SECRET_SIZE: Final = 16  # bytes
MAX_FILE: Final = 1 << 20  # bytes; 256 keys take 35 KiB

Warn = Callable[[str], None]

_COMMENT = re.compile(r"(^|\s)#.*")
_HEX = re.compile(r"[0-9a-fA-F]+")
_KEY_ID = re.compile(r"[0-9]{1,3}")
_KEY_OF = re.compile(r"([0-9]{1,3}):(.+)", re.DOTALL)


def read_keys(path: Path, warn: Warn) -> dict[int, bytes]:
    """Keys by key id: a line ``ID HEX`` each, with ID 0..255 and 32 to 128 hex digits (16 to 64 bytes); ``#`` begins a
    comment. Raises ConfigError."""
    keys: dict[int, bytes] = {}
    for number, line in _lines(path, warn):
        where = f"{path}, line {number}"
        fields = line.split()
        if len(fields) != 2:
            raise ConfigError(f"{where}: a key id and a key in hex are wanted, such as: 1 {'0123456789abcdef' * 2}")
        if not _KEY_ID.fullmatch(fields[0]) or int(fields[0]) > 255:
            raise ConfigError(f"{where}: a key id is a number from 0 to 255, in front of the key")
        key_id = int(fields[0])
        if key_id in keys:
            raise ConfigError(f"{where}: key {key_id} is there already, further up")
        keys[key_id] = _hex(fields[1], where, "a key", 16, 64)
    if not keys:
        raise ConfigError(f"{path}: there is no key in it; write lines of a key id (0 to 255) and a key in hex")
    return keys


def read_key(text: str, warn: Warn) -> tuple[int, bytes]:
    """One key to sign with. text: FILE as for `read_keys`, ``ID:FILE`` where it holds several. Raises ConfigError."""
    match = _KEY_OF.fullmatch(text)
    path = Path(match[2] if match else text).expanduser()
    keys = read_keys(path, warn)
    if match:
        if int(match[1]) not in keys:
            raise ConfigError(f"{path}: there is no key {match[1]} in it, but {_list(keys)}")
        return int(match[1]), keys[int(match[1])]
    if len(keys) > 1:
        raise ConfigError(f"{path} holds the keys {_list(keys)}; say which: {next(iter(keys))}:{path}")
    return next(iter(keys.items()))


def read_secret(path: Path, warn: Warn) -> bytes:
    """The 16 bytes of a file that holds 32 hex digits; ``#`` begins a comment. Raises ConfigError."""
    secret = b""
    for number, line in _lines(path, warn):
        where = f"{path}, line {number}"
        if secret:
            raise ConfigError(f"{where}: one line of {2 * SECRET_SIZE} hex digits is wanted, and nothing after it")
        secret = _hex(line, where, "a secret", SECRET_SIZE, SECRET_SIZE)
    if not secret:
        raise ConfigError(f"{path}: it is empty; {2 * SECRET_SIZE} hex digits are wanted (openssl rand -hex 16)")
    return secret


def create_secret(path: Path) -> bytes:
    """A new random secret, in a file that only its owner can read; whole or not at all. Raises OSError."""
    secret = os.urandom(SECRET_SIZE)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)  # of a start that was killed
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return secret


def _lines(path: Path, warn: Warn) -> Iterator[tuple[int, str]]:
    """(number, line) of those that say something, without comments. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
            others = os.fstat(file.fileno()).st_mode & 0o066
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise ConfigError(f"{path}: it is larger than {MAX_FILE >> 20} MiB, so it is not what is wanted here")
    if others:
        warn(f"{path} is open to other users of this machine; close it: chmod 600 {path}")
    for number, line in enumerate(data.decode("utf-8", "backslashreplace").split("\n"), 1):
        if said := _COMMENT.sub("", line).strip():
            yield number, said


def _hex(text: str, where: str, what: str, least: int, most: int) -> bytes:
    size = f"{2 * least}" if least == most else f"{2 * least} to {2 * most}"
    if not _HEX.fullmatch(text):
        raise ConfigError(f"{where}: {what} is {size} hex digits (0-9 a-f), and something in it is none")
    if not 2 * least <= len(text) <= 2 * most or len(text) % 2:
        raise ConfigError(f"{where}: {what} is {size} hex digits, an even number of them, not {len(text)}")
    return bytes.fromhex(text)


def _list(keys: dict[int, bytes]) -> str:
    return ", ".join(map(str, keys))
