"""Sampled events of the store: uniform over the HITs of a generation, whatever frames and shards they came by."""

import random
from collections import Counter

import pytest

from fastcount._core import Store
from twin import frames
from twin.stats import p_equal, p_inclusion

SIGNIFICANCE = 1e-6  # reservoirs are seeded by the system: one run of this file in 150,000 fails by chance
RUNS = 100_000


def hit(i: int, type: bytes = b"t") -> bytes:
    """Event i: names repeat and lie in many shards, members say which event it is."""
    return frames.record(frames.HIT, b"n%d" % (i % 13), member=b"%d" % i)


def frame(*records: bytes, type: bytes = b"t") -> bytes:
    return frames.header() + frames.type_record(type) + b"".join(records)


def sampled(batch, type: str = "t") -> tuple[int, list[int]]:  # type: ignore[no-untyped-def]
    """(seen, which events) of a batch."""
    for name, seen, events in batch.events():
        if name == type:
            for id, member, _ in events:
                assert id == f"n{int(member) % 13}"
            return seen, [int(member) for _, member, _ in events]
    return 0, []


@pytest.mark.parametrize("shards", [1, 16])
def test_every_event_of_a_generation_is_as_likely(shards: int) -> None:
    """40 HITs by three frames of very different sizes and by single increments, with other records among them."""
    store = Store(shards=shards, event_size=5)
    noise = frames.record(frames.INC, b"n1")
    seen = frames.record(frames.SEEN, b"n2", member=b"x") + frames.record(frames.SAMPLE, b"n3", member=b"y")
    parts = [
        frame(noise, hit(0)),
        frame(*(hit(i) + noise for i in range(1, 30))),
        frame(seen, *map(hit, range(30, 37))) + frames.type_record(b"other") + hit(0),
    ]
    kept: Counter[int] = Counter()
    for _ in range(RUNS):
        for part in parts:
            store.apply(part)
        for i in range(37, 40):
            store.incr(b"t", b"n%d" % (i % 13), 1, b"%d" % i)
        count, events = sampled(store.swap())
        assert (count, len(set(events))) == (40, 5)
        kept.update(events)
    assert p_inclusion([kept[i] for i in range(40)], RUNS, 5) > SIGNIFICANCE


def test_every_pair_of_events_is_as_likely() -> None:
    store = Store(shards=4, event_size=2)
    parts = [frame(hit(0)), frame(hit(1), hit(2), hit(3)), frame(hit(4), hit(5))]
    pairs: Counter[tuple[int, ...]] = Counter()
    for _ in range(RUNS):
        for part in parts:
            store.apply(part)
        pairs[tuple(sorted(sampled(store.swap())[1]))] += 1
    assert set(pairs) == {(i, j) for j in range(6) for i in range(j)}
    assert p_equal(list(pairs.values())) > SIGNIFICANCE


def test_a_store_that_prefers_late_events_would_be_found() -> None:
    """The yardstick itself: as many runs of a sampler that is a twentieth off for one event."""
    draw = random.Random(1)
    kept: Counter[int] = Counter()
    for _ in range(RUNS):
        keys = [(draw.random() * (0.95 if i == 39 else 1), i) for i in range(40)]
        kept.update(i for _, i in sorted(keys)[:5])
    assert p_inclusion([kept[i] for i in range(40)], RUNS, 5) < SIGNIFICANCE


def test_a_swap_takes_the_events_and_the_next_generation_starts_anew() -> None:
    store = Store(event_size=10)
    store.apply(frame(*map(hit, range(7))))
    assert sampled(store.swap()) == (7, list(range(7)))
    assert list(store.swap().events()) == []
    store.apply(frame(*map(hit, range(7, 100))))
    store.apply(frame(hit(0), type=b"u"))
    batch = store.swap()
    count, events = sampled(batch)
    assert (count, len(set(events))) == (93, 10)
    assert set(events) <= set(range(7, 100))
    assert sampled(batch, "u") == (1, [0])
    assert sampled(batch) == (count, events), "a batch can be read twice"
    assert store.stats()["events"] == {"seen": 101, "refused": 0}


def test_what_is_refused_or_no_hit_is_no_event() -> None:
    store = Store(max_counters=2, event_size=10)
    records = [frames.record(op, b"n0", member=b"0") for op in (frames.SEEN, frames.SAMPLE)]
    store.incr(b"t", b"n0")
    store.incr(b"t", b"n1")
    assert store.apply(frame(*records, frames.record(frames.INC, b"n0"), *map(hit, range(6)))).refused == 4
    seen, events = sampled(store.swap())
    assert (seen, sorted(events)) == (2, [0, 1])


def test_no_events_are_kept_where_none_are_wanted() -> None:
    store = Store(event_size=0)
    store.apply(frame(*map(hit, range(7))))
    store.incr(b"t", b"n1", 1, b"1")
    assert list(store.swap().events()) == []
    assert store.unique(b"t", b"n1").distinct == 1
