"""What the bench measures with: its C programs, and its reading of the kernel's queues."""

import http.server
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bench.build import program
from bench.load import process
from bench.load.traffic import drained, queued

CORE = min(os.sched_getaffinity(0))


@contextmanager
def serving(status: int) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b"x" * 5000)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "failed"), [(200, 0), (404, 100)])
def test_latency_client_counts_answers_that_are_not_200(status: int, failed: int) -> None:
    with serving(status) as port:
        words = ["--port", str(port), "--path", "/x", "--rate", "1000", "--seconds", "0.1"]
        answer = json.loads(process.run([str(program("httplat")), *words], CORE, 30))
    assert (answer["requests"], answer["failed"]) == (100, failed)
    assert 0 < answer["p50_ms"] <= answer["p90_ms"] <= answer["p99_ms"] <= answer["p999_ms"] <= answer["max_ms"]


def test_latency_client_says_so_when_the_server_closes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        command = [program("httplat"), "--port", str(port), "--path", "/", "--seconds", "0.1"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
            door.accept()[0].close()
            _, words = client.communicate(timeout=20)
    assert client.returncode != 0
    assert words


@pytest.mark.parametrize("names", [1, 1000])
def test_bound_finds_every_increment_again(names: int) -> None:
    said = process.run([str(program("bound")), "--names", str(names), "--seconds", "0.01"], CORE, 30)
    rates = json.loads(said)
    assert rates["entries"] >= 2 * names
    assert all(rates[name] > 0 for name in ("one_by_one", "prefetch_16", "prefetch_32"))


def test_queued_sees_what_a_socket_has_not_read() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door, socket.socket(type=socket.SOCK_DGRAM) as sender:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
        assert queued(port) == 0
        for _ in range(3):
            sender.sendto(b"x" * 1000, door.getsockname())
        assert queued(port) >= 3000
        assert drained(port, patience=0.02) >= 0.02
        for _ in range(3):
            door.recv(2000)
        assert queued(port) == 0
        assert drained(port) < 5


def test_a_command_that_fails_is_an_error_with_its_words() -> None:
    with pytest.raises(RuntimeError, match="--names"):
        process.run([str(program("bound")), "--names", "none"], CORE, 30)


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(RuntimeError, match="more than 0 s"):
        process.run(["sleep", "60"], CORE, 0.2)
