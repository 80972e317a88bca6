"""What each route does, from checked bytes to an Answer: called by the hot routes and by FastAPI's alike."""

from collections.abc import Callable
from typing import Any, Final

from fastcount._core import Store
from fastcount.api import bodies, responses
from fastcount.api.paths import Name
from fastcount.api.reading import Reader
from fastcount.api.responses import Answer, error
from fastcount.errors import FrameError, InvalidName, LimitReached

Headers = list[tuple[bytes, bytes]]

JSON: Final = b"application/json"
NDJSON: Final = b"application/x-ndjson"
FRAME: Final = frozenset({b"application/octet-stream", b"application/vnd.fastcount.frame"})

_NOT_COUNTED = {
    "stale": "the frame is older than the window of frames that is remembered, so it may have been counted before",
    "ahead": "the sequence number is implausibly far ahead of the last one of this source",
    "inconsistent": "`sent` contradicts earlier frames of this source",
}


class Operations:
    """store: where counts live. clock: Unix seconds, for `as_of`."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.store = store
        self.reader = Reader(store.read, store.unique, clock)

    def get(self, name: Name) -> Answer:
        try:
            return Answer(200, self.reader.body(name.type, name.id))
        except InvalidName as refused:
            return invalid_name(refused)

    def unique(self, name: Name) -> Answer:
        try:
            return Answer(200, self.reader.unique_body(name.type, name.id))
        except InvalidName as refused:
            return invalid_name(refused)

    def sample(self, name: Name) -> Answer:
        try:
            said = self._sample(name.type, name.id, bodies.MAX_SAMPLE)
        except InvalidName as refused:
            return invalid_name(refused)
        return responses.ok({"type": name.type.decode(), "id": name.id.decode(), **said})

    def increment(self, name: Name, headers: Headers, body: bytes) -> Answer:
        """headers: names in lower case, as ASGI has them."""
        refusal = refuse_cross_site(headers) or refuse_encoding(headers)
        if refusal is not None:
            return refusal
        media = media_type(headers)
        if media != JSON and (media or body):
            return unsupported(media, "application/json")
        try:
            delta, member = bodies.increment(body)
            value = self.store.incr(name.type, name.id, delta, member)
        except bodies.BadBody as bad:
            return error(bad.status, bad.code, str(bad), **bad.details)
        except InvalidName as refused:
            return invalid_name(refused)
        except LimitReached as refused:
            return responses.limit_reached(refused)
        return Answer(200, responses.incremented_body(name.type, name.id, value))

    def reset(self, name: Name) -> Answer:
        try:
            was = self.store.reset(name.type, name.id)
            value = self.store.read(name.type, name.id).value  # not 0 if someone counted in between
        except InvalidName as refused:
            return invalid_name(refused)
        return responses.ok(
            {"type": name.type.decode(), "id": name.id.decode(), "value": value, "was": was, "durable": False}
        )

    def apply_frame(self, frame: bytes, address: bytes) -> Answer:
        """A binary frame of a client, with its own books."""
        try:
            applied = self.store.apply(frame, address)
        except FrameError as bad:
            why = "; sign it with a key that this server knows" if bad.code == "signature" else ""
            return error(400, "malformed_frame", f"{bad}{why}", fault=bad.code, offset=bad.offset)
        if applied.status in _NOT_COUNTED:
            return error(409, applied.status, f"not counted: {_NOT_COUNTED[applied.status]}")
        duplicate = applied.status == "duplicate"
        return batch_answer(0 if duplicate else applied.records - applied.refused, applied.refused, duplicate)

    def apply_frames(self, frames: list[bodies.Frame], address: bytes) -> Answer:
        """Increments that came as JSON; each frame is one consistent cut."""
        refused = sum(self.store.apply(frame.data, address, trusted=True).refused for frame in frames)
        return batch_answer(sum(frame.records for frame in frames) - refused, refused, False)

    def read_many(self, asked: bodies.Asked) -> Answer:
        stamp, lost, rows = self.reader.stamp(), 0, []
        for type_, id_ in asked.names:
            value, pending, lost = self.store.read(type_, id_)
            row: dict[str, Any] = {"type": type_.decode(), "id": id_.decode(), "value": value, "pending": pending}
            if asked.unique:
                row["unique"], row["error"] = self.store.unique(type_, id_)
            if asked.sample:
                row |= self._sample(type_, id_, asked.sample)
            rows.append(row)
        return responses.ok({"counters": rows, "as_of": stamp.decode(), "lost": lost})

    def unique_of_type(self, type_: bytes) -> Answer:
        """Over all names of a type."""
        try:
            distinct, relative = self.store.unique(type_)
        except InvalidName as refused:
            return invalid_name(refused)
        return responses.ok({"type": type_.decode(), "unique": distinct, "error": relative})

    def top(self, type_: bytes, k: int, by: str) -> Answer:
        """k: 1..10,000. by: value or unique."""
        try:
            rows = self.store.top(type_, k, by)
        except InvalidName as refused:
            return invalid_name(refused)
        return responses.ok(
            {
                "type": type_.decode(),
                "by": by,
                "k": k,
                "complete": self._complete(type_),
                "as_of": self.reader.stamp().decode(),
                "top": [{"id": id_.decode(), by: value} for id_, value in rows],
            }
        )

    def sources(self, limit: int, source: str | None) -> Answer:
        """limit: rows shown. source: 16 hex digits, None for all. The totals are over all sources, also those that left
        the ledger."""
        found = self.store.sources(limit, None if source is None else int(source, 16))
        # row by row: one call would keep the GIL, and so the event loop, while it writes megabytes
        rows = b",".join([responses.to_json(row) for row in found])
        return Answer(200, b'{"sources":[%b],"totals":%b}' % (rows, responses.to_json(self.store.books())))

    def _sample(self, type_: bytes, id_: bytes, most: int) -> dict[str, Any]:
        """The first `most` members: they are the sample of that size. Raises InvalidName."""
        members, distinct, complete = self.store.sample(type_, id_)
        return {
            "sample": [member.decode() for member in members[:most]],
            "distinct": distinct,
            "complete": complete and len(members) <= most,
        }

    def _complete(self, type_: bytes) -> bool:
        """No name of this type, and no member, was ever refused by a limit."""
        stats: Any = self.store.stats()
        row = stats["types"].get(type_.decode())
        return bool(row["refused"] == 0 if row else stats["refused"]["max_types"] == 0)


def batch_answer(applied: int, refused: int, duplicate: bool) -> Answer:
    return responses.ok({"applied": applied, "refused": refused, "duplicate": duplicate, "durable": False})


def invalid_name(refused: InvalidName) -> Answer:
    return error(422, "invalid_name", str(refused))


def media_type(headers: Headers) -> bytes:
    """Of the first Content-Type, without parameters, in lower case; empty if there is none."""
    for key, value in headers:
        if key == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""


def unsupported(media: bytes, wanted: str) -> Answer:
    said = f"{media.decode('latin-1')!r:.80} is not supported" if media else "the body has no Content-Type"
    return error(415, "unsupported_media_type", f"{said}; send Content-Type: {wanted}")


def refuse_cross_site(headers: Headers) -> Answer | None:
    """403 if a browser sends this for a page of another site: an increment needs no body, so it would not ask us
    first. What is no browser, or too old, does not say where it comes from."""
    for key, value in headers:
        if key == b"sec-fetch-site" and value.strip().lower() == b"cross-site":
            message = "a browser sent this for a page of another site (Sec-Fetch-Site: cross-site); count from a server"
            return error(403, "cross_site", f"{message}, or from a page of this site")
    return None


def refuse_encoding(headers: Headers) -> Answer | None:
    """415 if the body is compressed."""
    for key, value in headers:
        if key == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            said = f"{value.decode('latin-1')!r:.80}"
            return error(
                415, "unsupported_encoding", f"Content-Encoding {said} is not supported; send the body as it is"
            )
    return None
