"""Sketches of the store under threads, swaps and failing allocations: batches say exactly what plain sets say."""

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount._core import Store
from fastcount.native.samples import fail_allocation
from twin import frames
from twin.cuts import Known, Merged, Name, Places
from twin.threads import running

SECRET = bytes(range(16))
K = 10
PLACES = Places(SECRET)
UNIVERSE = [b"user-%d" % i for i in range(6000)]
SMALL, LARGE = (b"cut", b"small"), (b"cut", b"large")  # of at most 1,500 members, and of all


@pytest.fixture
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def hits(pairs: list[tuple[bytes, bytes]], op: int = frames.HIT, type: bytes = b"cut") -> bytes:
    """Records without a header."""
    return frames.type_record(type) + b"".join(frames.record(op, id, member=member) for id, member in pairs)


def members_of(group: int, frame: int) -> tuple[list[bytes], list[bytes]]:
    """What frame `frame` of a group puts into SMALL and LARGE: groups share most of both."""
    draw = random.Random(f"{group} {frame}")
    return draw.choices(UNIVERSE[:1500], k=20), draw.choices(UNIVERSE, k=60)


def hit_frame(group: int, frame: int) -> bytes:
    """A beat, by which a cut can be told, among HITs."""
    small, large = members_of(group, frame)
    pairs = [(SMALL[1], m) for m in small] + [(LARGE[1], m) for m in large]
    random.Random(frame).shuffle(pairs)
    beat = frames.record(frames.INC, b"beat/%d" % group)
    return frames.header() + hits(pairs[:40]) + beat + hits(pairs[40:])


GROUPS, FRAMES, HITS = 4, 250, 80  # a frame: 20 into SMALL, 60 into LARGE


@pytest.mark.usefixtures("_switch_often")
@pytest.mark.parametrize("shards", [1, 16])
def test_batches_up_to_a_cut_say_what_the_sets_of_that_cut_say(shards: int) -> None:
    """Three threads by frames, one by single increments. Registers of a dense sketch may run ahead of the cut, never
    behind; all else is as it was at the cut."""
    store = Store(shards=shards, sample_size=K, secret=SECRET)
    made = [[hit_frame(group, i) for i in range(FRAMES)] for group in range(GROUPS)]
    singles = [(id, m) for i in range(FRAMES) for id, ms in zip((b"small", b"large"), members_of(9, i), strict=True)
               for m in ms]  # fmt: skip
    left = threading.Semaphore(0)

    def apply(group: int) -> None:
        try:
            for frame in made[group]:
                assert store.apply(frame) == ("applied", HITS + 1, 0)
        finally:
            left.release()

    def incr() -> None:
        try:
            for id, member in singles:
                store.incr(b"one", id, 1, member)
        finally:
            left.release()

    merged, known = Merged(), Known(PLACES)
    done = Counter[int]()
    ones = 0

    def check() -> None:
        nonlocal ones
        changed = merged.add(store.swap())
        for group in range(GROUPS):
            for i in range(done[group], merged.values[b"cut", b"beat/%d" % group]):
                for name, members in zip((SMALL, LARGE), members_of(group, i), strict=True):
                    known.add(name, members)
                done[group] += 1
        total = sum(merged.values[b"one", id] for id in (b"small", b"large"))
        for id, member in singles[ones:total]:
            known.add((b"one", id), [member])
        ones = total
        hit = sum(done.values())
        assert merged.values[SMALL] == 20 * hit, "part of a frame is in this batch, part of it in another"
        assert merged.values[LARGE] == 60 * hit
        assert dict(merged.seen) == {t: n for t, n in {b"cut": HITS * hit, b"one": ones}.items() if n}
        for name in changed:
            assert merged.sample(name, K) == known.sample(name, K), name
            # by member, and so exact; a larger one may turn dense between the cut and its drain
            if name[1] == b"small" and len(known.offered[name]) <= 1500:
                assert merged.registers[name] == known.registers[name], name
            else:
                mine = merged.registers[name]
                assert all(mine.get(r, 0) >= rank for r, rank in known.registers[name].items()), name

    with running(*(lambda g=g: apply(g) for g in range(GROUPS)), incr):
        ended = 0
        while ended < GROUPS + 1:
            ended += left.acquire(blocking=False)
            check()
    check()
    assert len(store.swap()) == 0
    assert [done[group] for group in range(GROUPS)] == [FRAMES] * GROUPS
    for name in (SMALL, LARGE, (b"one", b"small"), (b"one", b"large")):
        assert merged.registers[name] == known.registers[name]
        assert store.sample(*name).members == known.sample(name, K)
        exact = len(known.offered[name]) <= 1792
        assert (store.unique(*name).error == 0) == exact
        if exact:
            assert store.unique(*name).distinct == len(known.offered[name])


NAMES: list[Name] = [(b"cut", b"a"), (b"cut", b"b")]
OPS = {frames.SEEN: "unique", frames.SAMPLE: "sample", frames.HIT: "both"}
offers = st.lists(
    st.tuples(st.sampled_from(list(OPS)), st.sampled_from(NAMES), st.integers(0, 40)), min_size=1, max_size=30
)
steps = st.lists(
    st.one_of(offers, offers, st.integers(0, 12), st.just(-1)),  # apply; a swap whose n-th allocation fails; a swap
    min_size=1,
    max_size=12,
)


@given(steps, st.integers(1, 2))
def test_a_generation_left_undrained_is_drained_as_it_was_at_its_cut(steps: list, k: int) -> None:  # type: ignore[type-arg]
    """A swap that fails for want of memory has made its cut already: what comes afterwards, the same members among it,
    belongs to the batch after the one that the next swap gives."""
    store = Store(shards=2, sample_size=k, secret=SECRET, event_size=5)
    merged, cut, now = Merged(), Known(PLACES), Known(PLACES)
    uniques: dict[Name, set[bytes]] = {name: set() for name in NAMES}
    generations: list[list[tuple[int, Name, bytes]]] = [[]]  # not yet in a batch; the last one is open
    swaps = 0

    def take(batch) -> None:  # type: ignore[no-untyped-def]
        nonlocal swaps
        assert batch.generation == swaps
        swaps += 1
        merged.add(batch)
        values = Counter[Name]()
        for op, name, member in generations.pop(0):
            values[name] += op == frames.HIT
            if op != frames.SAMPLE:
                cut.add(name, [member])
            if op != frames.SEEN:
                now.add(name, [member])
        assert {(t.encode(), i.encode()): d for t, i, d in batch if d} == {n: v for n, v in values.items() if v}
        for name in NAMES:
            assert merged.registers[name] == cut.registers[name]
            assert merged.sample(name, k) == now.sample(name, k)
        seen = sum(seen for _, seen, _ in batch.events())
        assert seen == sum(values.values())

    try:
        for step in steps:
            if isinstance(step, list):
                body = b"".join(hits([(name[1], UNIVERSE[m])], op, name[0]) for op, name, m in step)
                assert store.apply(frames.header() + body).refused == 0
                generations[-1] += [(op, name, UNIVERSE[m]) for op, name, m in step]
                for op, name, m in step:
                    uniques[name] |= {UNIVERSE[m]} if op != frames.SAMPLE else set()
                continue
            fail_allocation(step)
            if len(generations) == 1:
                generations.append([])
            try:
                batch = store.swap()
            except MemoryError:
                assert step >= 0
            else:
                take(batch)
            fail_allocation(-1)
            for name in NAMES:
                assert store.unique(*name).distinct == len(uniques[name])
    finally:
        fail_allocation(-1)
    for _ in range(2):
        if len(generations) == 1:
            generations.append([])
        take(store.swap())
    assert len(store.swap()) == 0
