"""The rules for types, ids and members, which every door checks."""

import re
from typing import Final

from fastcount.errors import InvalidName

MAX_TYPE: Final = 64
MAX_ID: Final = 1023
MAX_MEMBER: Final = 255

_TYPE = re.compile(rb"[A-Za-z0-9_.\-]{1,64}")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")  # Unicode category Cc


def valid_type(name: bytes) -> bool:
    """1-64 bytes of ``[A-Za-z0-9_.-]``."""
    return _TYPE.fullmatch(name) is not None


def valid_text(name: bytes) -> bool:
    """UTF-8 without surrogates and overlong forms, and without control characters (category Cc); any length."""
    try:
        return _CONTROLS.search(name.decode()) is None
    except UnicodeDecodeError:
        return False


def type_bytes(name: str | bytes) -> bytes:
    """The bytes of a type. Raises InvalidName."""
    data = _utf8(name, "type")
    if not valid_type(data):
        raise InvalidName(f"a type is 1 to {MAX_TYPE} bytes of A-Z a-z 0-9 _ . -, not {name!r:.80}")
    return data


def id_bytes(name: str | bytes) -> bytes:
    """The bytes of an id. Raises InvalidName."""
    return _text_bytes(name, "id", MAX_ID)


def member_bytes(name: str | bytes) -> bytes:
    """The bytes of a member. Raises InvalidName."""
    return _text_bytes(name, "member", MAX_MEMBER)


def _text_bytes(name: str | bytes, what: str, limit: int) -> bytes:
    data = _utf8(name, what)
    if not 1 <= len(data) <= limit:
        raise InvalidName(f"{what}: 1 to {limit:,} bytes of UTF-8 are wanted, not {len(data):,}")
    if not valid_text(data):
        raise InvalidName(f"{what}: UTF-8 without control characters is wanted, not {name!r:.80}")
    return data


def _utf8(name: str | bytes, what: str) -> bytes:
    if isinstance(name, bytes):
        return name
    if not isinstance(name, str):
        raise InvalidName(f"{what}: str or bytes is wanted, not {type(name).__name__}")
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise InvalidName(f"{what}: {name!r:.80} holds a lone surrogate") from None
