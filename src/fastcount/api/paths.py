"""Where a request line points to: one function for the hot routes and for FastAPI's, so that they cannot disagree.

Paths are split *raw*, before percent-decoding, so that an id may hold anything: ``/v1/counter/hits/a%2Funique`` is the
counter ``a/unique``, ``/v1/counter/hits/a/unique`` is a verb on the counter ``a``. For proxies that mangle ``%2F``
the id may stand in the query instead: ``/v1/counter/hits/increment?id=a/unique``.
"""

from typing import Final, NamedTuple

PREFIX: Final = b"/v1/counter/"
VERBS: Final = frozenset({b"increment", b"unique", b"sample"})

SHAPE: Final = "/v1/counter/{type}/{id}[/verb] or /v1/counter/{type}[/verb]?id={id}, verb: increment, unique, sample"

_HEX = {
    f"{high}{low}".encode(): bytes((int(high + low, 16),))
    for high in "0123456789abcdefABCDEF"
    for low in "0123456789abcdefABCDEF"
}


class Name(NamedTuple):
    """A counter, percent-decoded but not validated. verb: one of VERBS, or empty for the counter itself."""

    type: bytes
    id: bytes
    verb: bytes


class Refusal(NamedTuple):
    """Why a path below PREFIX names no counter. status: 400 or 404."""

    status: int
    code: str
    message: str


_SHAPELESS = Refusal(404, "not_found", f"no such route; counters are at {SHAPE}, and a '/' in an id is written %2F")


def split(path: bytes, query: bytes) -> Name | Refusal:
    """`path`: raw, without the query, starting with PREFIX. `query`: raw, what follows the first ``?``."""
    parts = path[len(PREFIX) :].split(b"/")
    id_ = _id_of(query) if query else None
    if isinstance(id_, Refusal):
        return id_
    raw_type = parts[0]
    if id_ is None:
        if len(parts) == 1:
            return Refusal(404, "not_found", f"the path has no id; counters are at {SHAPE}")
        raw_id = parts[1]
        id_ = _decode(raw_id) if b"%" in raw_id else raw_id
        if id_ is None:
            return _bad_escape(raw_id)
        verbs = parts[2:]
    else:
        verbs = parts[1:]
        if verbs and verbs[0] not in VERBS:
            return Refusal(400, "bad_path", f"an id stands in the path and in the query; write {SHAPE}")
    if verbs and (len(verbs) > 1 or verbs[0] not in VERBS):
        return _SHAPELESS
    type_ = _decode(raw_type) if b"%" in raw_type else raw_type
    if type_ is None:
        return _bad_escape(raw_type)
    return Name(type_, id_, verbs[0] if verbs else b"")


def _id_of(query: bytes) -> bytes | Refusal | None:
    """The parameter ``id``, form-decoded (``+`` is a blank), None if there is none. Other parameters are left alone."""
    id_: bytes | None = None
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key != b"id" and (b"%" not in key or _decode(key) != b"id"):
            continue
        if id_ is not None:
            return Refusal(400, "bad_path", "the query gives id more than once")
        value = value.replace(b"+", b" ")
        decoded = _decode(value) if b"%" in value else value
        if decoded is None:
            return _bad_escape(value)
        id_ = decoded
    return id_


def _decode(raw: bytes) -> bytes | None:
    """Percent-decoded; None if a ``%`` is not followed by two hex digits."""
    first, *rest = raw.split(b"%")
    out = [first]
    try:
        for part in rest:
            out.append(_HEX[part[:2]])
            out.append(part[2:])
    except KeyError:
        return None
    return b"".join(out)


def _bad_escape(raw: bytes) -> Refusal:
    shown = raw[:80].decode("ascii", "backslashreplace")
    return Refusal(
        400, "bad_escape", f"{shown!r} has a '%' without two hex digits after it; a '%' in a name is written %25"
    )
