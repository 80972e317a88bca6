"""Turns what a client buffered into datagrams and hands them to the kernel, without ever blocking by itself."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from fastcount import names, wire
from fastcount.errors import ConfigError
from fastcount.packer import DATAGRAM, MIN_SIZE, Packed, Packer
from fastcount.sender import Outcome, Pacer, UdpSender

Name = str | bytes
Counts = dict[Name, dict[Name, int]]  # by type and id: the sum of the deltas
Rows = dict[Name, list[tuple[int, Name, Name]]]  # by type: op, id and member

_BACKOFF = (0.0005, 0.02)  # seconds between tries while the kernel has no room: first, longest
_FRAMES_A_TURN = 8  # then an event loop gets a chance


class Options(NamedTuple):
    """How a client sends; `Client` describes them."""

    max_datagram: int = DATAGRAM
    flush_interval: float = 0.1
    heartbeat: float = 1.0
    max_pending: int = 100_000
    max_rate: float | None = None
    patience: float = 1.0
    key: tuple[int, bytes] | None = None

    def check(self, port: int, transport: str) -> None:
        """Raises ConfigError."""
        if transport == "tcp":
            raise ConfigError("transport='tcp' is not there yet; use transport='udp'")
        if transport != "udp":
            raise ConfigError(f"transport is 'udp', not {transport!r}")
        limits = (
            ("port", port, 1, 65_535),
            ("max_datagram", self.max_datagram, MIN_SIZE, wire.MAX_DATAGRAM),
            ("flush_interval", self.flush_interval, 0.001, 3600),
            ("heartbeat", self.heartbeat, 0.001, 3600),
            ("max_pending", self.max_pending, 1, 1 << 40),
            ("patience", self.patience, 0, 3600),
        )
        for what, value, low, high in limits:
            if not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(f"{what} is {low:,} to {high:,}, not {value!r}")
        Pacer(self.max_rate)
        if self.key is not None:
            try:
                wire.check_key(*self.key)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"key is (id, 16 to 64 bytes): {error}") from None


class Pump:
    """One batch at a time: `load` it, then `run` until `idle`. Not thread-safe.

    frames, records, bytes: handed to the kernel. dropped: records that it did not take within `patience` a batch.
    """

    def __init__(self, options: Options, sender: UdpSender) -> None:
        self.frames = self.records = self.bytes = self.dropped = 0
        self._packer = Packer(options.max_datagram, key=options.key)
        self._pacer = Pacer(options.max_rate)
        self._patience = options.patience
        self._patience_left = 0.0
        self._loaded = 0
        self._sender = sender
        self._rest: Iterator[Packed] = iter(())
        self._next: Packed | None = None

    @property
    def source(self) -> int:
        """The source id in all frames."""
        return self._packer.source

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._next is None

    @property
    def begun(self) -> bool:
        """Whether there has been any frame, so that there are books to close."""
        return self._packer.seq > 0

    @property
    def under_way(self) -> int:
        """Records of the batch that are not sent yet."""
        return 0 if self._next is None else max(0, self._loaded)

    def load(self, counts: Counts, rows: Rows) -> None:
        """Take a batch, whose names are legal. Only while idle."""
        self._patience_left = self._patience
        self._loaded = sum(map(len, counts.values())) + sum(map(len, rows.values()))
        self._rest = self._pack(counts, rows)
        self._next = next(self._rest, None)

    def run(self, deadline: float) -> Iterator[float]:
        """Send until idle, or until `deadline` (of time.monotonic). Yields seconds to wait before going on."""
        turn = 0
        while self._next is not None:
            while (wait := self._pacer.delay()) > 0:
                if (left := deadline - time.monotonic()) < wait:
                    yield max(0.0, left)
                    return
                yield wait
            backoff = _BACKOFF[0]
            while (outcome := self._sender.send(self._next.data)) is Outcome.FULL and self._patience_left > 0:
                if (left := deadline - time.monotonic()) < backoff:
                    yield max(0.0, left)
                    return
                yield backoff
                self._patience_left -= backoff
                backoff = min(2 * backoff, _BACKOFF[1])
            self._account(self._next, outcome)
            self._next = next(self._rest, None)
            turn += 1
            if turn % _FRAMES_A_TURN == 0:
                yield 0.0

    def end(self) -> None:
        """Send a frame with END, once. Only while idle."""
        for frame in self._packer.finish(end=True):
            self._account(frame, self._sender.send(frame.data))

    def abandon(self) -> None:
        """Give up what is under way. It stays numbered and counted as sent, so the server reports it as lost."""
        while self._next is not None:
            self._account(self._next, Outcome.FAILED)
            self._next = next(self._rest, None)

    def _account(self, frame: Packed, outcome: Outcome) -> None:
        self._loaded -= frame.records
        if outcome is Outcome.SENT:
            self.frames += 1
            self.records += frame.records
            self.bytes += len(frame.data)
            self._pacer.sent(frame.records)
        else:
            self.dropped += frame.records

    def _pack(self, counts: Counts, rows: Rows) -> Iterator[Packed]:
        put, encode = self._packer.put, wire.encode_record
        for type_ in dict.fromkeys((*counts, *rows)):  # a type's records are together: TYPE is written once a frame
            name = names.type_bytes(type_)
            for id_, total in counts.get(type_, {}).items():
                id_bytes = id_ if isinstance(id_, bytes) else id_.encode()
                if total == 1:
                    yield from put(name, encode(wire.INC, id_bytes))
                    continue
                while total:  # more than one record where the sum has left signed 64-bit
                    part = min(max(total, wire.I64_MIN), wire.I64_MAX)
                    total -= part
                    yield from put(name, encode(wire.ADD, id_bytes, part))
            for op, id_, member in rows.get(type_, ()):
                id_bytes = id_ if isinstance(id_, bytes) else id_.encode()
                member_bytes = member if isinstance(member, bytes) else member.encode()
                yield from put(name, encode(op, id_bytes, 1, member_bytes))
        yield from self._packer.finish()
