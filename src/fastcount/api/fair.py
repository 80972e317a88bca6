"""What one connection may take from the others: time of the loop, and memory for requests that wait their turn.

uvicorn parses all that it has read before it turns to anything else, and reads on after each answer. A parsed request
takes some hundred times its bytes, so 20 connections that pipelined 700 KB each took 1.7 GB and held up the loop for
seconds. Here a connection parses a slice a turn of the loop, and nothing while enough of its requests wait; what it has
read beyond that is held as bytes, and no more is read.
"""

import asyncio
from typing import Final

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MAX_AHEAD: Final = 32  # requests that wait behind an unfinished one
SLICE: Final = 16 << 10  # bytes parsed before other connections have their turn
SEND_TIMEOUT: Final = 60.0  # seconds in which a client must read something of what waits for it


class _Flow(FlowControl):
    """Reads nothing while `held`: cycles ask for more as soon as they want their body."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class FairProtocol(HttpToolsProtocol):
    """A subclass parses: it has `_parse`, and keeps the first three attributes up to date."""

    _in_message = False
    _head_done = False
    _stopped = False  # no more requests are taken

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._held = b""  # received, not parsed yet
        self._going_on = False  # it will be, by the loop
        self._eof = False
        self._answering: RequestResponseCycle | None = None  # self.cycle may be one that waits behind it
        self._unread = 0  # bytes of answers that waited when last looked at, and since when
        self._unread_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = b""
        if self._answering is not None:  # else it would write to what is closed, which uvicorn logs as a bug
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _parse(self, data: bytes) -> None:
        raise NotImplementedError

    def _unfinished(self) -> bool:
        """A cycle on this connection is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _full(self) -> bool:
        return len(self.pipeline) >= MAX_AHEAD

    def _receive(self, data: bytes) -> None:
        """Parse what came, now or later. Bodies are parsed at once: what they may take is bounded elsewhere."""
        if self._stopped:
            return
        if self._held or self._full():
            self._hold(self._held + data)
            return
        for at in range(0, len(data), SLICE):
            if at and (self._full() or not (self._in_message and self._head_done)):
                self._hold(data[at:])
                return
            self._parse(data[at : at + SLICE] if len(data) > SLICE else data)
            if self._stopped or self.transport.is_closing():
                return

    def _hold(self, data: bytes) -> None:
        self._held = data
        self.flow.held = True  # type: ignore[attr-defined]
        self.flow.pause_reading()
        self._go_on_soon()

    def _let_go(self) -> None:
        """Hold nothing, and read on."""
        self._held = b""
        self.flow.held = False  # type: ignore[attr-defined]
        if not self._full():
            self.flow.resume_reading()

    def _go_on_soon(self) -> None:
        if self._held and not self._going_on and not self._full():
            self._going_on = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        held, self._held = self._held, b""
        if self.transport.is_closing():
            return
        self._receive(held)
        if self._held:
            return
        self._let_go()
        if self._eof and not self._stopped:
            self._stopped = True
            if self._in_message or not self._unfinished():
                self.transport.close()

    def _nobody_reads(self) -> bool:
        """The client has read nothing for SEND_TIMEOUT; to be asked while there is write back-pressure."""
        unread, now = self.transport.get_write_buffer_size(), self.loop.time()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        return now - self._unread_since >= SEND_TIMEOUT
