"""The store, slow and obvious: names and totals in dicts, one thread, no shards."""

import re
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastcount import wire
from fastcount.answers import Applied, Reading
from fastcount.errors import FrameError, InvalidName, LimitReached
from twin.ledger import APPLIED, VERDICTS, TwinLedger

I64_MIN, I64_MAX = -(1 << 63), (1 << 63) - 1
_TYPE = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


def sat(value: int) -> int:
    return max(I64_MIN, min(I64_MAX, value))


def check_type(name: bytes) -> None:
    if not _TYPE.fullmatch(name):
        raise InvalidName(f"type {name!r}")


def check_text(name: bytes, limit: int) -> None:
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidName(f"{name!r} is not UTF-8") from None
    if not 1 <= len(name) <= limit or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text):
        raise InvalidName(f"{name!r}")


@dataclass
class Total:
    """base: what batches have taken. delta: what came since. Both signed 64-bit."""

    base: int = 0
    delta: int = 0

    @property
    def value(self) -> int:
        return sat(self.base + self.delta)


@dataclass
class TwinBatch:
    generation: int
    deltas: dict[tuple[bytes, bytes], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.deltas)

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        for (type, id), delta in self.deltas.items():
            yield type.decode(), id.decode(), delta

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(sorted({type.decode() for type, _ in self.deltas}))


class TwinStore:
    """The API of `fastcount._core.Store`. No bound but `max_counters`, `max_types` and `max_sources`."""

    def __init__(
        self,
        *,
        max_counters: int = 10_000_000,
        max_memory: int = 1 << 30,
        max_types: int = 4096,
        max_sources: int = 65_536,
        shards: int = 16,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_counters, self.max_types = max_counters, max_types
        self.ledger = TwinLedger(max_sources, clock=clock)
        self.totals: dict[tuple[bytes, bytes], Total] = {}
        self.touched: set[tuple[bytes, bytes]] = set()
        self.types: list[bytes] = []
        self.refused: dict[bytes, int] = {}  # records of new names, per type
        self.refused_types = 0  # records of types there was no room for
        self.admit: Container[tuple[bytes, bytes]] | None = None
        self.generation = 0
        self.verdicts = {verdict: {"frames": 0, "records": 0} for verdict in VERDICTS}
        self.malformed = dict.fromkeys(wire.ERRORS, 0)
        self.frame_bytes = 0  # of frames applied
        self.records = 0
        self.saturated = 0
        self.uniques: dict[tuple[bytes, bytes], set[bytes]] = {}
        self.samples: dict[tuple[bytes, bytes], set[bytes]] = {}  # all that was offered
        self.sketched: set[tuple[bytes, bytes]] = set()
        self.events: dict[bytes, int] = {}  # HITs per type

    # What changes totals

    def apply(
        self, frame: bytes, address: bytes = b"", *, admit: Container[tuple[bytes, bytes]] | None = None
    ) -> Applied:
        """`admit`: the only names that may be made. Which names of a frame get the last room is nobody's promise, so
        a test that fills the store says here what the other one chose."""
        self.admit = admit
        try:
            return self._apply_frame(frame, address)
        finally:
            self.admit = None

    def _apply_frame(self, frame: bytes, address: bytes) -> Applied:
        try:
            decoded = wire.decode(frame)
        except FrameError as error:
            self.malformed[error.code] += 1
            self.ledger.malformed(address)
            raise
        n = len(decoded.records)
        if decoded.source is None:
            status = self.ledger.frame(address, n)
        else:
            status = self.ledger.sequenced(address, decoded.source, decoded.seq, decoded.sent, n, decoded.end)
        self.verdicts[status]["frames"] += 1
        self.verdicts[status]["records"] += n
        if status != APPLIED:
            return Applied(status, n, 0)
        self.records += n
        self.frame_bytes += len(frame)
        refused = sum(not self._apply(record) for record in decoded.records)
        return Applied(status, n, refused)

    def _apply(self, record: wire.Record) -> bool:
        known = self._intern(record.type)
        counts = record.op not in (wire.SEEN, wire.SAMPLE)
        limit = self._add(record.type, record.id, record.delta if counts else None, known)
        if limit is None and record.member is not None:
            self._offer(record.type, record.id, record.member, record.op)
        return limit is None

    def _offer(self, type: bytes, id: bytes, member: bytes, op: int) -> None:
        """What a member changes beside the total."""
        if op != wire.SAMPLE:
            self.uniques.setdefault((type, id), set()).add(member)
        if op != wire.SEEN:
            self.samples.setdefault((type, id), set()).add(member)
        self.sketched.add((type, id))
        self.events[type] = self.events.get(type, 0) + (op == wire.HIT)

    def _intern(self, type: bytes) -> bool:
        if type not in self.types and len(self.types) < self.max_types:
            self.types.append(type)
        return type in self.types

    def _add(self, type: bytes, id: bytes, delta: int | None, known: bool) -> str | None:
        """Add to a name, made if need be (delta None: only made). Returns the limit that forbids it, or None."""
        if not known:
            self.refused_types += 1
            return "max_types"
        if (type, id) not in self.totals:
            if len(self.totals) >= self.max_counters or (self.admit is not None and (type, id) not in self.admit):
                self.refused[type] = self.refused.get(type, 0) + 1
                return "max_counters"
            self.totals[type, id] = Total()
        if delta is None:
            return None
        delta += self.totals[type, id].delta
        self.saturated += delta != sat(delta)
        self._set_delta(type, id, delta)
        return None

    def _set_delta(self, type: bytes, id: bytes, delta: int) -> None:
        self.totals[type, id].delta = sat(delta)
        self.touched.add((type, id))

    def incr(self, type: bytes, id: bytes, delta: int = 1, member: bytes | None = None) -> int:
        if delta != sat(delta):
            raise OverflowError("delta is outside of signed 64-bit")
        check_type(type)
        check_text(id, 1023)
        if member is not None:
            check_text(member, 255)
        self.records += 1
        limit = self._add(type, id, delta, self._intern(type))
        if limit:
            raise LimitReached(limit)
        if member is not None:
            self._offer(type, id, member, wire.HIT)
            self.events[type] -= delta == 0
        return self.totals[type, id].value

    def reset(self, type: bytes, id: bytes) -> int:
        check_type(type)
        check_text(id, 1023)
        total = self.totals.get((type, id))
        if total is None:
            return 0
        value = total.value
        self._set_delta(type, id, -total.base)
        return value

    def swap(self) -> TwinBatch:
        batch = TwinBatch(self.generation)
        self.generation += 1
        for name in sorted(self.touched):
            total = self.totals[name]
            self.saturated += total.value != total.base + total.delta
            if total.value != total.base:
                batch.deltas[name] = total.value - total.base
            total.base, total.delta = total.value, 0
        self.touched.clear()
        return batch

    # What reads

    def read(self, type: bytes, id: bytes) -> Reading:
        """pending is what the next batch would hold of this name."""
        check_type(type)
        check_text(id, 1023)
        total = self.totals.get((type, id), Total())
        return Reading(total.value, total.value - total.base, self.ledger.lost)

    def top(self, type: bytes, k: int) -> list[tuple[bytes, int]]:
        check_type(type)
        if not 1 <= k <= 10_000:
            raise ValueError("k: 1..10,000")
        names = [(id, total.value) for (t, id), total in self.totals.items() if t == type]
        return sorted(names, key=lambda item: (-item[1], item[0]))[:k]

    def sources(self, limit: int = 1000) -> list[dict[str, object]]:
        return self.ledger.rows(limit)

    def stats(self) -> dict[str, Any]:
        ledger = self.ledger
        return {
            "counters": len(self.totals),
            "types": {
                type.decode(): {
                    "counters": sum(name[0] == type for name in self.totals),
                    "refused": self.refused.get(type, 0),
                }
                for type in self.types
            },
            "records": self.records,
            "sketches": len(self.sketched),
            "saturated": self.saturated,
            "swaps": self.generation,
            "refused": {
                "max_counters": sum(self.refused.values()),
                "max_memory": 0,
                "max_types": self.refused_types,
            },
            "frames": self.verdicts[APPLIED]["frames"],
            "frame_bytes": self.frame_bytes,
            "malformed": self.malformed,
            "verdicts": self.verdicts,
            "sources": {
                "live": len(ledger.books),
                "evicted": ledger.evicted,
                "untracked_frames": ledger.untracked_frames,
                "untracked_records": ledger.untracked_records,
                "lost": ledger.lost,
            },
        }
