"""Sketches within max_memory, and where an allocation fails: refused, counted, and nothing else lost."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from fastcount._core import Store
from fastcount.native.samples import fail_allocation
from twin import frames
from twin.cuts import Known, Merged, Places

SECRET = bytes(range(16))
MIB = 1 << 20
TYPE = b"flood"


@pytest.fixture(autouse=True)
def _no_failure_stays_armed() -> Iterator[None]:
    yield
    fail_allocation(-1)


def frame(records: list[tuple[int, bytes, bytes]]) -> bytes:
    return (
        frames.header() + frames.type_record(TYPE) + b"".join(frames.record(op, id, member=m) for op, id, m in records)
    )


def flood(op: int, names: int, member_bytes: int, seed: int) -> list[tuple[int, bytes, bytes]]:
    """Records of one frame, their (name, member) all different from one another and from other seeds'."""
    size = 10_000 if member_bytes < 60 else 3000
    pairs = range(seed * size, (seed + 1) * size)
    return [(op, b"n%d" % (i % names), (b"%d." % i).ljust(member_bytes, b"x")) for i in pairs]


@pytest.mark.parametrize("event_size", [0, 500])
@pytest.mark.parametrize(
    ("op", "names", "member_bytes"),
    [
        (frames.SEEN, 20_000, 10),  # many small ones
        (frames.SEEN, 500, 10),  # some go dense
        (frames.SAMPLE, 5_000, 10),
        (frames.SAMPLE, 300, 255),  # full of long members
        (frames.HIT, 2_000, 30),
    ],
)
def test_a_flood_of_members_stays_within_max_memory(op: int, names: int, member_bytes: int, event_size: int) -> None:
    limit = 6 * MIB
    store = Store(max_memory=limit, sample_size=100, event_size=event_size, secret=SECRET)
    sent = refused = seed = 0
    pairs: Counter[bytes] = Counter()
    while store.stats()["members_refused"] < 5000:
        assert seed < 200, "no limit was ever reached"
        records = flood(op, names, member_bytes, seed)
        refused += store.apply(frame(records)).refused
        sent += len(records)
        seed += 1
        pairs.update(id for _, id, _ in records)
        assert store.stats()["memory_bytes"] <= limit
        if seed % 7 == 0:
            store.swap()
            assert store.stats()["memory_bytes"] <= limit
    stats = store.stats()
    assert stats["memory_bytes"] > limit // 3, "refused long before it was full"
    assert stats["types"]["flood"]["refused"] == stats["members_refused"] + refused
    if op == frames.SEEN and names > 1000:  # small enough to be exact: what is not in them was refused
        kept = sum(store.unique(TYPE, id).distinct for id in pairs)
        assert kept + stats["members_refused"] + refused == sent
    if op == frames.SAMPLE:
        samples = [store.sample(TYPE, id) for id in pairs]
        if all(sample.complete for sample in samples):
            assert sum(sample.distinct for sample in samples) + stats["members_refused"] + refused == sent
    if op == frames.HIT and names * 100 > sent:  # both hold every member, or it was refused
        held = [(store.unique(TYPE, id).distinct, store.sample(TYPE, id).distinct) for id in pairs]
        assert min(map(sum, zip(*held, strict=True))) >= sent - refused - stats["members_refused"]
    if op == frames.HIT:  # the increment of a HIT stands, whatever became of its member
        assert sum(store.read(TYPE, id).value for id in pairs) == sent - refused


@pytest.mark.parametrize("limit", range(1 << 20, 4 << 20, 400_000))
def test_the_largest_samples_of_the_longest_members_stay_within_max_memory(limit: int) -> None:
    store = Store(max_memory=limit, sample_size=4096, event_size=0, shards=4, secret=SECRET)
    for seed in range(6):
        store.apply(frame(flood(frames.SAMPLE, 3, 255, seed)))
        assert store.stats()["memory_bytes"] <= limit


def test_a_member_that_is_there_already_is_not_refused_by_a_full_store() -> None:
    store = Store(max_memory=2 * MIB, event_size=0, secret=SECRET)
    first = frame([(frames.HIT, b"n%d" % i, b"%d" % m) for i in range(20) for m in range(1 + i)])
    store.apply(first)
    seed = 0
    while store.stats()["members_refused"] < 3000:
        store.apply(frame(flood(frames.HIT, 5000, 20, seed)))
        seed += 1
    store.swap()
    before = store.stats()["members_refused"]
    uniques = [store.unique(TYPE, b"n%d" % i) for i in range(20)]
    store.apply(first)
    assert store.stats()["members_refused"] == before
    assert [store.unique(TYPE, b"n%d" % i) for i in range(20)] == uniques


@pytest.mark.parametrize("limit", [1 << 20, 3_000_000, 7_777_777, 22 << 20, 30 << 20])
def test_a_flood_of_long_events_stays_within_max_memory(limit: int) -> None:
    """The largest reservoir, the longest ids: each is kept until there is no room, then left out and counted."""
    store = Store(max_memory=limit, event_size=65_536, sample_size=1, secret=SECRET)
    rows = 0
    for seed in range(60):
        records = [(frames.HIT, (b"n%d" % (i % 10)).ljust(1023, b"x"), b"%d" % (seed * 600 + i)) for i in range(600)]
        rows += len(records)
        store.apply(frame(records))
        assert store.stats()["memory_bytes"] <= limit
    events = store.stats()["events"]
    assert events["seen"] == rows
    ((_, seen, kept),) = store.swap().events()
    assert len(kept) == seen == rows - events["refused"] > 0
    assert store.apply(frame(records)) == ("applied", len(records), 0)
    ((_, seen, kept),) = store.swap().events()
    assert seen == len(kept) > 0, "the batch took the bytes along"


def test_what_sketches_hold_is_counted_when_it_goes_too() -> None:
    """Marks of dense sketches and sampled events go with a batch."""
    store = Store(event_size=1000, secret=SECRET)
    store.swap()
    many = [b"%d" % i for i in range(40_000)]
    for _ in range(2):
        for start in range(0, len(many), 4000):
            store.apply(frame([(frames.HIT, b"a", m) for m in many[start : start + 4000]]))
        held = store.stats()["memory_bytes"]
        store.swap()
        after = store.stats()["memory_bytes"]
        assert after < held
        settled = after
    for _ in range(20):  # the same once more and again: nothing that grows
        for start in range(0, len(many), 4000):
            store.apply(frame([(frames.HIT, b"a", m) for m in many[start : start + 4000]]))
        store.swap()
        assert store.stats()["memory_bytes"] == settled


def test_a_full_store_goes_on_with_what_it_has() -> None:
    limit = 2 * MIB
    store = Store(max_memory=limit, event_size=0, secret=SECRET)
    seed = 0
    while not store.stats()["members_refused"]:
        store.apply(frame(flood(frames.HIT, 5000, 20, seed)))
        seed += 1
    assert store.incr(TYPE, b"n0", 5) > 5
    before = store.unique(TYPE, b"n1").distinct, store.sample(TYPE, b"n1").members
    assert before[0] >= len(before[1]) > 0
    assert store.incr(TYPE, b"n1", 1, b"somebody new") == store.read(TYPE, b"n1").value
    merged = Merged()
    merged.add(store.swap())
    assert merged.values[TYPE, b"n1"] == store.read(TYPE, b"n1").value
    assert merged.sample((TYPE, b"n1"), 100) == store.sample(TYPE, b"n1").members
    assert store.stats()["memory_bytes"] <= limit


def some_hits(draw: random.Random) -> list[tuple[int, bytes, bytes]]:
    """Enough for tables to grow and, of one name, to become dense."""
    few = [(frames.HIT, b"n%d" % draw.randrange(6), b"m%d" % draw.randrange(400)) for _ in range(300)]
    return few + [(frames.HIT, b"large", b"m%d" % i) for i in range(2000)]


@pytest.mark.parametrize("fill", [0, 1])
def test_no_allocation_that_fails_while_applying_loses_more_than_its_member(fill: int) -> None:
    """Each in turn; the same records again, with memory, then complete the sketches."""
    records = some_hits(random.Random(1))
    places = Places(SECRET)
    known = Known(places)
    for _, id, member in records:
        known.add((TYPE, id), [member])
    after = failures = 0
    while True:
        store = Store(shards=2, sample_size=8, event_size=20, secret=SECRET)
        merged = Merged()
        if fill:  # something from before, already in a batch
            store.apply(frame(records[:150]))
            merged.add(store.swap())
        fail_allocation(after)
        assert store.apply(frame(records)) == ("applied", len(records), 0)
        armed = store.unique(TYPE, b"large").distinct
        fail_allocation(-1)
        stats = store.stats()
        assert armed > 0
        assert stats["members_refused"] + stats["events"]["refused"] <= 1
        missing = sum(
            store.unique(*name).distinct < len(known.offered[name]) for name in known.offered if name[1] != b"large"
        )
        assert missing <= 1
        failures += stats["members_refused"] + stats["events"]["refused"]
        merged.add(store.swap())
        assert store.apply(frame(records)) == ("applied", len(records), 0)
        merged.add(store.swap())
        for name in known.offered:
            assert merged.values[name] == 2 * sum(id == name[1] for _, id, _ in records) + (
                sum(id == name[1] for _, id, _ in records[:150]) if fill else 0
            )
            assert merged.registers[name] == known.registers[name]
            assert merged.sample(name, 8) == known.sample(name, 8) == store.sample(*name).members
        if after > 400:
            break
        after += 1 if after < 60 else 7
    assert failures > 30, "each of these allocations exists, and its failure is counted"


@pytest.mark.parametrize("between", [False, True], ids=["quiet", "busy"])
def test_no_allocation_that_fails_while_swapping_loses_anything(between: bool) -> None:
    """Each in turn, several swaps in a row: the first that succeeds finishes what the others began. What is applied in
    between, the same members among it, belongs to the batch after that."""
    records = some_hits(random.Random(2))
    extra = [*records[:100], *((frames.HIT, b"n%d" % (i % 9), b"extra%d" % i) for i in range(60))]
    places = Places(SECRET)
    failed: Counter[int] = Counter()
    for first in range(30):
        store = Store(shards=4, sample_size=8, event_size=20, secret=SECRET)
        merged, known = Merged(), Known(places)
        store.apply(frame(records))
        for _, id, member in records:
            known.add((TYPE, id), [member])
        after, extras, batch = first, 0, None
        while batch is None:
            fail_allocation(after)
            try:
                batch = store.swap()
            except MemoryError:
                failed[first] += 1
                after += 1
            fail_allocation(-1)
            if batch is None and between:
                assert store.apply(frame(extra)).refused == 0
                extras += 1
        assert batch.generation == 0
        merged.add(batch)
        assert merged.seen == {TYPE: len(records)}
        values = Counter(id for _, id, _ in records)
        assert {name[1]: value for name, value in merged.values.items()} == values
        for name, registers in known.registers.items():
            assert merged.sample(name, 8) == known.sample(name, 8)
            assert all(merged.registers[name].get(r, 0) >= rank for r, rank in registers.items())
        merged.add(store.swap())
        for _, id, member in extra if extras else []:
            known.add((TYPE, id), [member])
        values.update({id: n * extras for id, n in Counter(id for _, id, _ in extra).items() if extras})
        assert {name[1]: value for name, value in merged.values.items()} == values
        assert merged.seen == {TYPE: len(records) + extras * len(extra)}
        for name, registers in known.registers.items():
            assert merged.sample(name, 8) == known.sample(name, 8)
            assert merged.registers[name] == registers
        assert len(store.swap()) == 0
    assert sum(failed.values()) > 30
    assert max(failed.values()) > 3, "several of one swap failed"
