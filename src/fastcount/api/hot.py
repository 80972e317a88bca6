"""The hot routes, increment, get and unique, answered inside uvicorn's HTTP protocol: no ASGI scope, no task.

`HotProtocol` is uvicorn's `HttpToolsProtocol` (its private class: uvicorn is pinned) with a shortcut at two depths.

1. At message-complete, a request for a hot route is answered at once if nothing stands before it: no unfinished cycle
   on this connection (pipelining), no write back-pressure, no Expect, no body that `intake` should bound.
   Else it becomes an ordinary cycle, and FastAPI gives the same answer from the same `Operations`.
2. In `data_received`, a GET is answered without httptools if the buffer is exactly a request line of the plainest form
   (`Reader.simple`) and a header block that is byte for byte the one that httptools parsed on this connection before,
   for a request that was answered by 1. The parser is at rest then, and header blocks parse alike after any
   request line, so it would say the same again.

What uvicorn leaves open is closed here as well: heads are bounded, a request that does not arrive in time is given up,
as is an answer that nobody reads, no more than a few requests are parsed ahead of the one being answered, and no
connection keeps the loop for long; an Upgrade is ignored without losing the body, errors are JSON and never overtake
the answers before them.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

import httptools
from starlette.datastructures import State
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

from fastcount.api import paths, responses
from fastcount.api.bodies import MAX_INCREMENT
from fastcount.api.fair import SEND_TIMEOUT, FairProtocol
from fastcount.api.operations import Operations
from fastcount.api.responses import CLOSE, Answer, error

log = logging.getLogger("fastcount")

MAX_HEAD: Final = 64 << 10  # bytes of request line and headers; also of chunk extensions and trailers in a row
MAX_LEARNT: Final = 4 << 10  # bytes of a header block to remember
RECEIVE_TIMEOUT: Final = 30.0  # seconds for a head to arrive, and between two pieces of a body

_ACTIONS: Final = {
    (b"GET", b""),
    (b"HEAD", b""),
    (b"GET", b"unique"),
    (b"HEAD", b"unique"),
    (b"POST", b"increment"),
}

_OVERLOADED: Final = error(
    503,
    "busy",
    "too many connections or requests at once; try again in a second",
    extra=((b"retry-after", b"1"), CLOSE),
)


class HotProtocol(FairProtocol):
    """One connection."""

    operations: Operations

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.ws_protocol_class = None  # nothing here speaks WebSocket
        self._limit, self.limit_concurrency = self.limit_concurrency, None  # checked here: its 503 is JSON
        # the request being received
        self._in_message = False
        self._head_done = False
        self._ignored = False  # comes after the end of the connection was decided
        self._cold = False  # self.cycle is the cycle of this request
        self._hot: paths.Name | None = None
        self._method = b""
        self._keep_alive = True
        self._body = b""
        # the connection
        self._plain: bytes | None = None  # a header block that is known to leave the shortcut open
        self._answered = 0  # requests answered by shortcut 1 that allow shortcut 2
        self._begun = 0  # requests begun
        self._fruitless = 0  # bytes received since the last one that is of use
        self._fresh = True  # something of use came in this buffer
        self._last_words: bytes | None = None  # an error to send, then to close, when all before it is answered
        self._stopped = False  # no more requests are taken
        self._since = 0.0  # of the last progress, by the loop's clock
        self._head_200 = b""  # a rendered head, of self._head_of
        self._head_of: list[tuple[bytes, bytes]] | None = None
        self._simple = self.operations.reader.simple

    # ------------------------------------------------------------------ connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self._hot = self._plain = None
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client may close its side after the last request: it still gets its answers."""
        self._eof = True
        self._plain = None
        if self._held:
            return True
        self._stopped = True
        return self._unfinished() and not self._in_message

    def shutdown(self) -> None:
        if self._hot is not None:  # its body is on the way
            self._keep_alive = False
        else:
            super().shutdown()

    def _unset_keepalive_if_required(self) -> None:
        """One lazy timer a connection instead of one a request: see `timeout_keep_alive_handler`."""

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.is_closing():
            return
        if self._in_message:
            limit = RECEIVE_TIMEOUT
        elif self._begun == 0:
            limit = max(RECEIVE_TIMEOUT, self.timeout_keep_alive)
        else:
            limit = self.timeout_keep_alive
        waits_for_us = self._held or (self._unfinished() and not (self._in_message and self._cold))
        if self.flow.write_paused:
            if self._nobody_reads():
                self.transport.abort()
                return
            left = min(limit, SEND_TIMEOUT)
        else:
            self._unread = 0
            left = limit if waits_for_us else self._since + limit - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        elif self._in_message:
            self._refuse(error(408, "timeout", f"the request did not arrive within {RECEIVE_TIMEOUT:.0f} s"))
        else:
            self.transport.close()

    def _overloaded(self) -> bool:
        return self._limit is not None and max(len(self.connections), len(self.tasks)) >= self._limit

    # ------------------------------------------------------------------ bytes in

    def data_received(self, data: bytes) -> None:
        block = self._plain
        if (
            block is not None
            and not self._in_message
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self._held
            and not self._overloaded()
        ):
            state = self.server_state
            if state.default_headers is not self._head_of:
                self._new_second()
            answer = self._simple(data, block, self._head_200)
            if answer is not None:
                self.transport.write(answer)
                state.total_requests += 1
                self._since = self.loop.time()
                return
        self._receive(data)

    def _parse(self, data: bytes) -> None:
        line_end = -1 if self._in_message or not data.startswith(b"GET ") else data.find(b" HTTP/1.1\r\n")
        begun, answered = self._begun, self._answered
        self._feed(data)
        if self._in_message:
            self._bound(len(data))
        elif line_end > 0 and self._begun == begun + 1 and self._answered == answered + 1:
            block = data[line_end + len(b" HTTP/1.1\r\n") :]
            self._plain = block if len(block) <= MAX_LEARNT else None

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self._stopped or self.transport.is_closing():
                    return
                data = self._as_plain_request() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse(error(400, "bad_request", "the request is not valid HTTP/1.1"))
                return

    def _as_plain_request(self) -> bytes:
        """The head of a request that asks for an Upgrade, without that, for a new parser.

        An Upgrade may be ignored (RFC 9110, 7.8), and clients ask for h2c as a matter of course, also with a body; but
        llhttp takes what follows such a head for another protocol.
        """
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                value = b",".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._begun -= 1  # it begins again
        return b"".join([*head, b"\r\n"])

    def _bound(self, size: int) -> None:
        """A head, or trailers, or a chunk extension, that never ends would fill the memory."""
        self._fruitless = 0 if self._fresh else self._fruitless + size
        self._fresh = False
        if self._fruitless > MAX_HEAD and not self._stopped:
            if self._head_done:
                self._refuse(
                    error(400, "bad_request", f"trailers or chunk extensions are longer than {MAX_HEAD:,} bytes")
                )
            else:
                self._refuse(_head_too_large())

    # ------------------------------------------------------------------ parser callbacks

    def on_message_begin(self) -> None:
        self._in_message = self._fresh = True
        self._begun += 1
        self._head_done = self._cold = False
        self._ignored = self._stopped or self.transport.is_closing()
        self._hot = None
        self._body = b""
        self._since = self.loop.time()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:  # no trailers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_done = self._fresh = True
        if self._ignored:
            return
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD:
            self._ignored = True
            self._refuse(_head_too_large())
            return
        if self.parser.should_upgrade():
            self._ignored = True
            if self.parser.get_method() == b"CONNECT":
                self._refuse(error(400, "bad_request", "this is no proxy"))
            return
        self._since = self.loop.time()
        overloaded = self._overloaded()
        if not overloaded:
            self._hot = self._hot_name()
        if self._hot is None:
            self._begin_cycle(overloaded)

    def _hot_name(self) -> paths.Name | None:
        """What to answer here; None: it is for FastAPI."""
        if (
            not self.url.startswith(paths.PREFIX)
            or self._unfinished()
            or self.flow.write_paused
            or self.expect_100_continue
            or self.access_log  # uvicorn writes it
            or b"#" in self.url
            or not self.url.isascii()
        ):
            return None
        path, _, query = self.url.partition(b"?")
        name = paths.split(path, query)
        self._method = self.parser.get_method()
        if not isinstance(name, paths.Name) or (self._method, name.verb) not in _ACTIONS:
            return None
        if self._method == b"POST":
            if query and (not query.startswith(b"id=") or b"&" in query):
                return None
            limit = MAX_INCREMENT
        else:
            limit = 0
        for key, value in self.headers:
            if key == b"content-length" and int(value) > limit:
                return None
            if key in (b"transfer-encoding", b"idempotency-key"):
                return None
        version = self.parser.get_http_version()
        self._keep_alive = version != "1.0" and self.parser.should_keep_alive()
        return name

    def _begin_cycle(self, overloaded: bool) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # the scope, only now that someone wants it
        self.url, self.headers, self.expect_100_continue = url, headers, expect
        self.scope["headers"] = headers
        if overloaded:
            app, self.app = self.app, _overloaded
            try:
                super().on_headers_complete()
            finally:
                self.app = app
        else:
            super().on_headers_complete()
        self._cold = True

    def on_body(self, body: bytes) -> None:
        self._fresh = True
        self._since = self.loop.time()
        if self._hot is not None:
            self._body += body
        elif not self._ignored:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        name, self._hot = self._hot, None
        if name is not None:
            self._answer(name)
        elif not self._ignored:
            self._since = self.loop.time()
            super().on_message_complete()

    # ------------------------------------------------------------------ bytes out

    def _answer(self, name: paths.Name) -> None:
        keep_alive, reading = self._keep_alive, self._method != b"POST"
        try:
            operations = self.operations
            if not reading:
                answer = operations.increment(name, self.headers, self._body)
            else:
                answer = operations.unique(name) if name.verb else operations.get(name)
        except Exception:
            log.exception("bug in a hot route")
            answer = error(500, "internal", "this is a bug in the server; its log says more")
        self._send(answer, keep_alive=keep_alive, with_body=self._method != b"HEAD")
        self.server_state.total_requests += 1
        self._since = self.loop.time()
        if self._method == b"GET" and keep_alive:
            self._answered += 1

    def _send(self, answer: Answer, *, keep_alive: bool, with_body: bool) -> None:
        if self.server_state.default_headers is not self._head_of:
            self._new_second()
        head = (
            self._head_200 if answer.status == 200 else responses.head(answer.status, self.server_state.default_headers)
        )
        self.transport.write(responses.render(answer, head, keep_alive=keep_alive, with_body=with_body))
        if not keep_alive:
            self.transport.close()

    def _new_second(self) -> None:
        """uvicorn makes a new list of default headers when the date changes."""
        self._head_of = self.server_state.default_headers
        self._head_200 = responses.head(200, self._head_of)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._since = self.loop.time()
        waiting = self.pipeline.pop() if self.pipeline else None
        if not self._full():
            self.flow.resume_reading()
        self._go_on_soon()
        if waiting is not None:
            self._start_asgi_task(*waiting)
        elif self._held:
            pass  # what comes next is in there
        elif self._last_words is not None:
            self.transport.write(self._last_words)
            self.transport.close()
        elif self._eof:
            self.transport.close()

    # ------------------------------------------------------------------ refusals

    def _refuse(self, answer: Answer) -> None:
        """An error that ends the connection: for the request being received, or for what should have been one."""
        if self._stopped or self.transport.is_closing():
            return
        self._stopped = True
        self._plain = self._hot = None
        self._let_go()
        before = self._unfinished()
        if self._in_message and self._cold:
            if self.cycle.response_complete:  # it was answered before its body was whole
                self.transport.close()
                return
            if self.pipeline and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
            else:
                before = False
                self.cycle.disconnected = True
                self.cycle.message_event.set()
                if self.cycle.response_started:
                    self.transport.close()
                    return
        if before:
            self._last_words = self._rendered(answer)
        else:
            self.transport.write(self._rendered(answer))
            self.transport.close()

    def _rendered(self, answer: Answer) -> bytes:
        head = responses.head(answer.status, self.server_state.default_headers)
        return responses.render(answer, head, keep_alive=False, with_body=True)


def protocol_class(app_state: State) -> type[HotProtocol]:
    """The class to hand to ``uvicorn.Config(http=…)``. app_state: ``app.state`` of `create_app`."""

    class Protocol(HotProtocol):
        operations = app_state.operations

    return Protocol


def _head_too_large() -> Answer:
    return error(431, "head_too_large", f"request line and headers are longer than {MAX_HEAD:,} bytes")


async def _overloaded(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    headers: Iterable[tuple[bytes, bytes]] = _OVERLOADED.headers()
    await send({"type": "http.response.start", "status": _OVERLOADED.status, "headers": headers})
    await send({"type": "http.response.body", "body": _OVERLOADED.body, "more_body": False})
