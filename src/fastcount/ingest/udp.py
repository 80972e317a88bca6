"""The UDP door: one socket a worker, read by native threads, or by the event loop when `--udp-workers` is 0.

Several native workers share the port by SO_REUSEPORT: the kernel keeps a sender at one worker, so its frames stay in
order. What the kernel had to drop is counted in both ways of reading (SO_RXQ_OVFL).

Closing loses nothing that the kernel accepted: `stop` first *connects* each socket to itself, from when on the kernel
queues nothing new for it but keeps what is there, so draining ends even while a flood goes on.
"""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from fastcount._core import Store
from fastcount._receiver import UdpReceiver
from fastcount.address import HostPort, pack_address
from fastcount.errors import FastcountError, FrameError

log = logging.getLogger("fastcount.udp")

SO_RCVBUFFORCE = 33  # asm-generic/socket.h
SO_RXQ_OVFL = 40
UDP_GRO = 104  # linux/udp.h
PER_CALLBACK = 64  # datagrams the loop reads before it turns to other things
MAX_DATAGRAM = 65_535
_BROKEN = frozenset((errno.EBADF, errno.ENOTSOCK, errno.EINVAL))  # reading this socket will not work again
_DROPS = struct.Struct("=I")
_DROPS_SPACE = socket.CMSG_SPACE(_DROPS.size)


def open_sockets(door: HostPort, count: int, rcvbuf: int, *, gro: bool) -> list[socket.socket]:
    """Bind `count` ≥ 1 non-blocking sockets to one port. rcvbuf: bytes wanted. Raises OSError, with none left open."""
    family, _, _, _, sockaddr = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_DGRAM)[0]
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            opened.append(sock)
            sock.setblocking(False)
            _set_rcvbuf(sock, rcvbuf)
            sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            if gro:
                with contextlib.suppress(OSError):  # before Linux 5.0: datagrams come one by one
                    sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
            # The first binds without SO_REUSEPORT and sets it after: so a port that another server of this user has
            # is an error, not shared with it.
            if len(opened) > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(sockaddr)
            if len(opened) == 1 and count > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sockaddr = sock.getsockname()
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return opened


def _set_rcvbuf(sock: socket.socket, size: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)  # past net.core.rmem_max; needs CAP_NET_ADMIN
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def rcvbuf_of(sock: socket.socket) -> int:
    """What setsockopt granted, in bytes. (The kernel doubles it for its own book-keeping, and reports the double.)"""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def _refuse_new(sock: socket.socket) -> None:
    """Let the kernel queue nothing more, and keep what it holds."""
    name = sock.getsockname()
    with contextlib.suppress(OSError):
        if name[0] in ("0.0.0.0", "::"):
            sock.connect(("127.0.0.1" if sock.family == socket.AF_INET else "::1", name[1]))
        else:
            sock.connect(name)


class LoopReceiver:
    """Reads a socket on the event loop. At most `PER_CALLBACK` datagrams at a time, so that a flood starves no read."""

    def __init__(self, store: Store, sock: socket.socket) -> None:
        self._store = store
        self._sock = sock
        self._buffer = bytearray(MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._stats = dict.fromkeys(
            ("datagrams", "frames", "bytes", "batches", "kernel_drops", "truncated", "errors"), 0
        )

    def stats(self) -> dict[str, int]:
        """The same keys as `UdpReceiver.stats`."""
        return self._stats.copy()

    def read_some(self) -> int:
        """Apply what is there, up to the bound; returns how many datagrams. Raises OSError if the socket is broken."""
        sock, stats = self._sock, self._stats
        size = count = 0
        try:
            for _ in range(PER_CALLBACK):
                try:
                    n, ancillary, flags, sender = sock.recvmsg_into((self._buffer,), _DROPS_SPACE)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _BROKEN:
                        raise
                    stats["errors"] += 1  # of one packet, and passing
                    break
                count += 1
                size += n
                for level, kind, data in ancillary:
                    if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                        # the kernel's counter has 32 bits and wraps
                        stats["kernel_drops"] += (_DROPS.unpack(data)[0] - stats["kernel_drops"]) & 0xFFFFFFFF
                if flags & socket.MSG_TRUNC:
                    stats["truncated"] += 1
                with contextlib.suppress(FrameError):  # the store counted it
                    self._store.apply(self._view[:n], pack_address(sender))
        finally:
            stats["datagrams"] += count
            stats["bytes"] += size
            stats["frames"] += count
            stats["batches"] += count > 0
        return count


class UdpDoor:
    """All sockets and readers of one UDP address.

    on_death: called on the loop when a worker ends without being told to, with the reason; the server stops then.
    """

    def __init__(
        self, store: Store, sockets: list[socket.socket], *, workers: int, on_death: Callable[[str], None]
    ) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sockets = sockets
        self._on_death = on_death
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._done: list[asyncio.Event] = []
        self._reader = LoopReceiver(store, sockets[0]) if workers == 0 else None
        self._native = [UdpReceiver(store, sock.fileno()) for sock in sockets] if workers else []

    @property
    def sockname(self) -> tuple[Any, ...]:
        name: tuple[Any, ...] = self._sockets[0].getsockname()
        return name

    def stats(self) -> list[dict[str, int]]:
        """An entry a socket: what the receiver counts, and `rcvbuf`, the bytes of socket buffer granted."""
        rcvbuf = rcvbuf_of(self._sockets[0]) if self._sockets else 0
        receivers = [self._reader] if self._reader is not None else self._native
        return [receiver.stats() | {"rcvbuf": rcvbuf} for receiver in receivers]

    def start(self) -> None:
        """Begin to read; to be called on the running loop."""
        self._loop = asyncio.get_running_loop()
        if self._reader is not None:
            self._loop.add_reader(self._sockets[0], self._readable)
            return
        # Threads inherit the mask: a signal must find the loop's thread, never a worker inside the kernel.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for number, receiver in enumerate(self._native):
                done = asyncio.Event()
                thread = threading.Thread(
                    target=self._work, args=(number, receiver, done), name=f"udp-{number}", daemon=True
                )
                thread.start()
                self._threads.append(thread)
                self._done.append(done)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    async def stop(self, within: float) -> bool:
        """Refuse what is new, count what the kernel still holds, close. False if that took longer than `within` s."""
        self._stopping = True
        for sock in self._sockets:
            _refuse_new(sock)
        try:
            async with asyncio.timeout(within):
                await self._drain()
        except TimeoutError:
            return False  # a worker may still be inside: its socket stays open
        for sock in self._sockets:
            sock.close()
        self._sockets = []
        return True

    async def _drain(self) -> None:
        if self._reader is not None and self._loop is not None:
            self._loop.remove_reader(self._sockets[0])
            more = True
            while more:
                try:
                    more = self._reader.read_some() > 0
                except OSError as error:  # the socket is broken, which may be why we stop
                    log.error("reading UDP failed: %s", error)
                    break
                await asyncio.sleep(0)
        for receiver in self._native:
            receiver.stop()
        for done in self._done:
            await done.wait()

    def _readable(self) -> None:
        assert self._reader is not None
        assert self._loop is not None
        try:
            self._reader.read_some()
        except (OSError, FastcountError) as error:
            self._loop.remove_reader(self._sockets[0])
            log.critical("reading UDP failed: %s", error)
            self._on_death(f"reading UDP failed: {error}")

    def _work(self, number: int, receiver: UdpReceiver, done: asyncio.Event) -> None:
        assert self._loop is not None
        reason = "it returned without being asked to"
        try:
            receiver.run()
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            if not isinstance(error, OSError):
                log.exception("UDP worker %d failed", number)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server gave up waiting
            self._loop.call_soon_threadsafe(self._ended, number, reason, done)

    def _ended(self, number: int, reason: str, done: asyncio.Event) -> None:
        done.set()
        if not self._stopping:
            log.critical("UDP worker %d died: %s", number, reason)
            self._on_death(f"UDP worker {number} died: {reason}")
