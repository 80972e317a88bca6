"""The command line: answers for people and for pipes, and one clear line for everything that goes wrong."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import PATIENCE, Running, command, environment, fastcount_cli, serving

NAMES = ["/favicon.ico", "/a b", "[red]x[/red]", ":smile:", "é", "%2F", "-x", "x" * 300]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that counted NAMES: the first once, the second twice, and so on."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder) as running:
        for count, name in enumerate(NAMES, 1):
            done = run(running, folder, "send", "hits", "--delta", str(count), "--", name)
            assert (done.returncode, done.stdout) == (0, b"1 sent, 1 received, 0 lost\n")
        yield running
        assert running.stop() == 0


def run(server: Running, cwd: Path, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[bytes]":
    return fastcount_cli(*arguments, cwd=cwd, FASTCOUNT_HTTP=server.http, FASTCOUNT_BINARY=server.binary, **extra)


def on_a_terminal(server: Running, cwd: Path, *arguments: str, **extra: str) -> str:
    """What a person would see, 60 columns wide."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "60", "LINES": "40", "TERM": "xterm-256color"}
    env = environment(FASTCOUNT_HTTP=server.http, FASTCOUNT_BINARY=server.binary, **size, **extra)
    with subprocess.Popen(command(*arguments), cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 65_536):
                seen += piece
        except OSError:  # EIO: it ended
            pass
        finally:
            os.close(ours)
        assert process.wait(PATIENCE) == 0, seen.decode()
    return seen.decode()


def test_get(server: Running, tmp_path: Path) -> None:
    for count, name in enumerate(NAMES, 1):
        done = run(server, tmp_path, "get", "hits", "--", name)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"%d\n" % count, b"")
    assert run(server, tmp_path, "get", "hits", "never").stdout == b"0\n"
    answer = json.loads(run(server, tmp_path, "get", "hits", "é", "--json").stdout)
    assert (answer["type"], answer["id"], answer["value"]) == ("hits", "é", 5)


def test_top_in_a_pipe_and_as_json(server: Running, tmp_path: Path) -> None:
    done = run(server, tmp_path, "top", "hits", "-k", "100", PYTHONIOENCODING="utf-8")
    expected = [(count, name) for count, name in enumerate(NAMES, 1)][::-1]
    assert done.stdout.decode() == "".join(f"{count}\t{name}\n" for count, name in expected)
    answer = json.loads(run(server, tmp_path, "top", "hits", "-k", "3", "--json").stdout)
    assert [(row["value"], row["id"]) for row in answer["top"]] == expected[:3]
    assert run(server, tmp_path, "top", "nothing").stdout == b""


def test_ids_beyond_the_terminals_encoding(server: Running, tmp_path: Path) -> None:
    done = run(server, tmp_path, "top", "hits", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == len(NAMES)
    done = run(server, tmp_path, "get", "hits", "é", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert json.loads(done.stdout)["id"] == "é"


def test_top_on_a_terminal(server: Running, tmp_path: Path) -> None:
    seen = on_a_terminal(server, tmp_path, "top", "hits", "-k", "8")
    assert "\x1b[" in seen
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", seen)
    for name in NAMES[:-1]:  # as they are: no markup, no emoji
        assert name in plain
    assert plain.replace("\r\n", "").replace(" ", "").count("x" * 300) == 1  # folded, not cut
    colourless = on_a_terminal(server, tmp_path, "top", "hits", NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*3\dm", colourless)
    assert "nothing of type none" in on_a_terminal(server, tmp_path, "top", "none")


def test_load_shows_its_progress_on_a_terminal(server: Running, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\n" * 2500)
    seen = on_a_terminal(server, tmp_path, "load", "a.tsv", "--format", "tsv", "--type", "bar")
    assert "2,500 records" in seen
    assert "2,500 sent, 2,500 received, 0 lost" in seen


def test_stats(server: Running, tmp_path: Path) -> None:
    done = run(server, tmp_path, "stats")
    assert re.search(rb"^udp\.0\.rcvbuf +[\d,]+$", done.stdout, re.MULTILINE)
    answer = json.loads(run(server, tmp_path, "stats", "--json").stdout)
    assert answer["udp"][0]["frames"] >= 2 * len(NAMES)
    assert {"version", "uptime_s", "store", "udp", "sources"} <= set(answer)


def test_send(server: Running, tmp_path: Path) -> None:
    done = run(server, tmp_path, "send", "sent", "a", "b", "a", "--delta", "-4")
    assert done.stdout == b"3 sent, 3 received, 0 lost\n"
    done = run(server, tmp_path, "send", "sent", "a", "--member", "kim")
    assert done.stdout == b"1 sent, 1 received, 0 lost\n"
    done = run(server, tmp_path, "send", "sent", "b", "--member", "kim", "--delta", "10")
    assert done.stdout == b"2 sent, 2 received, 0 lost\n"  # a HIT, and an ADD of 9
    assert run(server, tmp_path, "get", "sent", "a").stdout == b"-7\n"
    assert run(server, tmp_path, "get", "sent", "b").stdout == b"6\n"


def test_send_members(server: Running, tmp_path: Path) -> None:
    """Three ways to name a member, by what it is for."""
    for member, flags, records in (
        ("kim", [], 1),
        ("lee", ["--seen"], 1),
        ("mia", ["--sample"], 1),
        ("noa", ["--seen", "--sample"], 2),
        ("oli", ["--delta", "0"], 2),
    ):
        done = run(server, tmp_path, "send", "members", "a", "--member", member, *flags)
        assert done.stdout == b"%d sent, %d received, 0 lost\n" % (records, records)
    assert run(server, tmp_path, "get", "members", "a").stdout == b"1\n"
    assert run(server, tmp_path, "unique", "members", "a").stdout == b"4\n"
    said = run(server, tmp_path, "sample", "members", "a")
    assert sorted(said.stdout.decode().splitlines()) == ["kim", "mia", "noa", "oli"]
    assert said.stderr == b""


def test_unique_and_sample(server: Running, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(
        "".join(f"few\t1\tu{i}\nmany\t0\tu{i}\n" if i < 7 else f"many\t0\tu{i}\n" for i in range(3000))
        + "also\t1\té [red]\n" * 5
    )
    done = run(server, tmp_path, "load", "a.tsv", "--format", "tsv", "--type", "who")
    assert done.stdout == b"6,012 sent, 6,012 received, 0 lost\n"
    for id_, distinct in (("few", b"7\n"), ("also", b"1\n"), ("never", b"0\n")):
        done = run(server, tmp_path, "unique", "who", id_)
        assert (done.returncode, done.stdout, done.stderr) == (0, distinct, b"")
    done = run(server, tmp_path, "unique", "who", "many")
    assert abs(int(done.stdout) - 3000) < 3000 * 5 * 0.0082
    assert done.stderr == b"note: an estimate, with a standard error of 0.81%\n"
    assert abs(int(run(server, tmp_path, "unique", "who").stdout) - 3001) < 3000 * 5 * 0.0082
    assert json.loads(run(server, tmp_path, "unique", "who", "few", "--json").stdout) == {
        "type": "who", "id": "few", "unique": 7, "error": 0.0,
    }  # fmt: skip
    assert json.loads(run(server, tmp_path, "unique", "none", "--json").stdout) == {
        "type": "none", "unique": 0, "error": 0.0,
    }  # fmt: skip
    done = run(server, tmp_path, "sample", "who", "also", PYTHONIOENCODING="utf-8")
    assert done.stdout.decode() == "é [red]\n"
    done = run(server, tmp_path, "sample", "who", "many")
    assert len({*done.stdout.decode().splitlines()} & {f"u{i}" for i in range(3000)}) == 100
    assert re.fullmatch(rb"note: 100 of about [\d,]+ members\n", done.stderr)
    assert json.loads(run(server, tmp_path, "sample", "who", "many", "--json").stdout)["complete"] is False
    assert run(server, tmp_path, "sample", "who", "never").stdout == b""
    done = run(server, tmp_path, "top", "who", "--by", "unique", "-k", "3")
    assert re.fullmatch(rb"\d+\tmany\n7\tfew\n1\talso\n", done.stdout)
    assert run(server, tmp_path, "top", "who", "--by", "value").stdout == b"7\tfew\n5\talso\n0\tmany\n"
    assert "uniques" in on_a_terminal(server, tmp_path, "top", "who", "--by", "unique")


def test_signed(tmp_path: Path) -> None:
    key, other = "00112233445566778899aabbccddeeff", "ff" * 16
    for name, text in (("keys", f"1 {key}\n2 {other}\n"), ("one", f"1 {key}\n"), ("wrong", f"1 {other}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "a.log").write_text('h - - [d +0] "GET /a HTTP/1.1" 200 1\n' * 3)
    with serving(tmp_path, "--keys", "keys", "--require-signature") as server:
        for way in (["--key", "one"], ["--key", "2:keys"]):
            done = run(server, tmp_path, "send", "hits", "/a", *way)
            assert (done.stdout, done.stderr) == (b"1 sent, 1 received, 0 lost\n", b"")
        done = run(server, tmp_path, "load", "a.log", "--type", "hits", "--binary", server.binary, FASTCOUNT_KEY="one")
        assert done.stdout == b"3 sent, 3 received, 0 lost\n"
        done = fastcount_cli(
            "load", "a.log", "--type", "hits", "--http", server.http, "--key", "1:keys", cwd=tmp_path
        )  # fmt: skip
        assert done.stdout == b"3 sent, 3 received, 0 lost\n"
        for way in ([], ["--key", "wrong"]):
            done = run(server, tmp_path, "send", "hits", "/a", *way)
            assert done.returncode == 1
            assert b"frames were refused for their signature meanwhile: give a key" in done.stdout
            done = fastcount_cli("load", "a.log", "--type", "hits", "--http", server.http, *way, cwd=tmp_path)
            assert done.returncode == 1
            assert b"sign it with a key that this server knows" in done.stderr
        assert run(server, tmp_path, "get", "hits", "/a").stdout == b"8\n"
        (tmp_path / "keys").chmod(0o644)
        done = run(server, tmp_path, "send", "hits", "/a", "--key", "1:keys")
        assert done.stderr == (
            b"fastcount: keys is open to other users of this machine; close it: chmod 600 keys\n"
        )  # fmt: skip
        assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["unique"], "Missing argument 'TYPE'"),
        (["unique", "no way"], "a type is 1 to 64 bytes"),
        (["unique", "hits", ""], "id: 1 to 1,023 bytes"),
        (["sample", "hits"], "Missing argument 'ID'"),
        (["top", "hits", "--by", "rate"], "'value', 'unique'"),
        (["send", "hits", "a", "--seen"], "give --member"),
        (["send", "hits", "a", "--member", "kim", "--sample", "--delta", "2"], "no --delta"),
        (["send", "hits", "a", "--key", "none"], "cannot read none"),
        (["serve", "--keys", "none"], "cannot read none"),
        (["serve", "--secret-file", "none"], "cannot read none"),
        (["serve", "--require-signature"], "--require-signature without --keys"),
        (["serve", "--sample-size", "0"], "--sample-size 0"),
        (["get", "hits"], "Missing argument 'ID'"),
        (["get", "no way", "a"], "a type is 1 to 64 bytes"),
        (["get", "hits", ""], "id: 1 to 1,023 bytes"),
        (["get", "hits", "a\x07\nb"], "control characters"),
        (["get", "hits", os.fsdecode(b"\xff")], "lone surrogate"),
        (["get", "hits", "x" * 1024], "not 1,024"),
        (["top", "hits", "-k", "0"], "'-k'"),
        (["top", "hits", "-k", "ten"], "'-k'"),
        (["send", "hits"], "Missing argument 'ID...'"),
        (["send", "hits", "a", "--delta", str(1 << 63)], "outside of signed 64-bit"),
        (["send", "hits", os.fsdecode(b"\xff")], "not valid UTF-8"),
        (["send", "hits", "a", "--member", ""], "member: 1 to 255 bytes"),
        (["get", "hits", "a", "--http", "::1"], "--http: '::1'"),
        (["stats", "--http", "localhost"], "has no port"),
        (["bench", "--seconds", "0"], "--seconds"),
        (["serv"], "serve"),
        (["--wat"], "--wat"),
        (["serve", "--max-memry", "1"], "--max-memory"),
        (["serve", "--max-memory", "lots"], "--max-memory lots: 'lots' is not a size"),
        (["serve", "--config", "none.toml"], "cannot read the configuration file none.toml"),
    ],
)
def test_used_wrongly(arguments: list[str], why: str, tmp_path: Path) -> None:
    done = fastcount_cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert why in done.stderr.decode()
    assert done.stderr.startswith(b"fastcount: ")
    assert done.stderr.count(b"\n") == 1
    assert b"\x07" not in done.stderr
    assert done.stdout == b""


def test_what_answers_is_not_fastcount(tmp_path: Path) -> None:
    import http.server
    import threading

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            door = f"127.0.0.1:{other.server_address[1]}"
            done = fastcount_cli("get", "hits", "a", "--http", door, cwd=tmp_path)
        finally:
            other.shutdown()
            thread.join()
    assert done.returncode == 1
    assert b"is not fastcount" in done.stderr


def test_the_servers_refusal_is_told(server: Running, tmp_path: Path) -> None:
    """A UDP port that is asked over HTTP, and nobody."""
    done = fastcount_cli("get", "hits", "a", "--http", server.binary, cwd=tmp_path)
    assert done.returncode == 1
    assert b"nothing listens at http://" in done.stderr


def test_a_reader_that_goes_away(server: Running, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            command("top", "hits"), cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, timeout=PATIENCE,
            env=environment(FASTCOUNT_HTTP=server.http),
        )  # fmt: skip
    finally:
        os.close(write)
    assert done.returncode == 1
    assert done.stderr == b""


@pytest.mark.parametrize("name", ["", "serve", "send", "load", "get", "unique", "sample", "top", "stats", "bench"])
def test_help(name: str, tmp_path: Path) -> None:
    done = fastcount_cli(*filter(None, (name, "--help")), cwd=tmp_path, COLUMNS="100")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert f"fastcount {name}".strip() in text
    assert "Example" in text or "Begin with" in text
    assert b"\x1b" not in done.stdout


def test_without_a_command_it_helps(tmp_path: Path) -> None:
    done = fastcount_cli(cwd=tmp_path)
    assert done.returncode == 0
    assert b"Commands" in done.stdout


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(rb"fastcount \d\S+\n", fastcount_cli("--version", cwd=tmp_path).stdout)


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    """What keeps `fastcount --help` quick."""
    heavy = (
        "pydantic",
        "fastapi",
        "uvicorn",
        "uvloop",
        "asyncio",
        "http.client",
        "fastcount._core",
        "fastcount.config",
    )
    program = f"import sys, fastcount.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, check=True)
    assert done.stdout == b"[]\n"


@pytest.mark.parametrize("workers", ["0", "1"])
def test_bench(workers: str, tmp_path: Path) -> None:
    (tmp_path / "fastcount.toml").write_text("max_counters = 1\n")  # not for its server
    done = fastcount_cli(
        "bench", "--seconds", "0.3", "--names", "500", "--rate", "100000", "--udp-workers", workers, "--json",
        cwd=tmp_path, FASTCOUNT_MAX_TYPES="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["sent"] == result["received"] + result["lost"]
    assert result["lost"] == 0
    assert result["sent"] >= 30_000
    assert result["names"] == 500
    assert result["udp_workers"] == int(workers)


def test_bench_prints_a_table(tmp_path: Path) -> None:
    done = fastcount_cli("bench", "--seconds", "0.1", "--names", "1", "--rate", "10000", cwd=tmp_path)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.decode().splitlines()[:6]] == [
        "sent", "received", "lost", "time", "rate", "server",
    ]  # fmt: skip
