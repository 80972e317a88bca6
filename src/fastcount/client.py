"""The client for threads. `fastcount.aclient` has the one for asyncio."""

import atexit
import random
import threading
import time
import weakref
from contextlib import suppress
from types import TracebackType
from typing import Self

from fastcount.packer import DATAGRAM
from fastcount.pump import Options
from fastcount.recorder import Recorder, log, recorders
from fastcount.sender import UdpSender, resolve

HEARTBEAT_MAX = 60.0  # seconds; heartbeats of an idle client grow rarer up to this
JITTER = (0.75, 1.25)
SLICE = 0.25  # seconds after which the thread lets others at the pump
GRACE = 0.5  # seconds for the thread to notice `close`


class Signal:
    """Wakes one waiting thread. Unlike threading.Event it may be set from a signal handler or a destructor that has
    interrupted the very same call: there is no lock in it that is held for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        with suppress(RuntimeError):  # set already
            self._lock.release()

    def wait(self, timeout: float | None = None) -> None:
        self._lock.acquire(timeout=-1 if timeout is None else timeout)


class Client(Recorder):
    """Sends increments to a fastcount server; thread-safe.

        with Client() as counters:
            counters.incr("content", "123")
            counters.hit("views", "/start", member="user_42")

    Calls go into a buffer: increments of the same name are added up there, and a background thread packs and sends
    what is new every `flush_interval` seconds (with jitter). Calls never wait and never raise: what goes wrong is
    counted in `stats`. After a fork the child begins with an empty buffer and as a source of its own; what was
    pending is the parent's. At the end of the interpreter clients are closed, but not where a process leaves by
    os._exit, as children of multiprocessing do: use `with`, or `close`.

    host, port: the server's binary door, resolved once, here; if there are several addresses, the next one is used
    when one refuses. transport: "udp". max_datagram: bytes, 64..65,507. flush_interval: seconds.
    heartbeat: seconds without anything to send before END is sent, so that the server knows of losses; then more and
    more rarely. max_pending: records (names and members) held; beyond it they are dropped and counted.
    max_rate: records a second, None for no limit. patience: seconds a flush waits for room in the kernel, then its
    records are dropped and counted. key: (key id 0..255, 16-64 bytes) signs the frames.
    Raises ConfigError.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8128,
        transport: str = "udp",
        *,
        max_datagram: int = DATAGRAM,
        flush_interval: float = 0.1,
        heartbeat: float = 1.0,
        max_pending: int = 100_000,
        max_rate: float | None = None,
        patience: float = 1.0,
        key: tuple[int, bytes] | None = None,
    ) -> None:
        options = Options(max_datagram, flush_interval, heartbeat, max_pending, max_rate, patience, key)
        options.check(port, transport)
        super().__init__(options, UdpSender(resolve(host, port)))

    def _reset(self) -> None:
        super()._reset()
        self._sending = threading.Lock()  # guards the pump; taken before the buffer's lock
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._signal = Signal()  # something to do
        self._urgent = Signal()  # do it now
        self._beat: float | None = None  # when the next heartbeat is due, of time.monotonic
        self._silence = 0.0  # seconds before the heartbeat after that

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):  # __init__ may have raised, or the interpreter may be on its way out
            self.close(0.0)

    def flush(self, timeout: float = 5.0) -> bool:
        """Send all that was given so far. True once the kernel has it; False if that took longer than `timeout`
        seconds (the rest is sent in the background), or if anything was dropped since the last flush."""
        deadline = time.monotonic() + timeout
        done = self._drain(deadline)
        self._signal.set()  # the thread may have looked in the middle of this, and missed the next heartbeat
        return done and self._told_all()

    def close(self, timeout: float = 5.0) -> bool:
        """Flush, close the source's books with END, and let go of the socket. Later calls are dropped and counted.
        What is not out after `timeout` seconds is dropped and counted. Returns what `flush` would. Idempotent."""
        if self._closed:
            return True
        deadline = time.monotonic() + timeout
        self._finish(deadline)
        self._urgent.set()
        done = self._drain(deadline)
        if self._sending.acquire(timeout=max(GRACE, deadline - time.monotonic())):
            try:
                self._abandon()
                if self._pump.begun:
                    self._pump.end()
            finally:
                self._sending.release()
        self._sender.close()
        self._signal.set()
        return done and self._told_all()

    # The thread

    def _wake(self) -> None:
        if self._thread is None:
            self._start()
        self._signal.set()

    def _hurry(self) -> None:
        self._urgent.set()

    def _start(self) -> None:
        if self._starting.acquire(False):
            try:
                if self._thread is None and not self._closed:
                    thread = threading.Thread(
                        target=_run, args=(weakref.ref(self), self._signal), name="fastcount-client", daemon=True
                    )
                    thread.start()
                    self._thread = thread
            except RuntimeError as error:  # no more threads; the next record tries again, and close() sends the rest
                log.warning("fastcount: cannot start the sending thread: %s", error)
            finally:
                self._starting.release()

    def _drain(self, deadline: float, *, thread: bool = False) -> bool:
        """Send what is pending. Whether that was all of it. The thread stops when `close` wants to go on."""
        if not self._sending.acquire(timeout=min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)):
            return False
        try:
            for delay in self._work(deadline):
                if thread:
                    self._urgent.wait(delay)
                    if self._closed:
                        break
                elif delay:
                    time.sleep(delay)
            self._silence = self._options.heartbeat
            self._beat = time.monotonic() + self._silence if self._pump.begun else None
            return self._pump.idle
        finally:
            self._sending.release()

    def _turn(self) -> float | None:
        """One round of the thread: returns the seconds until it has something to do, None if it has nothing."""
        if self._pending or self._aside or not self._pump.idle:
            if self._pump.idle:
                self._urgent.wait(self._options.flush_interval * random.uniform(*JITTER))
            if not self._drain(time.monotonic() + SLICE, thread=True):
                return 0.001
        elif self._beat is not None and time.monotonic() >= self._beat and self._sending.acquire(False):
            try:
                self._pump.end()
                self._silence = min(2 * self._silence, max(HEARTBEAT_MAX, self._options.heartbeat))
                self._beat = time.monotonic() + self._silence
            finally:
                self._sending.release()
        return None if self._beat is None else max(0.001, self._beat - time.monotonic())


def _run(ref: "weakref.ref[Client]", signal: Signal) -> None:
    """The thread. It holds on to the client only while there is something to send."""
    delay: float | None = None
    while True:
        signal.wait(delay)
        client = ref()
        if client is None or client._closed or client._signal is not signal:
            return
        try:
            delay = client._turn()
        except Exception:
            log.exception("fastcount: the sending thread failed and goes on")
            delay = client._options.flush_interval
        del client


def _close_all() -> None:
    for recorder in list(recorders):
        if isinstance(recorder, Client):
            recorder.close(2.0)


atexit.register(_close_all)
