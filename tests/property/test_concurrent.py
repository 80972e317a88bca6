"""Threads that apply, swap, read and reset at once. Nothing waits for time: a test runs until enough has happened."""

import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import chain, count

import pytest

from fastcount._core import Store
from fastcount._receiver import UdpReceiver
from fastcount.errors import LimitReached
from twin import frames
from twin.threads import running

CUTS = 150  # batches with something in them that a swapping thread wants to see
SPREAD = 64  # names of one frame: with 16 shards in all of them, but for one chance in 10^5


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def spread(group: int, times: int = 1) -> bytes:
    """A frame that adds `times` to each of SPREAD names, in several rounds through the shards."""
    return frames.incs(b"cut", [b"%d/%d" % (group, i) for i in range(SPREAD)] * times)


@pytest.mark.parametrize(("shards", "times"), [(16, 1), (16, 200), (256, 20), (1, 20)])
def test_every_batch_is_a_cut_at_frame_boundaries(shards: int, times: int) -> None:
    store = Store(shards=shards)
    enough = threading.Event()
    applied: Counter[int] = Counter()

    def apply(group: int) -> None:
        frame = spread(group, times)
        while not enough.is_set():
            assert store.apply(frame).refused == 0
            applied[group] += 1

    def numbered(group: int) -> None:  # the same with SEQUENCED, as workers see it
        body = spread(group, times)[3:]
        for seq in count():
            if enough.is_set():
                return
            header = frames.header(group, seq, seq * SPREAD * times)
            assert store.apply(header + body) == ("applied", SPREAD * times, 0)
            applied[group] += 1

    batched: Counter[str] = Counter()
    generations: list[int] = []

    def take() -> int:
        batch = store.swap()
        generations.append(batch.generation)
        groups: dict[str, set[int]] = {}
        sizes: Counter[str] = Counter()
        for type, id, delta in batch:
            assert type == "cut"
            group = id.split("/")[0]
            groups.setdefault(group, set()).add(delta)
            sizes[group] += 1
            batched[id] += delta
        for group, deltas in groups.items():
            assert len(deltas) == 1, "part of a frame is in this batch, part of it in another"
            assert sizes[group] == SPREAD
            assert deltas.pop() % times == 0
        return len(batch)

    with running(lambda: apply(0), lambda: apply(1), lambda: numbered(2)):
        try:
            cuts = 0
            while cuts < CUTS:
                cuts += take() > 0
        finally:
            enough.set()
    take()
    assert generations == list(range(len(generations)))
    for group in range(3):
        assert applied[group] > 0
        for i in range(SPREAD):
            assert batched[f"{group}/{i}"] == applied[group] * times
            assert store.read(b"cut", b"%d/%d" % (group, i)) == (applied[group] * times, 0, 0)


def test_a_read_never_goes_back_and_counts_all_that_was_answered() -> None:
    store = Store()
    enough = threading.Event()
    answered = 0
    frame = frames.incs(b"t", [b"a"] * 1000)

    def apply() -> None:
        nonlocal answered
        while not enough.is_set():
            store.apply(frame)
            answered += 1000

    def swap() -> None:
        while not enough.is_set():
            store.swap()

    with running(apply, swap):
        try:
            last = 0
            for _ in range(20_000):
                before = answered
                value, pending, _ = store.read(b"t", b"a")
                assert value >= before, "applied, and not read"
                assert value >= last, "gone back"
                assert 0 <= pending <= value
                last = value
                assert store.top(b"t", 1) in ([], [(b"a", last)]) or store.top(b"t", 1)[0][1] >= last
        finally:
            enough.set()
    assert store.read(b"t", b"a").value == answered


def test_each_increment_gets_a_total_of_its_own() -> None:
    store = Store()
    done = threading.Event()
    totals: list[list[int]] = [[], [], []]

    def incr(mine: list[int]) -> None:
        mine.extend(store.incr(b"t", b"a") for _ in range(5000))

    def swap() -> None:
        while not done.is_set():
            store.swap()

    with running(swap):
        try:
            with running(*(lambda mine=mine: incr(mine) for mine in totals)):
                pass
        finally:
            done.set()
    assert all(mine == sorted(mine) for mine in totals)
    assert sorted(chain(*totals)) == list(range(1, 15_001))


def test_resets_take_each_increment_once() -> None:
    store = Store()
    done = threading.Event()
    taken: list[int] = []
    batched = 0

    def apply() -> None:
        for _ in range(4000):
            store.apply(frames.incs(b"t", [b"a", b"b", b"a"]))

    def reset() -> None:
        while not done.is_set():
            taken.append(store.reset(b"t", b"a"))

    with running(reset):
        try:
            with running(apply, apply):
                for _ in range(CUTS):
                    batched += {id: delta for _, id, delta in store.swap()}.get("a", 0)
        finally:
            done.set()
    value = store.read(b"t", b"a").value
    assert sum(taken) + value == 16_000
    assert store.read(b"t", b"b").value == 8000
    batched += {id: delta for _, id, delta in store.swap()}.get("a", 0)
    assert batched == value, "batches say what is left"


def test_limits_hold_when_many_want_the_last_room() -> None:
    store = Store(max_counters=1000, max_types=3)
    refused = [0] * 3
    made = [0] * 3

    def flood(me: int) -> None:
        for i in range(20):
            refused[me] += store.apply(frames.incs(b"t", [b"%d-%d-%d" % (me, i, j) for j in range(50)])).refused
            for j in range(5):
                try:
                    store.incr(b"type%d" % j, b"%d-%d" % (me, i))
                    made[me] += 1
                except LimitReached:
                    refused[me] += 1

    with running(*(lambda me=me: flood(me) for me in range(3))):
        pass
    stats = store.stats()
    assert stats["counters"] == 1000
    assert len(stats["types"]) == 3
    assert sum(refused) == 3 * 20 * 55 - 1000
    assert sum(stats["refused"].values()) == sum(refused)
    assert sum(type["counters"] for type in stats["types"].values()) == 1000
    assert len(store.swap()) == 1000


def test_a_source_is_counted_once_however_many_deliver_its_frames() -> None:
    store = Store()
    n = 600
    numbered = [frames.header(7, seq, seq * 2) + frames.type_record(b"t") + b"!a!b" for seq in range(n)]
    verdicts: list[Counter[str]] = [Counter(), Counter(), Counter()]

    def deliver(mine: Counter[str], order: list[bytes]) -> None:
        for frame in order:
            mine[store.apply(frame, b"4\x7f\0\0\x01\0\x07").status] += 1

    with running(
        lambda: deliver(verdicts[0], numbered),
        lambda: deliver(verdicts[1], numbered[::-1]),
        lambda: deliver(verdicts[2], numbered[1::2] + numbered[::2]),
    ):
        pass
    assert sum(verdicts, Counter()) == {"applied": n, "duplicate": 2 * n}
    assert store.read(b"t", b"a") == (n, n, 0)
    (row,) = store.sources()
    assert (row["frames"], row["records"], row["lost"], row["duplicate_records"]) == (n, 2 * n, 0, 4 * n)


def test_a_source_that_is_heard_is_not_evicted_by_a_thread_whose_clock_reading_is_older() -> None:
    """A worker reads the clock once a batch: what another thread heard meanwhile is later than that, and not an age."""
    store = Store(max_sources=1)
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("127.0.0.1", 0))
    door.setblocking(False)
    receiver = UdpReceiver(store, door.fileno())
    filler = b"".join(b"\x21%c" % (97 + i % 26) for i in range(16_000))
    stop = threading.Event()

    def mine(seq: int) -> bytes:
        return frames.header(7, seq, seq) + frames.type_record(b"t") + b"\x21x"

    def others() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(door.getsockname())
            for source in count(100):
                if stop.is_set():
                    receiver.stop()
                    return
                sender.send(frames.header(source, 0, 0) + frames.type_record(b"t") + filler)

    for seq in (0, 1):  # a source of a single frame may be evicted at once
        store.apply(mine(seq), b"me")
    with door, running(receiver.run, others):
        try:
            seq = 1
            while store.stats()["sources"]["untracked_frames"] < 200 and not store.stats()["sources"]["evicted"]:
                seq += 1
                store.apply(mine(seq), b"me")
        finally:
            stop.set()
    stats = store.stats()["sources"]
    assert (stats["evicted"], stats["lost"]) == (0, 0)
    assert [row["frames"] for row in store.sources()] == [seq + 1]
