"""The client against a real UDP socket: what it sends, and when."""

import gc
import logging
import random
import socket
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path

import pytest
from udp_peer import Peer, check_books, records, totals

import fastcount
from fastcount import wire
from fastcount.client import JITTER, Client
from fastcount.errors import ConfigError

SRC = Path(__file__).parents[2] / "src"
NEVER = 3600.0


@pytest.fixture
def client(peer):
    """One that sends only when told to."""
    client = Client(port=peer.port, flush_interval=NEVER, heartbeat=NEVER)
    yield client
    client.close()


def test_increments_add_up(peer, client):
    want = Counter()
    draw = random.Random(1)
    for _ in range(20_000):
        type_, id_ = draw.choice(["content", "views"]), f"/é/{draw.randrange(500)}"
        delta = draw.choice([1, 1, 1, 5, -2, 10**12])
        want[type_, id_] += delta
        client.incr(type_, id_, delta)
    assert client.flush()
    assert client.close()
    frames = peer.until_end()
    assert totals(frames) == {name: total for name, total in want.items() if total}
    assert len(records(frames)) == client.stats.records <= 1000  # merged
    assert max(peer.sizes) <= 1432


def test_records_with_a_member_are_sent_one_by_one(peer, client):
    client.hit("views", "1", "u")
    client.hit("views", b"1", b"u")
    client.seen("views", "1", member="é")
    client.sample("views", "x" * 1023, "m" * 255)
    client.incr("views", "1")
    client.incr(b"views", b"1", -1)
    client.close()
    frames = peer.until_end()
    got = [(r.op, r.type, r.id, r.delta, r.member) for r in records(frames)]
    assert sorted(got, key=repr) == sorted(
        [
            (wire.HIT, b"views", b"1", 1, b"u"),
            (wire.HIT, b"views", b"1", 1, b"u"),
            (wire.SEEN, b"views", b"1", 0, "é".encode()),
            (wire.SAMPLE, b"views", b"x" * 1023, 0, b"m" * 255),
            (wire.INC, b"views", b"1", 1, None),
            (wire.ADD, b"views", b"1", -1, None),
        ],
        key=repr,
    )


def test_a_type_is_written_once_a_frame(peer, client):
    for i in range(30):
        client.incr("a", str(i))
        client.incr("b", str(i))
        client.hit("a", str(i), "u")
        client.hit("b", str(i), "u")
    client.close()
    data, _end = peer.until_end()
    assert [c.value for c in data.controls] == [b"a", b"b"]
    assert len(data.records) == 120


def test_sums_beyond_64_bits_are_split(peer, client):
    for _ in range(5):
        client.incr("t", "up", wire.I64_MAX)
        client.incr("t", "down", wire.I64_MIN)
        client.incr("t", "even", wire.I64_MAX)
        client.incr("t", "even", -wire.I64_MAX)
    client.close()
    frames = peer.until_end()
    assert totals(frames) == {("t", "up"): 5 * wire.I64_MAX, ("t", "down"): 5 * wire.I64_MIN}
    assert len(records(frames)) == 10
    assert client.stats.pending == client.stats.dropped == client.stats.invalid == 0


class Unhashable(str):
    __hash__ = None


class Hostile(str):
    def __hash__(self):
        raise ZeroDivisionError


class Index:
    def __index__(self):
        return 7


BAD_CALLS = [
    ("incr", "", "x"),
    ("incr", "a b", "x"),
    ("incr", "t" * 65, "x"),
    ("incr", None, "x"),
    ("incr", ["t"], "x"),
    ("incr", "t", ""),
    ("incr", "t", "x" * 1024),
    ("incr", "t", "é" * 512),
    ("incr", "t", "a\tb"),
    ("incr", "t", "\x9f"),
    ("incr", "t", "\ud800"),
    ("incr", "t", b"\xc0\x80"),
    ("incr", "t", 12),
    ("incr", "t", {}),
    ("incr", "t", Unhashable("x")),
    ("incr", "t", Hostile("x")),
    ("incr", Hostile("t"), "x"),
    ("incr", "t", "ok", 1 << 63),
    ("incr", "t", "ok", -(1 << 63) - 1),
    ("incr", "t", "ok", 1.0),
    ("incr", "t", "ok", "1"),
    ("incr", "t", "ok", None),
    ("hit", "t", "ok", ""),
    ("hit", "t", "ok", "m" * 256),
    ("hit", "t", "ok", 5),
    ("hit", "t", "\n", "m"),
    ("hit", "a b", "ok", "m"),
    ("seen", "t", "ok", b"\xff"),
    ("sample", ["t"], "ok", "m"),
]


def test_bad_calls_are_counted_and_never_raise(peer, client, caplog):
    client.incr("t", "ok")  # so that bad deltas meet a name that is there
    with caplog.at_level(logging.WARNING, "fastcount"):
        for method, *arguments in BAD_CALLS:
            getattr(client, method)(*arguments)
            assert client.stats.pending == 1, arguments
    assert client.stats.invalid == len(BAD_CALLS)
    assert len(caplog.records) == 1
    client.incr("t", "ok", True)
    client.incr("t", "ok", Index())
    client.close()
    assert totals(peer.until_end()) == {("t", "ok"): 9}


def test_threads(peer):
    with Client(port=peer.port, flush_interval=0.001, heartbeat=NEVER) as client:

        def work(number):
            for i in range(10_000):
                client.incr("t", str(i % 100))
                if i % 10 == 0:
                    client.hit("h", str(number), "m")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    frames = peer.until_end()
    want = {("t", str(i)): 400 for i in range(100)} | {("h", str(n)): 1000 for n in range(4)}
    assert totals(frames) == want
    assert client.stats.dropped == client.stats.invalid == 0


def test_a_call_goes_aside_while_another_one_holds_the_buffer(peer, client):
    with client._lock:
        client.incr("t", "x", 2)
        client.hit("t", "y", "m")
        client.incr("t", "bad\n")
        assert client.stats.pending == 3
    client.incr("t", "x", 3)
    assert client.flush()
    assert client.stats[4:7] == (0, 1, 0)  # pending, invalid, dropped
    client.close()
    assert totals(peer.until_end()) == {("t", "x"): 5, ("t", "y"): 1}


def test_calls_aside_are_bounded(peer):
    with Client(port=peer.port, flush_interval=NEVER, max_pending=10) as client:
        with client._lock:
            for i in range(25):
                client.incr("t", str(i))
        assert client.flush() is False
        assert (client.stats.records, client.stats.dropped) == (10, 15)


def test_a_call_from_within_a_call(peer, client):
    class Reentrant(str):
        def __hash__(self):
            client.incr("t", "inner")
            return str.__hash__(self)

    for _ in range(10):
        client.incr("t", Reentrant("outer"))
    client.close()
    got = totals(peer.until_end())
    assert got["t", "outer"] == 10
    assert got["t", "inner"] >= 10


def test_pending_is_bounded(peer):
    client = Client(port=peer.port, flush_interval=NEVER, max_pending=100)
    client._hurry = lambda: None  # or it would be sent at half of it
    for _ in range(3):
        for i in range(150):
            client.incr("t", str(i))
    assert (client.stats.pending, client.stats.dropped) == (100, 150)
    client.hit("t", "0", "m")
    assert (client.stats.pending, client.stats.dropped) == (100, 151)
    assert client.flush() is False  # something was dropped
    assert client.flush() is True  # and that has been said
    client.close()
    assert totals(peer.until_end()) == {("t", str(i)): 3 for i in range(100)}


def test_it_sends_by_itself_after_a_while(peer):
    with Client(port=peer.port, flush_interval=0.01) as client:
        client.incr("t", "x")
        assert totals([peer.receive()]) == {("t", "x"): 1}
        client.incr("t", "y")
        assert totals([peer.receive()]) == {("t", "y"): 1}


def test_it_sends_by_itself_when_much_is_pending(peer):
    with Client(port=peer.port, flush_interval=NEVER, max_pending=20) as client:
        for i in range(10):
            client.incr("t", str(i))
        assert len(peer.receive().records) == 10


def test_the_interval_is_jittered(peer):
    waits = []

    class Recording:
        def wait(self, timeout):
            waits.append(timeout)

        def set(self):
            pass

    with Client(port=peer.port, flush_interval=0.2) as client:
        client._urgent = Recording()
        for i in range(30):
            client.incr("t", str(i))
            peer.receive()
    low, high = (0.2 * factor for factor in JITTER)
    assert len(waits) >= 30
    assert all(low <= wait <= high for wait in waits)
    assert len(set(waits)) > 10


def test_heartbeats_close_the_books_of_an_idle_client(peer):
    with Client(port=peer.port, flush_interval=0.001, heartbeat=0.01) as client:
        client.incr("t", "x")
        frames = peer.until_end(ends=3)
        assert [len(f.records) for f in frames] == [1, 0, 0, 0]
        client.incr("t", "y")
        later = [peer.receive()]
        while not later[-1].records:
            later.append(peer.receive())
        check_books(frames + later)


def test_nothing_is_sent_where_nothing_was_given(peer):
    with Client(port=peer.port, heartbeat=0.001) as client:
        assert client.flush()
        assert client._thread is None
    assert peer.is_silent()


def test_flush_means_that_the_kernel_has_it(peer, client):
    client.incr("t", "x")
    assert client.flush()
    peer.sock.setblocking(False)
    assert totals([peer.receive()]) == {("t", "x"): 1}


def test_close_is_final(peer, client):
    client.incr("t", "x")
    assert client.close()
    assert client.close()
    assert len(peer.until_end()) == 2
    client.incr("t", "x")
    client.hit("t", "x", "m")
    assert (client.stats.dropped, client.stats.pending) == (2, 0)
    assert client.flush() is False
    assert peer.is_silent()


def test_close_accounts_for_what_it_could_not_send(peer):
    """One batch is under way at a record a second, and another one is in the buffer, when there is no more time."""
    client = Client(port=peer.port, flush_interval=3600, max_datagram=64, max_rate=1.0)
    for i in range(100):
        client.incr("t", f"{i:020}")
    assert not client.flush(0.0)
    for i in range(50):
        client.incr("t", f"late {i}")
    assert not client.close(0.0)
    for i in range(50):
        client.incr("t", f"late {i}")
    stats = client.stats
    assert (stats.pending, stats.records + stats.dropped) == (0, 200)
    frames = [peer.receive()]
    while not frames[-1].end:
        frames.append(peer.receive())
    assert frames[-1].sent == 150, "so the server knows of what was lost"


def test_a_client_that_is_let_go_of_sends_what_it_has(peer):
    client = Client(port=peer.port, flush_interval=0.001)
    client.incr("t", "x")
    thread = client._thread
    del client
    while thread.is_alive():
        gc.collect()
        thread.join(0.01)
    assert totals(peer.until_end()) == {("t", "x"): 1}


def test_signed(peer):
    key = b"k" * 32
    with Client(port=peer.port, key=(9, key)) as client:
        client.incr("t", "x")
    frames = peer.until_end(keys={9: key}, require_signature=True)
    assert totals(frames) == {("t", "x"): 1}


def test_ipv6():
    peer = Peer("::1")
    with Client("::1", peer.port) as client:
        client.incr("t", "x")
    assert totals(peer.until_end()) == {("t", "x"): 1}
    peer.close()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"transport": "tcp"}, "not there yet"),
        ({"transport": "http"}, "transport"),
        ({"port": 0}, "port"),
        ({"port": 65_536}, "port"),
        ({"port": "8128"}, "port"),
        ({"max_datagram": 63}, "max_datagram"),
        ({"max_datagram": 65_508}, "max_datagram"),
        ({"flush_interval": 0}, "flush_interval"),
        ({"heartbeat": float("nan")}, "heartbeat"),
        ({"max_pending": 0}, "max_pending"),
        ({"max_rate": 0}, "rate"),
        ({"patience": -1}, "patience"),
        ({"key": (1, b"short")}, "key"),
    ],
)
def test_options_are_checked(options, word):
    with pytest.raises(ConfigError, match=word):
        Client(**options)


def test_a_host_without_address(monkeypatch):
    def nothing(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    with pytest.raises(ConfigError, match="no address"):
        Client("nowhere.invalid")


def run_python(code, *arguments, options=()):
    code = f"import sys; sys.path.insert(0, {str(SRC)!r})\n" + textwrap.dedent(code)
    command = [sys.executable, *options, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_end_of_the_interpreter_flushes(peer):
    run_python(
        """
        from fastcount import Client
        client = Client(port=int(sys.argv[1]), flush_interval=60)
        client.incr("t", "x", 5)
        """,
        peer.port,
    )
    assert totals(peer.until_end()) == {("t", "x"): 5}


def test_it_needs_the_standard_library_only(peer):
    out = run_python(
        """
        import fastcount
        assert sorted(m for m in sys.modules if m.startswith("fastcount")) == ["fastcount", "fastcount.errors"]
        with fastcount.Client(port=int(sys.argv[1])) as client:
            client.incr("t", "x")
        assert fastcount.AsyncClient
        print([m for m in sys.modules if m.split(".")[0] in ("fastapi", "uvicorn", "uvloop") or m == "fastcount._core"])
        """,
        peer.port,
        options=("-I", "-S"),
    )
    assert out.strip() == "[]"
    assert totals(peer.until_end()) == {("t", "x"): 1}


def test_the_package_exports():
    assert fastcount.Client is Client
    assert set(fastcount.__all__) <= set(dir(fastcount))
    with pytest.raises(AttributeError, match="nothing"):
        _ = fastcount.nothing


def test_many_calls_aside_are_taken_in_by_the_next_one(peer):
    with Client(port=peer.port, flush_interval=NEVER, max_pending=5000) as client:
        client._try_lock = lambda _blocking: False  # as if another thread were always in the middle of a call
        for i in range(20_000):
            client.incr("t", str(i % 100))
            assert len(client._aside) <= 1000
        assert client.stats.dropped == 0
    assert totals(peer.until_end()) == {("t", str(i)): 200 for i in range(100)}
