"""What a connection may cost: bounds on heads, time, requests and memory, and the end of the server."""

import asyncio
import json
import re
from collections.abc import Coroutine
from typing import Any

import pytest
from http_pipe import Pipe, Server, talk

from fastcount.api import fair, hot, intake
from fastcount.api.bodies import MAX_INCREMENT

GET = b"GET /v1/counter/t/a HTTP/1.1\r\nHost: x\r\n\r\n"
COLD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
INCREMENT = b"POST /v1/counter/t/a/increment HTTP/1.1\r\nHost: x\r\n\r\n"
UPLOAD = b"POST /v1/increments HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def statuses(pipe: Pipe) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", bytes(pipe.out))]


def last_error(pipe: Pipe) -> str:
    return str(json.loads(pipe.out[pipe.out.rindex(b"\r\n\r\n") :])["error"])


@pytest.mark.parametrize("size", [100, 5_000, 1 << 20])
@pytest.mark.parametrize(
    ("start", "unit", "end"),
    [(b"GET /v1/counter/t/", b"x", b" HTTP/1.1\r\n"), (b"GET / HTTP/1.1\r\nX: ", b"x", b"\r\n"),
     (b"GET / HTTP/1.1\r\n", b"X: yyyyyyy\r\n", b""), (b"GET / HTTP/1.1\r\n", b"x", b": y\r\n")],
    ids=["target", "value", "headers", "name"],
)  # fmt: skip
def test_a_head_has_an_end(start: bytes, unit: bytes, end: bytes, size: int) -> None:
    async def scenario() -> None:
        data = start + unit * (300_000 // len(unit)) + end
        server, data = Server(), data + b"\r\n"
        pipe = server.connect()
        for i in range(0, len(data), size):
            pipe.feed(data[i : i + size])
            assert i < 70_000 or size > 70_000 or pipe.closing  # no more than that was kept
        await server.settle()
        assert statuses(pipe) == [431]
        assert last_error(pipe) == "head_too_large"
        assert pipe.closing

    run(scenario())


@pytest.mark.parametrize("size", [16, 4096, 1 << 20])
@pytest.mark.parametrize(
    "endless", [b"0\r\nX: " + b"y" * 200_000, b"0\r\n" + b"X: y\r\n" * 40_000, b"1;" + b"e" * 200_000]
)
def test_trailers_and_chunk_extensions_have_an_end(endless: bytes, size: int) -> None:
    async def scenario() -> None:
        server = Server()
        pipe = server.connect()
        pipe.feed(COLD + b"POST /v1/counter/t/a/increment HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(endless), size):
            pipe.feed(endless[i : i + size])
        assert len(server.state.connections) == 1
        await server.settle()
        if size < 1 << 20:  # what came in one piece is kept by nobody
            assert statuses(pipe) == [200, 400]
            assert pipe.closing
        assert server.store.read(b"t", b"a").value == 0

    run(scenario())


def later(pipe: Pipe, seconds: float) -> None:
    """As if the last progress was that long ago, and the timer fired."""
    pipe.protocol._since -= seconds
    pipe.protocol.timeout_keep_alive_handler()


def test_an_idle_connection_is_closed() -> None:
    async def scenario() -> None:
        server = Server(timeout_keep_alive=5)
        for request in (GET, COLD, INCREMENT):
            pipe = server.connect()
            pipe.feed(request)
            await server.settle()
            later(pipe, 4)
            assert not pipe.closing
            later(pipe, 1)
            assert pipe.closing
            assert statuses(pipe) == [200]

    run(scenario())


def test_a_connection_that_never_speaks_is_closed() -> None:
    async def scenario() -> None:
        pipe = Server(timeout_keep_alive=5).connect()
        later(pipe, 10)
        assert not pipe.closing
        later(pipe, hot.RECEIVE_TIMEOUT)
        assert pipe.closing

    run(scenario())


@pytest.mark.parametrize(
    "start",
    [b"GET /v1/counter/t", b"GET / HTTP/1.1\r\nX: y", INCREMENT[:-2] + b"Content-Length: 9\r\n\r\n{", UPLOAD + b"["],
)
def test_a_request_that_stalls_is_given_up(start: bytes) -> None:
    async def scenario() -> None:
        server = Server()
        pipe = server.connect()
        pipe.feed(GET + start)
        await server.settle()
        later(pipe, hot.RECEIVE_TIMEOUT - 1)
        assert not pipe.closing
        later(pipe, 1)
        await server.settle()
        assert statuses(pipe) == [200, 408]
        assert pipe.closing
        assert not server.state.tasks

    run(scenario())


def test_a_drip_of_header_bytes_does_not_count_as_progress() -> None:
    async def scenario() -> None:
        pipe = Server().connect()
        pipe.feed(b"GET / HTTP/1.1\r\n")
        for _ in range(10):
            pipe.protocol._since -= hot.RECEIVE_TIMEOUT / 10
            pipe.feed(b"X: y\r\n")
        pipe.protocol.timeout_keep_alive_handler()
        assert statuses(pipe) == [408]

    run(scenario())


def test_too_many_connections() -> None:
    async def scenario() -> None:
        server = Server(limit_concurrency=3)
        first, second = server.connect(), server.connect()
        first.feed(GET + COLD)
        await server.settle()
        assert statuses(first) == [200, 200]
        server.connect()
        second.feed(INCREMENT)
        await server.settle()
        assert statuses(second) == [503]
        assert last_error(second) == "busy"
        assert second.closing
        assert server.store.read(b"t", b"a").value == 0
        first.feed(GET)
        assert statuses(first) == [200, 200, 200]

    run(scenario())


def test_requests_are_counted_for_the_limit_of_requests() -> None:
    async def scenario() -> None:
        server = Server()
        await talk(server, [GET, GET, GET, COLD, INCREMENT, b"GET /nowhere HTTP/1.1\r\n\r\n"])
        assert server.state.total_requests == 6

    run(scenario())


def test_a_peer_that_does_not_read_is_not_answered_further() -> None:
    async def scenario() -> None:
        server = Server()
        pipe = server.connect()
        pipe.high_water = 2_000
        for request in (GET * 50, *[GET] * 50, INCREMENT * 50):
            pipe.feed(request)
        await server.settle()
        assert 2_000 < len(pipe.out) < 3_000
        assert server.store.read(b"t", b"a").value == 0
        pipe.protocol.resume_writing()
        await server.settle()
        assert statuses(pipe) == [200] * 150
        assert server.store.read(b"t", b"a").value == 50

    run(scenario())


def test_a_peer_that_reads_nothing_at_all_is_given_up() -> None:
    async def scenario() -> None:
        pipe = Server().connect()
        pipe.feed(GET)
        pipe.protocol.pause_writing()
        pipe.unread = 1000
        for unread, given_up in ((1000, False), (999, False), (999, True)):  # a byte is progress
            pipe.unread = unread
            pipe.protocol._unread_since -= fair.SEND_TIMEOUT
            pipe.protocol.timeout_keep_alive_handler()
            assert pipe.closing == given_up

    run(scenario())


@pytest.mark.parametrize("request_", [GET, COLD, INCREMENT, b"GET /v1/stats HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("eof", [False, True])
def test_what_is_parsed_ahead_is_bounded_and_all_is_answered(request_: bytes, eof: bool) -> None:
    """A parsed request takes some hundred times its bytes: a buffer full of them was 80 MB, and held up the loop."""

    async def scenario() -> None:
        server = Server()
        pipe, other = server.connect(), server.connect()
        most = fair.MAX_AHEAD + fair.SLICE // len(request_) + 1
        n = 4 * most
        half = len(request_) * n // 2 + 5
        stream = COLD + request_ * n
        if eof:
            pipe.feed(stream)
            assert pipe.protocol.eof_received()
        else:
            pipe.feed(stream[:half])
            pipe.feed(stream[half:])
        ready: Any = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        other.feed(GET)
        assert statuses(other) == [200]
        assert len(statuses(pipe)) < n
        while ready:
            assert len(pipe.protocol.pipeline) <= most
            await asyncio.sleep(0)
        assert statuses(pipe) == [200] * (n + 1)
        assert pipe.closing == eof
        if request_ is INCREMENT:
            assert server.store.read(b"t", b"a").value == n

    run(scenario())


def test_large_bodies_come_in_between_pipelined_requests() -> None:
    async def scenario() -> None:
        server = Server()
        body = b"[" + b",".join([b'{"type":"t","id":"a"}'] * 20_000) + b"]"
        post = UPLOAD.replace(b"100", b"%d" % len(body))
        stream = (INCREMENT * 500 + post + body + COLD * 300) * 2
        pipe = server.connect()
        for at in range(0, len(stream), 250_000):
            pipe.feed(stream[at : at + 250_000])
        while len(statuses(pipe)) < 1602:  # noqa: ASYNC110 - a thread parses the bodies
            await asyncio.sleep(0.001)
        await server.settle()
        assert statuses(pipe) == [200] * 1602
        assert server.store.read(b"t", b"a").value == 41_000

    run(scenario())


def test_a_connection_lost_under_pipelined_requests_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server()
        pipe = server.connect()
        pipe.high_water = 1000
        pipe.feed(COLD * 100)
        await server.settle()
        assert server.state.tasks
        pipe.closing = True
        pipe.protocol.connection_lost(ConnectionResetError())
        await server.settle()
        assert not server.state.tasks

    run(scenario())
    assert not caplog.records


def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_BUFFERED", 150)

    async def scenario() -> None:
        server = Server()
        first, second = server.connect(), server.connect()
        for pipe in (first, second):
            pipe.feed(UPLOAD + b" " * 99)
            await server.settle()
        assert statuses(second) == [503]
        assert second.closing
        first.feed(b" ")
        await server.settle()
        assert statuses(first) == [400]  # a hundred blanks are no JSON
        again = server.connect()
        again.feed(UPLOAD + b"[" + b" " * 98 + b"]")
        await server.settle()
        assert statuses(again) == [200]

    run(scenario())


def test_a_bug_in_a_hot_route_is_a_500(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server()
        monkeypatch.setattr(type(server.config.app.state.operations), "get", lambda self, name: 1 // 0)
        pipe = server.connect()
        pipe.feed(GET + INCREMENT)
        assert statuses(pipe) == [500, 200]
        assert b"ZeroDivision" not in pipe.out
        assert "ZeroDivisionError" in caplog.text

    run(scenario())


def test_the_end_of_the_server() -> None:
    async def scenario() -> None:
        server = Server()
        idle, busy, sending, uploading = (server.connect() for _ in range(4))
        idle.feed(GET)
        busy.feed(COLD)
        sending.feed(INCREMENT[:-2] + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
        uploading.feed(UPLOAD)
        for pipe in (idle, busy, sending, uploading):
            pipe.protocol.shutdown()
        assert idle.closing
        sending.feed(b"}")
        uploading.feed(b"[" + b" " * 98 + b"]")
        await server.settle()
        for pipe in (busy, sending, uploading):
            assert statuses(pipe) == [200]
            assert b"\r\nconnection: close\r\n" in pipe.out
            assert pipe.closing
        assert server.store.read(b"t", b"a").value == 1

    run(scenario())


def test_the_date_is_renewed() -> None:
    async def scenario() -> None:
        server = Server()
        pipe = server.connect()
        for second in range(3):
            server.state.default_headers = [(b"date", b"second %d" % second)]
            pipe.feed(GET)
            pipe.feed(GET)
        assert re.findall(rb"second (\d)", bytes(pipe.out)) == [b"0", b"0", b"1", b"1", b"2", b"2"]

    run(scenario())


def test_a_lost_connection_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        server = Server()
        for start in (
            b"",
            b"GE",
            GET,
            INCREMENT[:-2] + b"Content-Length: %d\r\n\r\n{" % MAX_INCREMENT,
            UPLOAD + b"[",
            COLD,
        ):
            pipe = server.connect()
            if start:
                pipe.feed(start)
            pipe.closing = True
            pipe.protocol.connection_lost(ConnectionResetError())
            await server.settle()
            assert not server.state.connections
            assert not server.state.tasks
            assert pipe.protocol.timeout_keep_alive_task is None

    run(scenario())


def test_with_the_access_log_every_request_takes_the_long_way(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server(access_log=True)
        pipe = server.connect()
        pipe.protocol.access_log = True
        with caplog.at_level("INFO", "uvicorn.access"):
            pipe.feed(GET)
            await server.settle()
            pipe.feed(GET)
            await server.settle()
        assert statuses(pipe) == [200, 200]
        assert len([r for r in caplog.records if r.name == "uvicorn.access"]) == 2

    run(scenario())


def test_the_shortcut_is_taken_under_a_limit_and_the_limit_holds_in_it() -> None:
    async def scenario() -> None:
        server = Server(limit_concurrency=3)
        pipe = server.connect()
        pipe.feed(GET)
        parsed: list[bytes] = []
        parse = pipe.protocol._parse
        pipe.protocol._parse = lambda data: (parsed.append(data), parse(data))
        pipe.feed(GET)
        assert statuses(pipe) == [200, 200]
        assert parsed == []
        others = [server.connect(), server.connect()]
        pipe.feed(GET)
        await server.settle()
        assert statuses(pipe) == [200, 200, 503]
        assert len(parsed) == 1
        assert len(others) == 2

    run(scenario())
