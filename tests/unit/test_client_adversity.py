"""The client where things go wrong: forks, signals, a full kernel, a peer that is not there."""

import os
import signal
import socket
import threading

import pytest
from udp_peer import Peer, records, totals

from fastcount import wire
from fastcount.client import Client
from fastcount.errors import ConfigError
from fastcount.sender import Outcome, Pacer, UdpSender, candidates

NEVER = 3600.0


class FullKernel:
    """A datagram socket whose queue is finite and whose reader does not read: the kernel really says EAGAIN."""

    def __init__(self):
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.setblocking(False)

    def read_all(self):
        self.far.setblocking(False)
        frames = []
        try:
            while True:
                frames.append(wire.decode(self.far.recv(65_536)))
        except BlockingIOError:
            return frames

    def close(self):
        self.near.close()
        self.far.close()


@pytest.fixture
def kernel():
    kernel = FullKernel()
    yield kernel
    kernel.close()


def give(client, count, start=0):
    for i in range(start, start + count):
        client.hit("t", str(i), "m" * 250)


def test_a_full_kernel_drops_after_a_while_and_the_books_say_so(kernel):
    client = Client(flush_interval=NEVER, patience=0.002)
    client._sender._sock = kernel.near
    give(client, 5000)
    assert client.flush() is False
    stats = client.stats
    assert stats.pending == 0
    assert stats.dropped > 0
    assert stats.records + stats.dropped == 5000
    frames = kernel.read_all()
    assert len(records(frames)) == stats.records
    assert client.close() is True
    (end,) = kernel.read_all()
    assert end.end
    assert end.sent == 5000  # also what the kernel did not take
    assert end.sent - len(records(frames)) == stats.dropped


def test_flush_gives_up_in_time_and_the_rest_follows(kernel):
    client = Client(flush_interval=NEVER, patience=NEVER)
    client._sender._sock = kernel.near
    give(client, 5000)
    assert client.flush(timeout=0.01) is False
    assert client.stats.dropped == 0
    assert 0 < client.stats.pending < 5000
    assert client.stats.pending + client.stats.records == 5000
    frames = kernel.read_all()
    while not client.flush(timeout=0.01):
        frames += kernel.read_all()
    frames += kernel.read_all()
    assert totals(frames) == {("t", str(i)): 1 for i in range(5000)}
    assert client.stats.dropped == 0
    client.close()


def test_the_thread_goes_on_with_what_a_flush_left(kernel):
    client = Client(flush_interval=0.001, patience=NEVER)
    client._sender._sock = kernel.near
    give(client, 2000)
    client.flush(timeout=0.0)
    kernel.far.settimeout(20)
    frames = []
    while len(records(frames)) < 2000:
        frames.append(wire.decode(kernel.far.recv(65_536)))
    assert totals(frames) == {("t", str(i)): 1 for i in range(2000)}
    client.close()


def test_close_gives_up_in_time_and_counts_what_is_left(kernel):
    client = Client(flush_interval=NEVER, patience=NEVER)
    client._sender._sock = kernel.near
    give(client, 5000)
    assert client.close(timeout=0.01) is False
    assert client.stats.pending == 0
    assert client.stats.records + client.stats.dropped == 5000
    assert client.stats.records == len(records(kernel.read_all()))


@pytest.fixture
def dead_port():
    """Of a socket that is bound and does not belong to a receiver of ours; refused once it is closed."""
    peer = Peer()
    peer.close()
    return peer.port


def test_a_dead_peer_is_counted_and_never_raises(dead_port):
    with Client(port=dead_port, flush_interval=NEVER) as client:
        for i in range(20):
            client.incr("t", str(i))
            assert client.flush()
    assert client.stats.records == 20  # the kernel took them
    assert client.stats.refused_by_peer >= 19
    assert client.stats.dropped == 0


def test_a_peer_that_comes_back_hears_of_what_it_missed(dead_port):
    client = Client(port=dead_port, flush_interval=NEVER)
    client.incr("t", "lost")
    client.flush()
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.settimeout(20)
    peer.bind(("127.0.0.1", dead_port))
    client.incr("t", "x")
    assert client.flush()
    frame = wire.decode(peer.recv(65_536))
    assert (frame.seq, frame.sent, len(frame.records)) == (1, 1, 1)
    client.close()
    peer.close()


def test_the_next_address_where_one_refuses(peer, monkeypatch):
    """As with `localhost`, which may be ::1 first while the server listens on 127.0.0.1."""
    found = [
        (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", peer.port, 0, 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", peer.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
    client = Client("localhost", peer.port, flush_interval=NEVER)
    for i in range(3):
        client.incr("t", str(i))
        client.flush()
    client.close()
    assert client.stats.refused_by_peer >= 1
    received = [peer.receive() for _ in range(3)]  # two of data and END: the first went to nobody
    assert [f.seq for f in received] == [1, 2, 3]


def test_sender_outcomes(peer, monkeypatch):
    sender = UdpSender(candidates([(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", peer.port))] * 3))
    assert len(sender.addresses) == 1
    assert sender.send(b"x") is Outcome.SENT
    assert sender.send(b"x" * 70_000) is Outcome.FAILED  # EMSGSIZE
    assert sender.last_error is not None
    sender.close()
    assert sender.send(b"x") is Outcome.FAILED
    assert UdpSender([]).send(b"x") is Outcome.FAILED


def test_signal_handlers_may_count(peer):
    client = Client(port=peer.port, flush_interval=0.001, heartbeat=NEVER)
    handled = 0

    def handler(_number, _frame):
        nonlocal handled
        handled += 1
        client.incr("t", "x")
        client.incr("signals", str(handled % 10))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    calls = 0
    try:
        while handled < 500:
            client.incr("t", "x")
            client.incr("t", str(calls % 1000))
            calls += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    client.close()
    frames = peer.until_end()
    got = totals(frames)
    assert got["t", "x"] == calls + handled
    assert sum(n for (type_, _), n in got.items() if type_ == "t") == 2 * calls + handled
    assert sum(n for (type_, _), n in got.items() if type_ == "signals") == handled
    assert client.stats.dropped == 0


def in_child(work):
    """Fork, do `work` in the child, and return its exit status: 0 unless it raised or returned False."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = int(work() is False)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_is_a_source_of_its_own_and_pending_is_the_parents(peer):
    client = Client(port=peer.port, flush_interval=NEVER, heartbeat=NEVER)
    client.incr("t", "before")
    assert client.flush()
    client.incr("t", "pending")
    source = client.source

    def work():
        assert client.source != source
        assert client.stats[1:] == (0, 0, 0, 0, 0, 0, 0)
        client.incr("t", "child", 3)
        return client.close()

    assert in_child(work) == 0
    assert client.source == source
    client.close()
    frames = peer.until_end(ends=2)
    assert totals(frames) == {("t", "before"): 1, ("t", "pending"): 1, ("t", "child"): 3}
    own = [f for f in frames if f"{f.source:016x}" == source]
    assert totals(own) == {("t", "before"): 1, ("t", "pending"): 1}


def test_the_thread_of_a_child_sends_by_itself(peer):
    client = Client(port=peer.port, flush_interval=0.001, heartbeat=0.01)
    client.incr("t", "parent")
    client.close()
    peer.until_end()
    other = Client(port=peer.port, flush_interval=0.001, heartbeat=0.01)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        other.incr("t", "child")
        os.read(read, 1)  # until the parent has what the thread sent
        os._exit(0)
    assert totals(peer.until_end()) == {("t", "child"): 1}
    os.write(write, b"x")
    os.waitpid(pid, 0)
    other.close()
    os.close(read)
    os.close(write)


def test_forks_while_threads_count(peer):
    """At whatever point of a call the other threads are, the child's locks are free."""
    client = Client(port=peer.port, flush_interval=0.001, heartbeat=NEVER)
    stop = threading.Event()
    counted = []

    def work():
        n = 0
        while not stop.is_set():
            client.incr("t", str(n % 50))
            client.hit("h", "x", "m") if n % 100 == 0 else None
            n += 1
        counted.append(n)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()

    def child():
        for i in range(100):
            client.incr("c", str(i))
        return client.close()

    statuses = [in_child(child) for _ in range(10)]
    stop.set()
    for thread in threads:
        thread.join()
    client.close()
    assert statuses == [0] * 10
    assert client.stats.dropped == 0
    got = totals(peer.until_end(ends=11))
    assert [got["c", str(i)] for i in range(100)] == [10] * 100
    assert sum(n for (type_, _), n in got.items() if type_ == "t") == sum(counted)


def test_pacer():
    now = 0.0
    pacer = Pacer(1000, burst=0.01, clock=lambda: now)
    assert pacer.delay() == 0
    pacer.sent(100)
    assert pacer.delay() == pytest.approx(0.1)
    now = 1.0
    assert pacer.delay() == 0
    pacer.sent(100)  # after a silence 0.01 s worth of records is free
    assert pacer.delay() == pytest.approx(0.09)
    now = 1.09
    sent = 0
    while now < 11.09:
        now += pacer.delay()
        pacer.sent(50)
        sent += 50
    assert sent == pytest.approx(10_000, rel=0.02)
    assert Pacer(None).delay() == 0
    with pytest.raises(ConfigError):
        Pacer(-1)


def test_max_rate_slows_the_flush_and_loses_nothing(peer):
    client = Client(port=peer.port, flush_interval=NEVER, max_rate=10_000)
    delays = []
    pump = client._pump
    run = pump.run

    def recording(deadline):
        for delay in run(deadline):
            delays.append(delay)
            yield delay

    pump.run = recording
    for i in range(2000):
        client.incr("t", str(i))
    assert client.flush()
    client.close()
    assert any(delay > 0 for delay in delays)
    assert totals(peer.until_end()) == {("t", str(i)): 1 for i in range(2000)}
