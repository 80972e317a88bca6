"""The server's life, from outside: doors, signals, draining, the data directory, dying workers."""

import json
import re
import signal
import socket
import stat
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from running import command, fastcount_cli, serving

from fastcount import wire
from fastcount.packer import Packer

WORKERS = ["0", "1", "2"]


def frames(count: int, ids: int = 10) -> list[bytes]:
    """`count` frames of one source with three records each, and END."""
    packer = Packer(1400)
    out = []
    for number in range(count):
        for i in range(3):
            assert not packer.add("hits", f"id{(number * 3 + i) % ids}")
        out += packer.finish()
    return [frame.data for frame in [*out, *packer.finish(end=True)]]


def drained(log: str) -> tuple[int, int, int]:
    found = re.search(r"drained: (\d+) datagrams, (\d+) frames, (\d+) dropped by the kernel", log)
    assert found, log
    return int(found[1]), int(found[2]), int(found[3])


def test_ready_json_is_one_line_and_all_there_is(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert set(server.card) == {"http", "binary", "pid", "version"}
        assert server.card["pid"] == server.process.pid
        assert server.get("/healthz")["status"] == "ok"
        assert server.stop() == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == b""
        assert "SIGTERM" in server.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(number: signal.Signals, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.signal(number)
        assert server.wait() == 0


def test_ipv6(tmp_path: Path) -> None:
    with serving(tmp_path, "--binary", "[::1]:0", "--http", "[::1]:0") as server:
        assert server.binary.startswith("[::1]:")
        done = fastcount_cli("send", "hits", "a", "--binary", server.binary, "--http", server.http, cwd=tmp_path)
        assert done.stdout == b"1 sent, 1 received, 0 lost\n"
        assert server.get("/v1/sources")["sources"][0]["address"].startswith("[::1]:")


def test_every_interface_is_reached_by_ipv4_through_ipv6(tmp_path: Path) -> None:
    with serving(tmp_path, "--binary", "[::]:0") as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", server.udp[1]))
        for frame in frames(1):
            sock.send(frame)
        host, port = sock.getsockname()
        assert _wait_for_records(server, 3)[0]["address"] == f"{host}:{port}"
        assert server.stop() == 0


def _wait_for_records(server, records: int) -> list[dict]:  # type: ignore[no-untyped-def,type-arg]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        rows = server.get("/v1/sources?limit=1000")["sources"]
        if sum(row["records"] for row in rows) >= records:
            return rows  # type: ignore[no-any-return]
    raise AssertionError(f"{records} records did not arrive: {rows}")


@pytest.mark.parametrize("workers", WORKERS)
def test_what_the_sockets_hold_is_counted_before_the_end(workers: str, tmp_path: Path) -> None:
    """The server is frozen, so that all of it waits in the sockets, and told to stop before it is thawed."""
    with serving(tmp_path, "--udp-workers", workers) as server:
        server.signal(signal.SIGSTOP)
        sent = 0
        for _ in range(5):  # senders, so that with two workers both have some
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(server.udp)
                for frame in frames(30):
                    sock.send(frame)
                    sent += 1
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        assert server.wait() == 0
        _, counted, dropped = drained(server.log)
        assert (counted, dropped) == (sent, 0)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_the_kernel_drops_is_counted_to_the_datagram(workers: str, tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--udp-workers", workers, "--udp-rcvbuf", "4096") as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.connect(server.udp)
        server.signal(signal.SIGSTOP)
        sent = 0
        for frame in frames(300):
            sock.send(frame)
            sent += 1
        server.signal(signal.SIGCONT)
        deadline = time.monotonic() + 30
        while not server.get("/v1/stats")["udp"][0]["kernel_drops"]:  # the next datagram brings the count along
            assert time.monotonic() < deadline
            sock.send(b"")
            sent += 1
        assert server.stop() == 0
        _, counted, dropped = drained(server.log)
        assert dropped > 0
        assert counted + dropped == sent


@pytest.mark.parametrize("workers", WORKERS)
def test_sigterm_under_load_drains_and_exits_0(workers: str, tmp_path: Path) -> None:
    enough, over = threading.Event(), threading.Event()

    def flood() -> None:
        data = wire.build([wire.Record(wire.INC, b"hits", b"a")] * 100)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(server.udp)
            sent = 0
            while not over.is_set():
                try:
                    sock.send(data)
                except ConnectionRefusedError:  # it refuses already
                    enough.set()
                sent += 1
                if sent == 2000:
                    enough.set()

    with serving(tmp_path, "--udp-workers", workers) as server:
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            assert enough.wait(30)
            assert server.get("/v1/counter/hits/a")["value"] > 0  # a flood does not starve a read
            assert server.stop() == 0
        finally:
            over.set()
            thread.join()
        datagrams, counted, _ = drained(server.log)
        assert 0 < datagrams <= counted


def test_a_second_sigint_ends_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        host, _, port = server.http.rpartition(":")
        with socket.create_connection((host, int(port))) as client:
            client.settimeout(30)
            # a request under way keeps the server draining; it asks for the body, so it has begun with the request
            client.sendall(
                b"POST /v1/increments HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
                b"content-type: application/json\r\ncontent-length: 10\r\n\r\n"
            )
            assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            server.signal(signal.SIGINT)
            while "draining" not in server.log:
                time.sleep(0.01)
            assert server.process.poll() is None
            server.signal(signal.SIGINT)
            assert server.wait() == 130


@pytest.mark.parametrize("workers", ["0", "1", "2"])
def test_a_taken_udp_port(workers: str, tmp_path: Path) -> None:
    """Also where the other server would share it: both take several workers."""
    with serving(tmp_path, "--udp-workers", "2") as server:
        done = fastcount_cli(
            "serve", "--binary", server.binary, "--http", "127.0.0.1:0", "--udp-workers", workers, cwd=tmp_path
        )
        assert done.returncode == 1
        assert done.stdout == b""
        assert done.stderr.decode().startswith(f"fastcount: --binary {server.binary}: the address is taken")
        assert done.stderr.count(b"\n") == 1


def test_a_taken_http_port(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        done = fastcount_cli("serve", "--binary", "127.0.0.1:0", "--http", server.http, cwd=tmp_path)
        assert done.returncode == 1
        assert f"--http {server.http}: the address is taken" in done.stderr.decode()


def test_an_unknown_host(tmp_path: Path) -> None:
    done = fastcount_cli("serve", "--binary", "no-such-host.invalid:0", cwd=tmp_path)
    assert done.returncode == 1
    assert b"--binary no-such-host.invalid:0: no such host" in done.stderr


def test_two_servers_on_one_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    with serving(tmp_path, "--data-dir", str(data)) as server:
        assert json.loads((data / "server.json").read_text()) == server.card
        done = fastcount_cli(
            "serve", "--data-dir", str(data), "--http", "127.0.0.1:0", "--binary", "127.0.0.1:0", cwd=tmp_path
        )
        assert done.returncode == 1
        assert f"belongs to a running server (pid {server.process.pid})" in done.stderr.decode()
        server.signal(signal.SIGKILL)
        server.wait()
    with serving(tmp_path, "--data-dir", str(data)) as server:  # the lock died with it
        assert server.stop() == 0
        assert not (data / "server.json").exists()


def test_a_data_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = fastcount_cli("serve", "--data-dir", "file/data", cwd=tmp_path)
    assert done.returncode == 1
    assert b"cannot use the data directory file/data: Not a directory" in done.stderr


def test_settings_of_file_and_environment_reach_the_store(tmp_path: Path) -> None:
    (tmp_path / "fastcount.toml").write_text('max_counters = 123\nmax_memory = "2MiB"\n')
    with serving(tmp_path, "--shards", "2", FASTCOUNT_MAX_MEMORY="3MiB") as server:
        store = server.get("/v1/stats")["store"]
        assert (store["max_counters"], store["max_memory"], store["shards"]) == (123, 3 << 20, 2)


def test_a_data_directory_keeps_the_secret_of_samples(tmp_path: Path) -> None:
    """Of the same members the same sample, after a restart and on a node that was given the secret."""
    names = [f"user_{i}" for i in range(200)]

    def sampled(*arguments: str) -> list[str]:
        with serving(tmp_path, "--sample-size", "10", *arguments) as server:
            body = json.dumps([{"type": "t", "id": "a", "member": name} for name in names]).encode()
            request = urllib.request.Request(
                f"http://{server.http}/v1/increments", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert json.load(answer)["applied"] == 200
            said = server.get("/v1/counter/t/a/sample")
            assert server.stop() == 0
            assert "open to other users" not in server.log
            assert len(said["sample"]) == 10
            return said["sample"]  # type: ignore[no-any-return]

    first = sampled("--data-dir", "data")
    assert stat.S_IMODE((tmp_path / "data" / "secret").stat().st_mode) == 0o600
    assert sampled("--data-dir", "data") == first
    assert sampled("--secret-file", "data/secret") == first
    assert sampled("--secret-file", "data/secret", "--data-dir", "other") == first
    assert not (tmp_path / "other" / "secret").exists()
    assert sampled() != first  # the same ten of 200: 1 in 10^16


def test_a_bad_secret_ends_the_start_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("# ours\n0123")
    (tmp_path / "secret").chmod(0o644)
    done = fastcount_cli("serve", "--secret-file", "secret", cwd=tmp_path)
    assert done.returncode == 2
    assert b"secret, line 2: a secret is 32 hex digits, an even number of them, not 4" in done.stderr
    assert b"secret is open to other users of this machine" in done.stderr
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret").write_text("")
    done = fastcount_cli("serve", "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 2
    assert b"data/secret: it is empty" in done.stderr


def test_keys_that_others_can_read_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("1 " + "ab" * 16)
    (tmp_path / "keys").chmod(0o640)
    with serving(tmp_path, "--keys", "keys") as server:
        assert server.stop() == 0
        assert "keys is open to other users of this machine; close it: chmod 600 keys" in server.log


def test_settings_of_samples_reach_the_store(tmp_path: Path) -> None:
    (tmp_path / "fastcount.toml").write_text("event_size = 0\n")
    with serving(tmp_path, FASTCOUNT_SAMPLE_SIZE="7") as server:
        store = server.get("/v1/stats")["store"]
        assert (store["sample_size"], store["event_size"]) == (7, 0)


def test_a_receive_buffer_that_the_kernel_does_not_grant_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path, "--udp-rcvbuf", "1GiB", "--log-level", "debug") as server:
        granted = server.get("/v1/stats")["udp"][0]["rcvbuf"]
        assert server.stop() == 0
        if granted < 1 << 30:
            assert "net.core.rmem_max=1073741824" in server.log
        else:
            assert "UDP receive buffer: 1GiB" in server.log


def test_workers_block_every_signal_and_the_loop_does_not(tmp_path: Path) -> None:
    with serving(tmp_path, "--udp-workers", "3") as server:
        blocked = 0
        for task in Path(f"/proc/{server.process.pid}/task").iterdir():
            mask = int(re.findall(r"SigBlk:\s+(\w+)", (task / "status").read_text())[0], 16)
            terminate = mask >> (signal.SIGTERM - 1) & 1
            blocked += terminate
            assert not (terminate and task.name == str(server.process.pid))
        assert blocked == 3
        assert len(server.get("/v1/stats")["udp"]) == 3


DYING = """
import sys, threading
import fastcount.ingest.udp as udp

class Dying:
    def __init__(self, store, fileno): self.store = store
    def run(self):
        threading.Event().wait(0.5)
        {death}
    def stop(self): pass
    def stats(self): return dict.fromkeys(("datagrams", "frames", "kernel_drops"), 0)

udp.UdpReceiver = Dying
sys.argv[0] = "fastcount"
sys.argv.insert(1, "serve")
from fastcount.cli import main
main()
"""


@pytest.mark.parametrize(
    ("death", "why"), [("raise OSError(9, 'Bad file')", "OSError: [Errno 9] Bad file"), ("return", "it returned")]
)
def test_a_dead_worker_takes_the_server_down(death: str, why: str, tmp_path: Path) -> None:
    with serving(tmp_path, program=[sys.executable, "-c", DYING.format(death=death)]) as server:
        assert server.wait() == 1
        assert f"UDP worker 0 died: {why}" in server.log


def test_the_banner_says_what_to_try(tmp_path: Path) -> None:
    import subprocess

    from running import environment

    with subprocess.Popen(
        command("serve", "--http", "0.0.0.0:0", "--binary", "127.0.0.1:0"),
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = b""
        while b"Ctrl-C" not in lines:
            line = process.stdout.readline()
            assert line
            lines += line
        tried = re.search(rb"curl (http://127\.0\.0\.1:\d+/v1/counter/hits/home)", lines)
        assert tried
        assert b"\x1b" not in lines
        import urllib.request

        with urllib.request.urlopen(tried[1].decode(), timeout=30) as answer:
            assert json.load(answer)["value"] == 0
        process.terminate()
        assert process.wait(30) == 0
