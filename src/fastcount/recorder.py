"""What the two clients share: the buffer that calls go into, and the pump that turns it into datagrams.

Calls come from any thread and from awkward places (signal handlers, destructors, the middle of another call), and
must neither wait nor raise. So the lock is only tried: who does not get it at once puts the call aside, into a deque,
from where the pump takes it. Only when many are there does a call wait for the lock, for a moment.
"""

import logging
import operator
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, SupportsIndex

from fastcount import names, wire
from fastcount.pump import Counts, Name, Options, Pump, Rows
from fastcount.sender import UdpSender

log = logging.getLogger("fastcount.client")

_ONE = 1
_ASIDE = 1000  # calls put aside before one waits for the lock
_PAUSE = 0.01  # seconds; whoever has interrupted the lock's holder would wait in vain
_FLUSH_AT = 10_000  # records; more are not kept for the interval


class Stats(NamedTuple):
    """A client's figures since it began (since the fork, in a child).

    frames, records, bytes: handed to the kernel. pending: records that wait. invalid: calls refused for a bad name,
    member or delta. dropped: records given up, for want of room here or in the kernel, or because they came after
    `close`. refused_by_peer: datagrams of which the peer's system said that nobody listens.
    source: 16 hex digits, as in the server's /v1/sources.
    """

    source: str
    frames: int
    records: int
    bytes: int
    pending: int
    invalid: int
    dropped: int
    refused_by_peer: int


class Recorder:
    """The calls of a client, and its buffer. Not for use on its own: a subclass says how to wake whoever pumps."""

    def __init__(self, options: Options, sender: UdpSender) -> None:
        self._options = options
        self._sender = sender
        self._flush_at = max(1, min(options.max_pending // 2, _FLUSH_AT))
        self._closed = False
        self._reset()
        recorders.add(self)

    def _reset(self) -> None:
        """A new source with nothing pending: at the start, and in a forked child."""
        self._lock = threading.Lock()  # guards the buffer
        self._try_lock = self._lock.acquire
        self._unlock = self._lock.release
        self._counts: Counts = {}
        self._rows: Rows = {}
        self._aside: deque[tuple[int, Any, Any, Any]] = deque()
        self._pending = 0
        self._invalid = 0
        self._no_room = 0
        self._no_room_aside: dict[int, int] = {}  # a key a thread, so that no count is lost without the lock
        self._pump = Pump(self._options, self._sender)  # guarded by the subclass
        self._told = 0  # drops that `flush` has reported

    def _forked(self) -> None:
        self._sender.forget()
        self._sender.refused = 0
        self._reset()

    # What users call

    def incr(self, type: Name, id: Name, delta: int = 1) -> None:
        """Add `delta` (signed 64-bit) to the total of (type, id). Never waits, never raises: a bad call is counted
        in `stats.invalid`."""
        if not self._try_lock(False):
            return self._put_aside(wire.ADD, type, id, delta)
        try:
            if delta is not _ONE and (delta.__class__ is not int or not wire.I64_MIN <= delta <= wire.I64_MAX):
                raise TypeError
            self._counts[type][id] += delta
        except Exception:
            self._first(type, id, delta)
        finally:
            self._unlock()

    def hit(self, type: Name, id: Name, member: Name) -> None:
        """Add 1 to the total, and count `member` among its uniques and for its sample. As for `incr`, never raises."""
        self._member(wire.HIT, type, id, member)

    def seen(self, type: Name, id: Name, member: Name) -> None:
        """Count `member` among the uniques of (type, id); the total stays. As for `incr`, never raises."""
        self._member(wire.SEEN, type, id, member)

    def sample(self, type: Name, id: Name, member: Name) -> None:
        """Offer `member` to the sample of (type, id); the total stays. As for `incr`, never raises."""
        self._member(wire.SAMPLE, type, id, member)

    @property
    def source(self) -> str:
        """This process's source id, 16 hex digits."""
        return f"{self._pump.source:016x}"

    @property
    def stats(self) -> Stats:
        """A snapshot of the figures."""
        return Stats(
            source=self.source,
            frames=self._pump.frames,
            records=self._pump.records,
            bytes=self._pump.bytes,
            pending=self._pending + len(self._aside) + self._pump.under_way,
            invalid=self._invalid,
            dropped=self._dropped(),
            refused_by_peer=self._sender.refused,
        )

    # The buffer. All but _put_aside are called with the lock held.

    def _member(self, op: int, type: Name, id: Name, member: Name) -> None:
        if not self._try_lock(False):
            return self._put_aside(op, type, id, member)
        try:
            self._row(op, type, id, member)
        finally:
            self._unlock()

    def _put_aside(self, op: int, type: Any, id: Any, value: Any) -> None:
        waiting = len(self._aside)
        if waiting >= _ASIDE and self._lock.acquire(timeout=_PAUSE):
            # the holder was preempted in the middle of its microsecond, and more calls came: let it go on
            try:
                self._fetch_aside()
                self._apply(op, type, id, value)
            finally:
                self._unlock()
        elif waiting < self._options.max_pending and not self._closed:
            self._aside.append((op, type, id, value))
            self._wake()
        else:
            thread = threading.get_ident()
            self._no_room_aside[thread] = self._no_room_aside.get(thread, 0) + 1

    def _first(self, type: Name, id: Name, delta: SupportsIndex) -> None:
        """An increment of a name that is not in the buffer, or a bad one."""
        try:
            delta = int(operator.index(delta))
            wire.zigzag(delta)
            counts = self._counts.get(type)
            if counts is None:
                names.type_bytes(type)
            elif id in counts:
                counts[id] += delta
                return
            _check(id, names.MAX_ID)
            if self._room():
                if counts is None:
                    counts = self._counts[type] = {}
                counts[id] = delta
                self._added()
        except Exception as error:
            self._refuse(error)

    def _row(self, op: int, type: Name, id: Name, member: Name) -> None:
        try:
            rows = self._rows.get(type)
            if rows is None:
                names.type_bytes(type)
            _check(id, names.MAX_ID)
            _check(member, names.MAX_MEMBER)
            if self._room():
                if rows is None:
                    rows = self._rows[type] = []
                rows.append((op, id, member))
                self._added()
        except Exception as error:
            self._refuse(error)

    def _room(self) -> bool:
        if self._pending < self._options.max_pending and not self._closed:
            return True
        self._no_room += 1
        return False

    def _added(self) -> None:
        self._pending += 1
        if self._pending == 1:
            self._wake()
        if self._pending == self._flush_at:
            self._hurry()

    def _refuse(self, error: Exception) -> None:
        if not self._invalid:
            log.warning("fastcount: a call was refused and counted in stats.invalid (said once): %s", error)
        self._invalid += 1

    def _fetch_aside(self) -> None:
        for _ in range(len(self._aside)):
            self._apply(*self._aside.popleft())

    def _apply(self, op: int, type: Any, id: Any, value: Any) -> None:
        if op == wire.ADD:
            self._first(type, id, value)
        else:
            self._row(op, type, id, value)

    def _dropped(self) -> int:
        return self._no_room + self._pump.dropped + sum(list(self._no_room_aside.values()))

    def _wake(self) -> None:
        """Something is pending; may be called anywhere, with or without the lock."""
        raise NotImplementedError

    def _hurry(self) -> None:
        """Enough is pending to be sent at once."""
        raise NotImplementedError

    # What the subclass calls, one at a time.

    def _work(self, deadline: float) -> Iterator[float]:
        """Send what is under way, then all that is in the buffer now; `deadline` and result as for `Pump.run`."""
        yield from self._pump.run(deadline)
        if self._pump.idle and self._load(_timeout(deadline)):
            yield from self._pump.run(deadline)

    def _abandon(self) -> None:
        """After `_finish`: give up what is under way and what is in the buffer. It is numbered and counted as sent, so
        the server reports it as lost."""
        self._pump.abandon()
        if self._load(_PAUSE):
            self._pump.abandon()

    def _load(self, timeout: float) -> bool:
        """Hand the buffer to the pump, which is idle. False if the lock could not be had."""
        if not self._lock.acquire(timeout=timeout):
            return False
        try:
            self._fetch_aside()
            counts, self._counts = self._counts, {}
            rows, self._rows = self._rows, {}
            self._pending = 0
        finally:
            self._unlock()
        self._pump.load(counts, rows)
        return True

    def _finish(self, deadline: float) -> None:
        """Take no more calls; those that were put aside before are still taken."""
        locked = self._lock.acquire(timeout=_timeout(deadline))
        try:
            if locked:
                self._fetch_aside()
            self._closed = True
        finally:
            if locked:
                self._unlock()

    def _told_all(self) -> bool:
        """Whether nothing is under way and nothing was dropped since this was last asked."""
        told, self._told = self._told, self._dropped()
        return self._pump.idle and told == self._told


def _check(name: Name, limit: int) -> None:
    """Whether an id or member is legal; quick for the usual kind. Raises InvalidName."""
    if not (name.__class__ is str and name.isascii() and name.isprintable() and 0 < len(name) <= limit):
        names.id_bytes(name) if limit == names.MAX_ID else names.member_bytes(name)


def _timeout(deadline: float) -> float:
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)


recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


def _after_fork() -> None:
    for recorder in list(recorders):
        recorder._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
