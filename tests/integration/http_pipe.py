"""Drives the HTTP protocol classes without sockets: bytes in, bytes out, every task run to its end in between.

`exchange` gives the same bytes to three servers over stores of equal content: `hot` (what is shipped), `cold` (the same
protocol, but every request goes through FastAPI) and `stock` (uvicorn's own protocol in front of the same app).
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fastcount._core import Store
from fastcount.api.hot import HotProtocol, protocol_class
from fastcount.api.http import create_app

NOW = 1_795_467_600.123
AS_OF = "2026-11-23T21:00:00.123Z"
DATE = re.compile(rb"\r\ndate: [^\r]*")


class Said(NamedTuple):
    """data: all that was written, without dates. closed: the server ended the connection."""

    data: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.data)]


class Pipe:
    """A transport and what its peer sees."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.closing = False
        self.waiting: list[bytes] = []
        self.reading = True
        self.protocol: Any = None
        self.high_water: int | None = None
        self.unread = 0

    def connect(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """What the peer sends."""
        self.waiting.append(data)
        self._pump()

    def _pump(self) -> None:
        while self.reading and self.waiting and not self.closing:
            self.protocol.data_received(self.waiting.pop(0))

    def write(self, data: bytes) -> None:
        assert not self.closing, "written after close"
        self.out += data
        if self.high_water is not None and len(self.out) > self.high_water:
            self.high_water = None
            self.protocol.pause_writing()

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unread

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        asyncio.get_running_loop().call_soon(self._pump)

    def get_extra_info(self, what: str, default: object = None) -> object:
        return ("127.0.0.1", 40_123) if what in ("peername", "sockname") else default


class Cold(HotProtocol):
    def _hot_name(self) -> None:
        return None


class Server:
    """One app and its state; connections by `connect`."""

    def __init__(self, kind: str = "hot", store: Store | None = None, **options: Any) -> None:
        self.store = store or Store()
        app = create_app(self.store, started=NOW - 5, udp_stats=lambda: [{"datagrams": 0}], clock=lambda: NOW)
        hot = protocol_class(app.state)
        classes = {"hot": hot, "cold": type("C", (Cold,), {"operations": hot.operations}), "stock": HttpToolsProtocol}
        options = {"access_log": False, "proxy_headers": False, **options}
        self.config = uvicorn.Config(app, http=classes[kind], ws="none", log_config=None, **options)
        self.config.load()
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"Mon, 23 Nov 2026 21:00:00 GMT"), (b"server", b"test")]

    def connect(self) -> Pipe:
        pipe = Pipe()
        pipe.connect(self.config.http_protocol_class(config=self.config, server_state=self.state, app_state={}))
        return pipe

    async def settle(self) -> None:
        """Until nothing on the loop is ready to run: every request is answered, or waits for bytes."""
        ready: Any = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        while ready:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def talk(server: Server, chunks: Iterable[bytes], *, rest: bool = True, eof: bool = False) -> Said:
    """One connection. rest: all is answered before the next chunk comes. eof: the peer closes its side at the end."""
    pipe = server.connect()
    for chunk in chunks:
        pipe.feed(chunk)
        if rest:
            await server.settle()
    if eof and not pipe.closing and not pipe.protocol.eof_received():
        pipe.close()
    await server.settle()
    said = Said(DATE.sub(b"", bytes(pipe.out)), pipe.closing)
    pipe.close()
    await server.settle()
    return said


def servers(kinds: Sequence[str]) -> list[Server]:
    return [Server(kind) for kind in kinds]


def exchange(
    *conversations: Sequence[bytes],
    kinds: Sequence[str] = ("hot", "cold", "stock"),
    rest: bool = True,
    eof: bool = False,
    servers: list[Server] | None = None,
) -> list[list[Said]]:
    """What each kind of server says in each conversation: `[conversation][kind]`. servers: if they should be no new
    ones, with empty stores."""
    asked = servers or [Server(kind) for kind in kinds]

    async def run() -> list[list[Said]]:
        return [[await talk(server, chunks, rest=rest, eof=eof) for server in asked] for chunks in conversations]

    return asyncio.run(run())
