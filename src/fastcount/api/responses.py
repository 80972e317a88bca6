"""What an answer looks like: the one place that builds status, headers and JSON, for hot routes and for FastAPI's."""

import json
from typing import Any, Final, NamedTuple

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fastcount.errors import LimitReached

JSON_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),  # a count is old the moment it is sent
    (b"x-content-type-options", b"nosniff"),
)
CLOSE: Final = (b"connection", b"close")

_FIXED = b"".join(b"%b: %b\r\n" % header for header in JSON_HEADERS)

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """A JSON answer. extra: headers beside JSON_HEADERS and content-length."""

    status: int
    body: bytes
    extra: Headers = ()

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*JSON_HEADERS, *self.extra, (b"content-length", b"%d" % len(self.body))]


class JsonAnswer(Response):
    """An Answer as FastAPI sends it."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self.body = answer.body
        self.raw_headers = answer.headers()
        self.background = None


def head(status: int, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """Status line and the headers that every answer of this status has, in the order in which uvicorn writes them."""
    return b"".join([STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in default_headers), _FIXED])


def render(answer: Answer, head_: bytes, *, keep_alive: bool, with_body: bool) -> bytes:
    """An Answer as it goes over the connection where no ASGI server stands between. head_: `head` of its status."""
    extra = b"".join(b"%b: %b\r\n" % header for header in answer.extra)
    close = b"" if keep_alive or CLOSE in answer.extra else b"connection: close\r\n"
    body = answer.body if with_body else b""
    return b"%b%bcontent-length: %d\r\n%b\r\n%b" % (head_, extra, len(answer.body), close, body)


def quote(name: bytes) -> bytes:
    """The inside of a JSON string. `name` was validated: UTF-8 without control characters, so only two bytes need
    an escape (RFC 8259, section 7)."""
    if b"\\" in name:
        name = name.replace(b"\\", b"\\\\")
    return name.replace(b'"', b'\\"') if b'"' in name else name


def incremented_body(type_: bytes, id_: bytes, value: int) -> bytes:
    return b'{"type":"%b","id":"%b","value":%d,"durable":false}' % (type_, quote(id_), value)


def to_json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_jsonable).encode()


def ok(content: object) -> Answer:
    return Answer(200, to_json(content))


def error(status: int, code: str, message: str, *, extra: Headers = (), **details: Any) -> Answer:
    """details: further members of the JSON object. Messages may quote input: what is no Unicode becomes ``?``."""
    body = {"error": code, "message": message, **details}
    return Answer(status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"), extra)


def limit_reached(refused: LimitReached) -> Answer:
    return error(507, "limit_reached", f"{refused}; existing names are still counted", limit=refused.limit)


def _jsonable(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
