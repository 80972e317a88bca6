"""What a line says: access logs (clf), TSV and NDJSON → entries. A line that says nothing raises LineError with why."""

import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastcount.errors import ConfigError, FastcountError

CLF_ID = 7  # the request path, in awk's counting
CLF_MEMBERS = {"host": 1, "user": 3}
COLUMNS = ("id", "delta", "member", "type", "-")
_ODD_BLANKS = re.compile(rb"[\x0b\x0c\r]")  # bytes.split() takes them for blanks, awk does not
_BLANKS = re.compile(rb"[ \t]+")
_NUMBER = re.compile(rb"[+-]?[0-9]{1,19}")


class LineError(FastcountError):
    """A line that holds no entry; the message says why."""


class Entry(NamedTuple):
    """One thing to count, not yet checked: type, id and member as bytes; delta of any size."""

    type: bytes
    id: bytes
    delta: int = 1
    member: bytes | None = None


Parser = Callable[[bytes], Entry]


def clf(type: bytes, member: str = "host") -> Parser:
    """Access logs in common or combined format: the id is field 7 as `awk '{print $7}'` has it, whatever it holds.

    member: ``host`` (field 1), ``user`` (field 3; ``-`` is nobody), a field's number, or ``none``. Raises ConfigError.
    """
    if member == "none":
        field = 0
    elif member in CLF_MEMBERS:
        field = CLF_MEMBERS[member]
    elif member.isascii() and member.isdigit() and 1 <= int(member) <= 99:
        field = int(member)
    else:
        raise ConfigError(f"--member {member}: it is none, host, user, or the number of a field from 1 to 99")
    wanted = max(CLF_ID, field)

    def parse(line: bytes) -> Entry:
        odd = _ODD_BLANKS.search(line)
        fields = _BLANKS.split(line.strip(b" \t"), wanted) if odd else line.split(None, wanted)
        if len(fields) < wanted:
            raise LineError(f"it has {len(fields)} fields, field {wanted} is wanted")
        who = fields[field - 1] if field else None
        return Entry(type, fields[CLF_ID - 1], 1, None if who == b"-" else who)

    return parse


def tsv(type: bytes | None, columns: Sequence[str] = ("id", "delta", "member")) -> Parser:
    """Values between tabs. columns: what they are, of `COLUMNS` (``-`` is skipped); those at the end may be missing,
    and an empty delta is 1, an empty member none. type: where there is no such column. Raises ConfigError."""
    names = [name for name in columns if name != "-"]
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise ConfigError(f"--columns: {unknown[0]!r} is not one of {', '.join(COLUMNS)}")
    if len(set(names)) != len(names) or "id" not in names:
        raise ConfigError("--columns: each name once, and id among them")
    if type is None and "type" not in names:
        raise ConfigError("say what is counted: --type NAME, or a type column")
    at = {name: index for index, name in enumerate(columns) if name != "-"}

    def parse(line: bytes) -> Entry:
        values = line.split(b"\t")
        if len(values) > len(columns):
            raise LineError(f"it has {len(values)} columns, {len(columns)} are wanted")

        def value(name: str) -> bytes:
            index = at.get(name, len(values))
            return values[index] if index < len(values) else b""

        delta = value("delta")
        if delta and not _NUMBER.fullmatch(delta):
            raise LineError(f"delta {_show(delta)} is not a whole number")
        return Entry(value("type") or type or b"", value("id"), int(delta) if delta else 1, value("member") or None)

    return parse


def ndjson(type: bytes | None) -> Parser:
    """A JSON object a line: {"type", "id", "delta", "member"}; type may be left out if given here."""
    keys = ("type", "id", "delta", "member")

    def parse(line: bytes) -> Entry:
        try:
            value = json.loads(line)
        except ValueError as error:
            raise LineError(f"it is not JSON: {error}") from None
        except RecursionError:
            raise LineError("it is nested too deeply") from None
        if not isinstance(value, dict):
            raise LineError("it is not a JSON object")
        if unknown := [key for key in value if key not in keys]:
            raise LineError(f"unknown key {unknown[0]!r}; known are {', '.join(keys)}")
        delta = value.get("delta", 1)
        if isinstance(delta, bool) or not isinstance(delta, int):
            raise LineError("delta is not a whole number")
        return Entry(_text(value, "type") or type or b"", _text(value, "id"), delta, _text(value, "member") or None)

    return parse


def _text(value: dict[str, object], key: str) -> bytes:
    text = value.get(key)
    if text is None:
        return b""
    if not isinstance(text, str):
        raise LineError(f"{key} is not a string")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise LineError(f"{key} holds a lone surrogate") from None


def _show(value: bytes) -> str:
    return repr(value[:40])[1:]
