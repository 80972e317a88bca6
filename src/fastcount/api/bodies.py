"""Request bodies: strict JSON in, checked increments and binary frames out. Nothing here touches the store."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, NoReturn

from fastcount import wire
from fastcount.errors import InvalidName
from fastcount.names import id_bytes, member_bytes, type_bytes

MAX_INCREMENT: Final = 64 << 10  # bytes of the body of one increment
MAX_JSON: Final = 8 << 20
MAX_READ: Final = 10_000  # names of one counters:read
MAX_SAMPLE: Final = 4096  # members of one name
MAX_MEMBERS: Final = 100_000  # of all names of one counters:read

_FIELDS = {"type", "id", "delta", "member"}
_RANGE = "from -9223372036854775808 to 9223372036854775807"


class BadBody(Exception):
    """code: 'invalid_json', 'invalid_body' or 'invalid_name'. details: further members of the error's JSON."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = 400 if code == "invalid_json" else 422
        self.code = code
        self.details = details


class Frame(NamedTuple):
    """An unsequenced binary frame and the number of data records in it."""

    data: bytes
    records: int


class Asked(NamedTuple):
    """What a counters:read wants to know. names: (type, id) of each. unique: their uniques, too. sample: how many
    members of each, 0 for none."""

    names: list[tuple[bytes, bytes]]
    unique: bool = False
    sample: int = 0


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadBody("invalid_json", f"the key {twice!r:.80} stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise BadBody("invalid_json", f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def load(data: bytes) -> Any:
    """JSON (RFC 8259: UTF-8, no BOM, no NaN) without duplicate keys. Raises BadBody."""
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise BadBody("invalid_json", f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadBody("invalid_json", f"the body is not JSON at {where}: {error.msg}") from None
    except RecursionError:
        raise BadBody("invalid_json", "the JSON is nested too deeply") from None
    except ValueError:  # int() refuses thousands of digits
        raise BadBody("invalid_json", f"a number is too long; whole numbers are {_RANGE}") from None


def increment(data: bytes) -> tuple[int, bytes | None]:
    """The body of one increment → (delta, member). Empty: (1, None). Raises BadBody."""
    if not data:
        return 1, None
    found = load(data)
    if not isinstance(found, dict):
        raise BadBody("invalid_body", f'an object such as {{"delta": 1}} is wanted, not {_kind(found)}')
    _only(found, {"delta", "member"})
    return _delta(found), _member(found)


def increments_json(data: bytes) -> list[Frame]:
    """``{"increments": [...]}`` or a bare list → frames. Raises BadBody that names the increment at fault."""
    found = load(data)
    if isinstance(found, dict):
        _only(found, {"increments"})
        found = found.get("increments")
    if not isinstance(found, list):
        raise BadBody(
            "invalid_body", f'{{"increments": [{{"type": …, "id": …}}, …]}} or a list is wanted, not {_kind(found)}'
        )
    return _frames(((f"increments[{i}]", {"index": i}, item) for i, item in enumerate(found)))


def increments_ndjson(data: bytes) -> list[Frame]:
    """One increment a line, blank lines left out → frames. Raises BadBody that names the line at fault."""
    return _frames(_lines(data))


def asked(data: bytes) -> Asked:
    """``{"counters": [{"type": …, "id": …}], "unique": true, "sample": 10}``, the last two optional. Raises BadBody."""
    found = load(data)
    if not isinstance(found, dict) or not isinstance(found.get("counters"), list):
        raise BadBody("invalid_body", 'an object {"counters": [{"type": …, "id": …}, …]} is wanted')
    _only(found, {"counters", "unique", "sample"})
    items = found["counters"]
    if len(items) > MAX_READ:
        raise BadBody("invalid_body", f"at most {MAX_READ:,} counters can be read at once, not {len(items):,}")
    unique, sample = found.get("unique", False), found.get("sample", 0)
    if not isinstance(unique, bool):
        raise BadBody("invalid_body", f"'unique' is true or false, not {_kind(unique)}")
    if type(sample) is not int or not 0 <= sample <= MAX_SAMPLE:
        raise BadBody(
            "invalid_body", f"'sample' is how many members of each are wanted, 0 to {MAX_SAMPLE:,}, not {_kind(sample)}"
        )
    if len(items) * sample > MAX_MEMBERS:
        raise BadBody(
            "invalid_body",
            f"{len(items):,} counters with {sample:,} members each are too many: at most {MAX_MEMBERS:,} members "
            "can be read at once",
        )
    out = []
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise BadBody("invalid_body", f"an object is wanted, not {_kind(item)}")
            _only(item, {"type", "id"})
            out.append((_name(item, "type"), _name(item, "id")))
        except BadBody as error:
            raise BadBody(error.code, f"counters[{index}]: {error}", index=index) from None
    return Asked(out, unique, sample)


def _lines(data: bytes) -> Iterator[tuple[str, dict[str, Any], Any]]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip(b" \t\r"):
            try:
                yield f"line {number}", {"line": number}, load(line)
            except BadBody as error:
                raise BadBody(error.code, f"line {number}: {error}", line=number) from None


def _frames(items: Iterable[tuple[str, dict[str, Any], Any]]) -> list[Frame]:
    """items: (how to name it in an error, details of the error, the increment). All are checked before it returns."""
    frames: list[Frame] = []
    parts = [wire.encode_header()]
    size, records = len(parts[0]), 0
    current: bytes | None = None
    for where, details, item in items:
        try:
            type_, chunk, count = _encoded(item)
        except BadBody as error:
            raise BadBody(error.code, f"{where}: {error}", **details) from None
        part = chunk if type_ == current else wire.encode_type(type_) + chunk
        if size + len(part) > wire.MAX_FRAME:
            frames.append(Frame(b"".join(parts), records))
            parts = [wire.encode_header()]
            size, records = len(parts[0]), 0
            part = wire.encode_type(type_) + chunk
        current = type_
        parts.append(part)
        size += len(part)
        records += count
    if records:
        frames.append(Frame(b"".join(parts), records))
    return frames


def _encoded(item: Any) -> tuple[bytes, bytes, int]:
    """One increment → (type, its records, how many)."""
    if not isinstance(item, dict):
        raise BadBody("invalid_body", f'an object such as {{"type": "hits", "id": "/"}} is wanted, not {_kind(item)}')
    _only(item, _FIELDS)
    type_, id_ = _name(item, "type"), _name(item, "id")
    delta, member = _delta(item), _member(item)
    records = wire.encode_increment(id_, delta, member)
    return type_, b"".join(records), len(records)


def _name(item: dict[str, Any], what: str) -> bytes:
    value = item.get(what)
    if not isinstance(value, str):
        missing = "is missing" if what not in item else f"is a string, not {_kind(value)}"
        raise BadBody("invalid_body", f"{what!r} {missing}")
    try:
        return type_bytes(value) if what == "type" else id_bytes(value)
    except InvalidName as error:
        raise BadBody("invalid_name", str(error)) from None


def _member(item: dict[str, Any]) -> bytes | None:
    if "member" not in item:
        return None
    value = item["member"]
    if not isinstance(value, str):
        raise BadBody("invalid_body", f"'member' is a string, not {_kind(value)}")
    try:
        return member_bytes(value)
    except InvalidName as error:
        raise BadBody("invalid_name", str(error)) from None


def _delta(item: dict[str, Any]) -> int:
    value = item.get("delta", 1)
    if type(value) is not int:  # a bool is an int to Python
        raise BadBody("invalid_body", f"'delta' is a whole number, not {_kind(value)}")
    if not wire.I64_MIN <= value <= wire.I64_MAX:
        raise BadBody("invalid_body", f"'delta' is a whole number {_RANGE}, not {_kind(value)}")
    return value


def _only(item: dict[str, Any], allowed: set[str]) -> None:
    if not item.keys() <= allowed:
        unknown = sorted(item.keys() - allowed)[0]
        raise BadBody("invalid_body", f"{unknown!r:.80} is not known here; allowed: {', '.join(sorted(allowed))}")


def _kind(value: Any) -> str:
    """A JSON value in few words."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 80 else text[:79] + "…"
