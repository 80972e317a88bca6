"""A connected UDP socket that never blocks, which clients send through, and a pacer, which `fastcount load` has too."""

import enum
import errno
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from fastcount.errors import ConfigError

ATTEMPTS = 4  # per datagram, when the peer refuses
SEND_BUFFER = 1 << 20  # asked for; the kernel may give less

Address = tuple[socket.AddressFamily, Any]  # family, and what connect() takes for it


class Outcome(enum.Enum):
    """SENT: the kernel has it. FULL: the kernel has no room now, try later. FAILED: it will not be taken."""

    SENT = 0
    FULL = 1
    FAILED = 2


def candidates(found: Sequence[tuple[Any, ...]]) -> list[Address]:
    """What getaddrinfo found, each address once, in its order."""
    return list(dict.fromkeys((entry[0], entry[4]) for entry in found))


def resolve(host: str, port: int) -> list[Address]:
    """Look the name up. Raises ConfigError."""
    try:
        return candidates(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM))
    except (OSError, UnicodeError) as error:
        raise unresolved(host, error) from None


def unresolved(host: str, error: Exception) -> ConfigError:
    """The error for a host that has no address."""
    return ConfigError(f"host {host!r} has no address ({error}); give an IP address or a name that resolves")


class UdpSender:
    """Sends datagrams to the first of `addresses` that does not refuse them.

    A connected socket reports the fate of an earlier datagram (ICMP port unreachable) on a later call: that is
    counted in `refused`, the call is made again, and the next address is tried where there are several (a
    `localhost` that is ::1 first, a server that listens on 127.0.0.1). Not thread-safe.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.refused = 0
        self.last_error: OSError | None = None
        self.addresses = list(addresses)
        self._sock: socket.socket | None = None
        self._closed = False

    def send(self, data: bytes) -> Outcome:
        """Hand one datagram to the kernel. Never raises, never waits."""
        for _ in range(ATTEMPTS):
            if self._closed:
                return Outcome.FAILED
            try:
                if self._sock is None:
                    self._sock = self._open()
                self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                return Outcome.FULL
            except ConnectionRefusedError:
                self.refused += 1
                self._rotate()
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return Outcome.FULL
                self.last_error = error
                return Outcome.FAILED
            else:
                return Outcome.SENT
        return Outcome.FAILED

    def forget(self) -> None:
        """Close the socket; the next `send` opens another one (after a fork, say)."""
        sock, self._sock = self._sock, None
        if sock is not None:
            with suppress(OSError):
                sock.close()

    def close(self) -> None:
        """Close for good: later datagrams fail."""
        self._closed = True
        self.forget()

    def _open(self) -> socket.socket:
        for left in reversed(range(len(self.addresses))):
            family, address = self.addresses[0]
            sock = None
            try:
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.setblocking(False)
                sock.connect(address)
            except OSError:
                if sock is not None:
                    sock.close()
                if not left:
                    raise
                self._rotate()
            else:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                return sock
        raise OSError("no address to send to")

    def _rotate(self) -> None:
        if len(self.addresses) > 1:
            self.addresses.append(self.addresses.pop(0))
            self.forget()


class Pacer:
    """Spreads records over time: at most `rate` a second, in bursts of at most `burst` seconds' worth.

    rate: records a second, above 0; None: no limit.
    """

    def __init__(self, rate: float | None, *, burst: float = 0.01, clock: Callable[[], float] = time.monotonic) -> None:
        if rate is not None and not rate > 0:
            raise ConfigError(f"a rate is above 0 records a second, not {rate}")
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._free = clock()  # when the next record may leave

    def delay(self) -> float:
        """Seconds to wait before the next datagram."""
        return 0.0 if self._rate is None else max(0.0, self._free - self._clock())

    def sent(self, records: int) -> None:
        """Take note of a datagram that left."""
        if self._rate is not None:
            self._free = max(self._free, self._clock() - self._burst) + records / self._rate
