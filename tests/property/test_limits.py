"""Nothing grows past its limit, whatever comes in, and what was refused is counted."""

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount._core import Store
from fastcount.errors import FrameError, LimitReached
from twin import frames

KIB = 1024
FLOOD = 200_000  # records a frame


def distinct(first: int, n: int) -> bytes:
    """A frame of `n` ids of four bytes that no other `first` has."""
    alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEF"
    rest = itertools.islice(itertools.product(alphabet, repeat=4), first, first + n)
    return frames.header() + frames.type_record(b"flood") + b"".join(b"\x24" + bytes(id) for id in rest)


def fill(store: Store, prefix: bytes) -> str:
    """Make names until a limit forbids it; which one."""
    for i in range(100_000):
        try:
            store.incr(b"flood", prefix + b"%d" % i)
        except LimitReached as error:
            return error.limit
    return "none"


def test_a_flood_of_ids_stays_within_max_memory() -> None:
    limit = 8 << 20
    store = Store(max_memory=limit)
    refused = 0
    for first in range(0, 1_000_000, FLOOD):
        applied = store.apply(distinct(first, FLOOD))
        assert (applied.status, applied.records) == ("applied", FLOOD)
        refused += applied.refused
        assert store.stats()["memory_bytes"] <= limit
    stats = store.stats()
    assert refused == 1_000_000 - stats["counters"] > 0
    assert stats["refused"] == {"max_counters": 0, "max_memory": refused, "max_types": 0}
    assert stats["types"] == {"flood": {"counters": stats["counters"], "refused": refused}}
    assert stats["memory_bytes"] > limit // 2, "refused long before it was full"
    assert sum(prefix["refused"] for prefix in stats["refused_prefixes"]) > 0

    # what is in goes on counting, and what was refused left nothing behind
    known = store.top(b"flood", 1)[0][0]
    assert store.incr(b"flood", known) == 2
    assert len(store.swap()) == stats["counters"]
    assert fill(store, b"x" * 900) == "max_memory"
    assert store.stats()["memory_bytes"] <= limit


def test_a_flood_of_ids_stays_within_max_counters() -> None:
    store = Store(max_counters=1000)
    assert store.apply(distinct(0, FLOOD)).refused == FLOOD - 1000
    assert store.apply(distinct(FLOOD, FLOOD)).refused == FLOOD
    stats = store.stats()
    assert stats["counters"] == len(store.swap()) == len(store.top(b"flood", 10_000)) == 1000
    assert stats["refused"] == {"max_counters": 2 * FLOOD - 1000, "max_memory": 0, "max_types": 0}
    with pytest.raises(LimitReached) as caught:
        store.incr(b"flood", b"new")
    assert caught.value.limit == "max_counters"
    assert store.read(b"flood", b"new") == (0, 0, 0)
    known = store.top(b"flood", 1)[0][0]
    assert store.incr(b"flood", known) == 2
    assert store.apply(frames.incs(b"flood", [known, b"new", known])) == ("applied", 3, 1)
    assert store.read(b"flood", known).value == 4


def test_the_worst_prefixes_are_named() -> None:
    store = Store(max_counters=1)
    store.incr(b"t", b"only")
    for frame in (
        frames.incs(b"t", [b"/attack/%d" % i for i in range(500)]),
        frames.incs(b"t", [b"%d" % i for i in range(300)]),  # each of them a prefix
        frames.incs(b"u", [b"user:%d" % i for i in range(200)]),
    ):
        assert store.apply(frame).refused > 0
    worst = store.stats()["refused_prefixes"]
    assert {(p["type"], p["prefix"]) for p in worst[:2]} == {("t", "/attack/"), ("u", "user:")}
    assert [p["refused"] for p in worst] == sorted((p["refused"] for p in worst), reverse=True)
    for prefix, true in (("/attack/", 500), ("user:", 200)):
        (found,) = (p for p in worst if p["prefix"] == prefix)
        assert true <= found["refused"] <= true + found["over_by_at_most"]
    assert len(worst) <= 10


def test_types_are_limited_and_refused_as_a_whole() -> None:
    store = Store(max_types=2)
    frame = frames.header() + b"".join(frames.type_record(b"t%d" % i) + b"!a!b" for i in range(1000))
    assert store.apply(frame) == ("applied", 2000, 1996)
    stats = store.stats()
    assert list(stats["types"]) == ["t0", "t1"]
    assert stats["refused"]["max_types"] == 1996
    with pytest.raises(LimitReached) as caught:
        store.incr(b"t2", b"a")
    assert caught.value.limit == "max_types"
    assert store.incr(b"t1", b"a") == 2
    assert {type for type, _, _ in store.swap()} == {"t0", "t1"}


def test_a_type_without_records_takes_no_room() -> None:
    store = Store(max_types=1)
    assert store.apply(frames.header() + frames.type_record(b"unused")) == ("applied", 0, 0)
    with pytest.raises(FrameError):
        store.apply(frames.incs(b"broken", [b"a"]) + b"\xff")
    stale = frames.header(1, 0, 5) + frames.type_record(b"stale") + b"!a"
    assert store.apply(stale).status == "inconsistent"
    assert store.stats()["types"] == {}
    assert store.incr(b"used", b"a") == 1


@pytest.mark.parametrize("heard", ["sequenced", "unnumbered", "malformed"])
def test_a_flood_of_sources_stays_within_max_sources(heard: str) -> None:
    limit, flood = 1024, 120_000
    store = Store(max_sources=limit)
    body = frames.type_record(b"t") + b"!a"
    for i in range(flood):
        address = b"4" + struct.pack(">IH", i, i & 0xFFFF)
        if heard == "sequenced":
            store.apply(frames.header(i, 0, 0) + body, address)
        elif heard == "unnumbered":
            store.apply(frames.header() + body, address)
        else:
            with pytest.raises(FrameError):
                store.apply(b"garbage", address)
        if i % 20_000 == 0:
            assert len(store.sources(1_000_000)) <= limit
    rows = store.sources(1_000_000)
    assert 0 < len(rows) <= limit
    assert len(store.sources(10)) == 10
    kept = store.stats()["sources"]
    assert kept["live"] == len(rows)
    assert store.books() == {column: past + sum(row[column] for row in rows) for column, past in kept["gone"].items()}
    assert kept["live"] + kept["evicted"] + kept["untracked_frames"] == flood, "each is somewhere"
    column = "malformed" if heard == "malformed" else "frames"
    assert sum(row[column] for row in rows) + kept["gone"][column] + kept["untracked_frames"] == flood
    assert store.read(b"t", b"a").value == (0 if heard == "malformed" else flood)


def test_sources_are_listed_by_what_they_lost_and_then_by_when_they_were_heard() -> None:
    store = Store()
    for source in (*range(40), 7):
        store.apply(frames.header(source, 1, source // 4) + frames.type_record(b"t") + b"!a", b"")
    rows = store.sources()
    want = sorted(range(40), key=lambda source: (source // 4, (source == 7) * 100 + source), reverse=True)
    assert [int(row["source"] or "", 16) for row in rows] == want
    assert [row["source"] for row in store.sources(5)] == [row["source"] for row in rows[:5]]
    assert [row["lost"] for row in store.sources(5, 7)] == [1]


def test_books_of_busy_sources_survive_a_flood() -> None:
    store = Store(max_sources=16)
    body = frames.type_record(b"t") + b"!a"
    for seq in range(2):
        for source in range(16):
            store.apply(frames.header(source, seq, seq) + body, b"busy")
    for i in range(1000):
        assert store.apply(frames.header(100 + i, 5, 5) + body, b"new") == ("applied", 1, 0)
    assert {row["address"] for row in store.sources()} == {"busy"}
    kept = store.stats()["sources"]
    assert (kept["evicted"], kept["untracked_frames"], kept["untracked_records"], kept["lost"]) == (0, 1000, 1000, 0)


def test_losses_of_evicted_sources_are_still_counted() -> None:
    store = Store(max_sources=1)
    for source in range(50):
        store.apply(frames.header(source, 1, 3) + frames.type_record(b"t") + b"!a", b"")
    assert store.read(b"t", b"a").lost == 150
    assert store.stats()["sources"]["gone"]["lost"] + store.sources()[0]["lost"] == 150


@given(
    st.integers(200, 1200).map(lambda kib: kib * KIB),
    st.sampled_from([1, 2, 16]),
    st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 1500)), min_size=1, max_size=6),
)
def test_memory_is_never_passed_whatever_the_ids(limit: int, shards: int, groups: list[tuple[int, int]]) -> None:
    store = Store(max_memory=limit, shards=shards)
    made = 0
    for g, (length, n) in enumerate(groups):
        n = min(n, 1_000_000 // (length + 3))  # what a frame can hold
        ids = [(b"%d.%d." % (g, i)).ljust(length, b"x") for i in range(n)]
        refused = store.apply(frames.incs(b"t", ids)).refused
        made += n - refused
        stats = store.stats()
        assert stats["memory_bytes"] <= limit
        assert stats["counters"] == made == stats["types"]["t"]["counters"]
    batch = {id: delta for _, id, delta in store.swap()}
    assert len(batch) == made
    assert set(batch.values()) <= {1}


@pytest.mark.parametrize("length", [1, 3, 8, 31])
def test_memory_is_not_passed_by_a_byte(length: int) -> None:
    frame = frames.incs(b"t", [(b"%d" % i).rjust(length, b"x")[-length:] for i in range(1000)])
    for limit in range(20_000, 20_064):
        store = Store(max_memory=limit, shards=1)
        store.apply(frame)
        assert store.stats()["memory_bytes"] <= limit


def _rss() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_the_figure_is_honest() -> None:
    """memory_bytes is what the process grew by, give or take pages and what malloc keeps."""
    flood = [distinct(first, FLOOD) for first in range(0, 1_000_000, FLOOD)]
    before = _rss()
    store = Store(max_memory=1 << 30)
    for frame in flood:
        assert store.apply(frame).refused == 0
    grown = _rss() - before
    claimed = store.stats()["memory_bytes"]
    assert claimed >= 0.7 * grown - (4 << 20)
    assert claimed <= 1_000_000 * (64 + 4), "64 bytes and the key"


def test_garbage_leaves_nothing() -> None:
    store = Store()
    before = store.stats()["memory_bytes"]
    for data in (
        b"\xff" * 65_507,
        bytes(65_507),
        b"\xfc\x01\x00" * 21_835,
        b"\xfc\x01\x00" + b"\x01\x01t" * 20_000 + b"\xff",
    ):
        with pytest.raises(FrameError):
            store.apply(data, b"4\x7f\0\0\x01\0\x07")
    stats = store.stats()
    assert (stats["memory_bytes"], stats["counters"], stats["records"]) == (before, 0, 0)
    assert sum(stats["malformed"].values()) == 4
    assert store.sources()[0]["malformed"] == 4
    assert len(store.swap()) == 0


@pytest.mark.parametrize(
    "limits",
    [
        {"max_counters": 0},
        {"max_counters": (1 << 40) + 1},
        {"max_types": 0},
        {"max_types": 65_536},
        {"max_sources": 0},
        {"shards": 0},
        {"shards": 3},
        {"shards": 512},
    ],
)
def test_limits_out_of_range_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        Store(**limits)


@pytest.mark.parametrize("limit", [-1, 0, 10_001, 1_000_001])
def test_asking_for_too_little_or_too_much(limit: int) -> None:
    store = Store()
    with pytest.raises(ValueError, match="k must be"):
        store.top(b"t", limit)
    if limit != 10_001:
        with pytest.raises(ValueError, match="limit must be"):
            store.sources(limit)


def test_an_address_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="23"):
        Store().apply(frames.header(), b"x" * 24)
