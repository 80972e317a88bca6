"""`fastcount load` against a real server: every line of a log is found again, over a network that loses frames, too."""

import collections
import gzip
import http.server
import json
import os
import random
import re
import select
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from running import Running, fastcount_cli, serving

from fastcount import wire

ROOT = Path(__file__).parents[2]


def synthetic(path: Path, lines: int = 4000) -> Path:
    """A log with what made trouble in real ones; the same at every run."""
    rng = random.Random(20150517)
    paths = ["/favicon.ico", "/", "*", "/a/unique", "/b/unique/", "/c/sample", "/increment", "/d/increment"]
    paths += [f"/p{i}" for i in range(300)] + [f"/q?x={i}&y={{z}},%7B{i}%2C" for i in range(50)]
    paths += ["/" + "long/" * 119, "/é/ü", "/%", "/%%2F%zz", "/a,b", "//", "/..;/", "/a=b", "'/x'", "/[red]", "?"]
    paths += ["/" + "x" * 1022]  # the longest that may be
    weights = [1 / (rank + 1) for rank in range(len(paths))]
    requests = [f'"GET {path} HTTP/1.1"' for path in paths]
    out = []
    for _ in range(lines):
        request = rng.choices(requests, weights)[0]
        if rng.random() < 0.02:
            request = rng.choice(['"-"', '"GET"', '"\\x16\\x03\\x01 \\x02"', '"GET /a b HTTP/1.1"', '""', '"quit"'])
        host = f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(256)}"
        out.append(f'{host} - - [17/May/2015:10:05:03 +0000] {request} 200 {rng.randrange(9999)} "-" "Mozilla/5.0 (X)"')
    assert len(paths[paths.index("/" + "long/" * 119)]) == 596
    path.write_text("\n".join(out) + "\n", encoding="utf-8")
    return path


def sample_log() -> Path | None:
    """The real log that the acceptance of `load` is about, where it is at hand."""
    for folder in (os.environ.get("FASTCOUNT_DATA", ""), str(ROOT.parent / "shared" / "data")):
        if folder and (Path(folder) / "apache_access.log").is_file():
            return Path(folder) / "apache_access.log"
    return None


def awk(log: Path) -> dict[str, int]:
    """`awk '{print $7}' | sort | uniq -c`"""
    done = subprocess.run(["awk", "{print $7}", str(log)], capture_output=True, check=True)
    return dict(collections.Counter(done.stdout.decode().splitlines()))


def counts(server: Running, type: str, ids: list[str]) -> dict[str, int]:
    return {id: server.get(f"/v1/counter/{type}/{quote(id, safe='')}")["value"] for id in ids}


def everything(server: Running, type: str) -> dict[str, int]:
    return {row["id"]: row["value"] for row in server.get(f"/v1/top/{type}?k=10000")["top"]}


def load(server: Running, file: Path, *arguments: str, status: int = 0, http: bool = False) -> str:
    to = ["--http", server.http] if http else ["--binary", server.binary, "--http-status", server.http]
    done = fastcount_cli("load", str(file), "--type", "hits", *to, *arguments, cwd=file.parent)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout.decode()


def logs(tmp_path: Path) -> list[Path]:
    """The synthetic one always, the real one where it is."""
    real = sample_log()
    return [synthetic(tmp_path / "access.log"), *([real] if real else [])]


def test_a_log_ends_up_as_awk_counts_it(tmp_path: Path) -> None:
    for log in logs(tmp_path):
        lines = log.read_bytes().count(b"\n")
        with serving(tmp_path) as server:
            to = ["--binary", server.binary, "--http-status", server.http]
            done = fastcount_cli("load", str(log), "--format", "clf", "--type", "hits", *to, cwd=tmp_path)
            assert done.stdout.decode() == f"{lines:,} sent, {lines:,} received, 0 lost\n"
            assert (done.returncode, done.stderr) == (0, b"")
            expected = awk(log)
            assert everything(server, "hits") == expected
            assert counts(server, "hits", list(expected)) == expected
            rows = server.get("/v1/sources")["sources"]
            assert [(row["records"], row["lost"], row["settled"]) for row in rows] == [(lines, 0, True)]


def hosts(log: Path) -> dict[str, set[str]]:
    """The different client addresses of each path."""
    done = subprocess.run(["awk", "{print $7, $1}", str(log)], capture_output=True, check=True)
    found: dict[str, set[str]] = {}
    for line in done.stdout.decode().splitlines():
        path, _, host = line.rpartition(" ")
        found.setdefault(path, set()).add(host)
    return found


@pytest.mark.parametrize("by_http", [False, True])
def test_a_log_ends_up_with_its_uniques_and_samples(tmp_path: Path, by_http: bool) -> None:
    """Each path is exact, since none has 1,792 clients; all of them together may be an estimate."""
    for log in logs(tmp_path):
        expected = hosts(log)
        everybody = set().union(*expected.values())
        with serving(tmp_path) as server:
            load(server, log, http=by_http)
            names = [{"type": "hits", "id": path} for path in expected]
            body = json.dumps({"counters": names, "unique": True, "sample": 10}).encode()
            request = urllib.request.Request(
                f"http://{server.http}/v1/counters:read", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                rows = json.load(answer)["counters"]
            assert {row["id"]: row["unique"] for row in rows} == {path: len(found) for path, found in expected.items()}
            assert {row["error"] for row in rows} == {0.0}
            for row in rows:
                assert set(row["sample"]) <= expected[row["id"]]
                assert len(row["sample"]) == min(10, len(expected[row["id"]]))
            favicon = server.get("/v1/counter/hits/%2Ffavicon.ico/sample")
            assert len(favicon["sample"]) == min(100, len(expected["/favicon.ico"]))
            assert set(favicon["sample"]) <= expected["/favicon.ico"]
            said = server.get("/v1/unique/hits")
            assert abs(said["unique"] - len(everybody)) <= 5 * said["error"] * len(everybody)
            top = server.get("/v1/top/hits?by=unique&k=10000")["top"]
            ranked = sorted(expected, key=lambda path: (-len(expected[path]), path.encode()))
            assert [(row["id"], row["unique"]) for row in top] == [(path, len(expected[path])) for path in ranked]
            if log == sample_log():
                assert (len(expected["/favicon.ico"]), len(everybody)) == (683, 1753)
                assert (said["unique"], said["error"]) == (1753, 0.0)
                ask = {"cwd": tmp_path, "FASTCOUNT_HTTP": server.http}
                assert fastcount_cli("unique", "hits", "/favicon.ico", **ask).stdout == b"683\n"  # type: ignore[arg-type]
                assert fastcount_cli("unique", "hits", **ask).stdout == b"1753\n"  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", ["0", "1", "2"])
@pytest.mark.parametrize("member", ["none", "host"])
def test_all_ways_of_reading_udp_count_the_same(workers: str, member: str, tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log")
    with serving(tmp_path, "--udp-workers", workers) as server:
        assert load(server, log, "--member", member) == "4,000 sent, 4,000 received, 0 lost\n"
        assert everything(server, "hits") == awk(log)


def test_by_http(tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log")
    with serving(tmp_path) as server:
        assert load(server, log, http=True) == "4,000 sent, 4,000 received, 0 lost\n"
        assert everything(server, "hits") == awk(log)
        assert server.get("/v1/sources")["sources"][0]["address"] == "http 127.0.0.1"


def test_packed_and_by_standard_input(tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log", 500)
    (tmp_path / "access.log.gz").write_bytes(gzip.compress(log.read_bytes()))
    with serving(tmp_path) as server:
        assert load(server, tmp_path / "access.log.gz") == "500 sent, 500 received, 0 lost\n"
        done = fastcount_cli(
            "load", "-", "--type", "hits", "--binary", server.binary, cwd=tmp_path, stdin=log.read_bytes(),
            FASTCOUNT_HTTP=server.http,
        )  # fmt: skip
        assert done.stdout == b"500 sent, 500 received, 0 lost\n"
        assert everything(server, "hits") == {id: 2 * count for id, count in awk(log).items()}


def test_tsv_and_ndjson(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\nb\t5\nc\t-2\tkim\n\nd\tx\n" + "e" * 1024 + "\n")
    (tmp_path / "a.ndjson").write_text('{"id": "a", "delta": 10}\n{"type": "likes", "id": "é", "member": "kim"}\n')
    with serving(tmp_path) as server:
        done = fastcount_cli("load", "a.tsv", "--format", "tsv", "--type", "hits", "--http", server.http, cwd=tmp_path)
        assert done.stdout == b"4 sent, 4 received, 0 lost\n"
        errors = done.stderr.decode().splitlines()
        assert errors[0] == "2 of 6 lines could not be counted:"
        assert errors[1] == "fastcount: line 5: delta 'x' is not a whole number"
        assert errors[2].startswith("fastcount: line 6: id: 1 to 1,023 bytes")
        assert load(server, tmp_path / "a.ndjson", "--format", "ndjson") == "2 sent, 2 received, 0 lost\n"
        assert everything(server, "hits") == {"a": 11, "b": 5, "c": -2}
        assert everything(server, "likes") == {"é": 1}


@contextmanager
def lossy(server: Running, lose: Callable[[wire.Frame, int], bool]) -> Iterator[str]:
    """A UDP address that passes datagrams on to the server, but for those where lose(frame, times seen) says so."""
    over = threading.Event()
    seen: collections.Counter[int] = collections.Counter()

    def forward() -> None:
        while not over.is_set():
            if not select.select([inside], [], [], 0.05)[0]:
                continue
            data = inside.recv(70_000)
            frame = wire.decode(data)
            assert frame.seq is not None
            seen[frame.seq] += 1
            if not lose(frame, seen[frame.seq]):
                outside.send(data)

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside,
    ):
        inside.bind(("127.0.0.1", 0))
        outside.connect(server.udp)
        thread = threading.Thread(target=forward)
        thread.start()
        try:
            yield "{}:{}".format(*inside.getsockname())
        finally:
            over.set()
            thread.join()


def test_what_the_network_loses_is_sent_again_and_counted_once(tmp_path: Path) -> None:
    """The first frame and every third get lost at first, and END for good."""
    log = synthetic(tmp_path / "access.log")
    with serving(tmp_path) as server, lossy(server, lambda f, n: f.end or (n == 1 and (f.seq or 0) % 3 == 0)) as way:
        done = fastcount_cli(
            "load", str(log), "--type", "hits", "--binary", way, "--http-status", server.http, cwd=tmp_path
        )
        assert done.stdout == b"4,000 sent, 4,000 received, 0 lost\n"
        assert done.returncode == 0
        assert re.fullmatch(rb"[\d,]+ frames were sent again \(repeats are not counted twice\)\n", done.stderr)
        assert everything(server, "hits") == awk(log)
        row = server.get("/v1/sources")["sources"][0]
        assert row["duplicate_frames"] > 0


def test_what_stays_lost_is_told_with_status_1(tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log", 1000)
    lost: dict[int, int] = {}

    def lose(frame: wire.Frame, times: int) -> bool:
        if frame.seq in (2, 5):
            lost[frame.seq] = len(frame.records)
            return True
        return False

    with serving(tmp_path) as server, lossy(server, lose) as way:
        done = fastcount_cli(
            "load", str(log), "--type", "hits", "--binary", way, "--http-status", server.http, cwd=tmp_path
        )
        gone = sum(lost.values())
        assert gone > 0
        assert done.stdout.decode() == f"1,000 sent, {1000 - gone:,} received, {gone:,} lost\n"
        assert done.returncode == 1
        row = server.get("/v1/sources")["sources"][0]
        assert (row["lost"], row["lost_frames"]) == (gone, 2)
        assert sum(everything(server, "hits").values()) == 1000 - gone


def test_a_ledger_out_of_reach_is_said(tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log", 300)
    with socket.socket() as nobody, serving(tmp_path) as server:
        nobody.bind(("127.0.0.1", 0))  # bound, but nobody listens
        elsewhere = "{}:{}".format(*nobody.getsockname())
        done = fastcount_cli(
            "load", str(log), "--type", "hits", "--binary", server.binary, "--http-status", elsewhere, cwd=tmp_path
        )
        assert done.stdout.decode().startswith(f"300 sent, not verified: nothing listens at http://{elsewhere}")
        assert done.returncode == 0


def test_a_ledger_that_does_not_know_us_is_said(tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log", 30)
    with serving(tmp_path) as server, serving(tmp_path) as other:
        done = fastcount_cli(
            "load", str(log), "--type", "hits", "--binary", server.binary, "--http-status", other.http, cwd=tmp_path
        )
        assert done.stdout.decode().startswith("30 sent, not verified: the ledger at http://")
        assert done.returncode == 1


def test_no_server(tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log", 3000)
    with socket.socket() as nobody, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        nobody.bind(("127.0.0.1", 0))
        closed.bind(("127.0.0.1", 0))
        udp = "{}:{}".format(*closed.getsockname())
        closed.close()
        tcp = "{}:{}".format(*nobody.getsockname())
        for to in (["--binary", udp, "--http-status", tcp], ["--http", tcp]):
            done = fastcount_cli("load", str(log), "--type", "hits", *to, cwd=tmp_path)
            assert done.returncode == 1
            assert b"nothing listens at" in done.stderr
            assert done.stdout == b""


def test_refusals_by_a_limit_are_told(tmp_path: Path) -> None:
    log = synthetic(tmp_path / "access.log", 1000)
    names = len(awk(log))
    assert names > 50
    for by_http in (True, False):
        with serving(tmp_path, "--max-counters", "50") as server:
            out = load(server, log, http=by_http, status=1)
            refused = 1000 - sum(everything(server, "hits").values())
            assert out == f"1,000 sent, 1,000 received, 0 lost, {refused:,} refused by a limit\n"


def test_a_repeated_request_counts_once(tmp_path: Path) -> None:
    """Answers of the HTTP door get lost on their way back."""
    log = synthetic(tmp_path / "access.log", 9000)  # more than one frame

    class Forgetful(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        posts = 0

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            import urllib.request

            kind = {"content-type": self.headers["content-type"]}
            request = urllib.request.Request(f"http://{server.http}{self.path}", body, kind)
            with urllib.request.urlopen(request) as answer:
                data = answer.read()
            Forgetful.posts += 1
            if Forgetful.posts % 2 == 0:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None: ...

    with serving(tmp_path) as server, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            way = f"127.0.0.1:{proxy.server_address[1]}"
            done = fastcount_cli("load", str(log), "--type", "hits", "--http", way, cwd=tmp_path)
        finally:
            proxy.shutdown()
            thread.join()
        assert Forgetful.posts > 2
        assert done.stdout == b"9,000 sent, 9,000 received, 0 lost\n"
        assert everything(server, "hits") == awk(log)


def test_rate(tmp_path: Path) -> None:
    """200 records at 400/s are not there in less than a quarter of a second."""
    import time

    log = synthetic(tmp_path / "access.log", 200)
    with serving(tmp_path) as server:
        start = time.monotonic()
        assert load(server, log, "--rate", "400") == "200 sent, 200 received, 0 lost\n"
        assert time.monotonic() - start > 0.25


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["x.log"], "--type hits"),
        (["x.log", "--type", "a b"], "a type is 1 to 64 bytes"),
        (["x.log", "--type", "t", "--format", "csv"], "it is clf, tsv or ndjson"),
        (["x.log", "--type", "t", "--member", "me"], "--member me"),
        (["x.tsv", "--type", "t", "--format", "tsv", "--columns", "id,count"], "'count' is not one of"),
        (["x.log", "--type", "t", "--http", "a:1", "--binary", "a:2"], "not both"),
        (["x.log", "--type", "t", "--binary", "8128"], "--binary: '8128' is only a port"),
        (["x.log", "--type", "t", "--http", "a:0"], "port 0 is for serve"),
        (["x.log", "--type", "t", "--rate", "-1"], "--rate"),
    ],
)
def test_used_wrongly(arguments: list[str], why: str, tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("a\n")
    (tmp_path / "x.tsv").write_text("a\n")
    done = fastcount_cli("load", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert why in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = fastcount_cli("load", "none.log", "--type", "t", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == b"fastcount: cannot read none.log: No such file or directory\n"


def test_json_numbers_of_any_size_are_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "x.ndjson").write_text(
        "".join(json.dumps({"id": "a", "delta": delta}) + "\n" for delta in (1 << 63, -(1 << 63), (1 << 63) - 1))
    )
    with serving(tmp_path) as server:
        assert load(server, tmp_path / "x.ndjson", "--format", "ndjson") == "2 sent, 2 received, 0 lost\n"
        assert everything(server, "hits") == {"a": -1}
