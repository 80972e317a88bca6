"""The client for asyncio (or uvloop)."""

import asyncio
import random
import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from fastcount.client import HEARTBEAT_MAX, JITTER, SLICE
from fastcount.packer import DATAGRAM
from fastcount.pump import Options
from fastcount.recorder import Recorder, log
from fastcount.sender import UdpSender, candidates, unresolved


class AsyncClient(Recorder):
    """Sends increments to a fastcount server from an event loop.

        async with AsyncClient() as counters:
            counters.incr("content", "123")
            counters.hit("views", "/start", member="user_42")

    `incr`, `hit`, `seen` and `sample` are plain calls: they go into a buffer and are over at once, and may come from
    any thread. A task packs and sends what is new. Options, and what they mean, are those of `Client`; the name is
    resolved by `start`, which `async with` calls. After a fork the child begins with an empty buffer, as a source of
    its own, and has to `start` again in its own loop. Close it: what is pending when a loop ends is lost.
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
        self._host, self._port = host, port
        super().__init__(options, UdpSender(()))

    def _reset(self) -> None:
        super()._reset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()  # guards the pump
        self._signal = asyncio.Event()  # something to do
        self._urgent = asyncio.Event()  # do it now

    async def start(self) -> Self:
        """Resolve the host and begin to send. Raises ConfigError if it has no address."""
        if self._task is None and not self._closed:
            loop = asyncio.get_running_loop()
            try:
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError) as error:
                raise unresolved(self._host, error) from None
            self._sender.addresses = candidates(found)
            self._loop = loop
            self._task = loop.create_task(self._run(), name="fastcount-client")
            self._signal.set()  # for what was given before
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def flush(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109
        """Send all that was given so far. True once the kernel has it; False if that took longer than `timeout`
        seconds (the rest is sent in the background), if anything was dropped since the last flush, or before
        `start`."""
        if self._task is None:
            return False
        done = await self._drain(time.monotonic() + timeout)
        return done and self._told_all()

    async def close(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109
        """Flush, close the source's books with END, and let go of the socket. Later calls are dropped and counted.
        What is not out after `timeout` seconds is dropped and counted. Returns what `flush` would. Idempotent."""
        if self._closed:
            return True
        deadline = time.monotonic() + timeout
        self._finish(deadline)
        done = True
        task, self._task = self._task, None
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
                done = await self._drain(deadline)
        finally:
            self._abandon()
            if self._pump.begun:
                self._pump.end()
            self._sender.close()
        return done and self._told_all()

    aclose = close

    # The task

    def _wake(self) -> None:
        self._set(self._signal)

    def _hurry(self) -> None:
        self._set(self._urgent)

    def _set(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(event.set)

    async def _drain(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._sending.acquire()
        except TimeoutError:
            return False
        try:
            for delay in self._work(deadline):
                await asyncio.sleep(delay)
            return self._pump.idle
        finally:
            self._sending.release()

    async def _run(self) -> None:
        silence = self._options.heartbeat
        while not self._closed:
            try:
                await _wait(self._signal, silence if self._pump.begun else None)
                if self._pending or self._aside or not self._pump.idle:
                    await _wait(self._urgent, self._options.flush_interval * random.uniform(*JITTER))
                    while not await self._drain(time.monotonic() + SLICE):
                        pass
                    silence = self._options.heartbeat
                elif self._pump.begun and not self._sending.locked():
                    self._pump.end()
                    silence = min(2 * silence, max(HEARTBEAT_MAX, self._options.heartbeat))
            except Exception:
                log.exception("fastcount: the sending task failed and goes on")
                await asyncio.sleep(self._options.flush_interval)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
