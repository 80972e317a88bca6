"""A swap comes while a frame is being applied, and single increments come before the frame's end."""

import threading

from fastcount._core import Store
from twin import frames
from twin.cuts import Known, Merged, Places
from twin.threads import running

SECRET = bytes(range(16))
K = 10
PLACES = Places(SECRET)
UNIVERSE = [b"user-%d" % i for i in range(6000)]


def hits(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return frames.type_record(b"cut") + b"".join(frames.record(frames.HIT, id, member=member) for id, member in pairs)


def test_what_the_next_generation_adds_meanwhile_takes_nothing_from_a_cut() -> None:
    """A long frame is under way when a swap comes. Single increments of the next generation offer the same members
    before the frame's end does, and others that push them out. The batch holds what the frame stands for all the same.
    """
    store = Store(shards=1, sample_size=K, secret=SECRET, event_size=0)
    by_priority = sorted(UNIVERSE, key=lambda member: PLACES.of(member)[2])
    first, later = by_priority[: 2 * K], by_priority[K : 2 * K]  # `later` belongs only while nobody knows `first`
    merged, known = Merged(), Known(PLACES)
    overlapped = 0
    for i in range(40):
        id = b"name-%d" % i
        frame = frames.header() + hits([(b"other", m) for m in by_priority[2 * K :]] * 6 + [(id, m) for m in later])

        def apply(frame: bytes = frame) -> None:
            store.apply(frame)

        go = threading.Event()

        def incr(id: bytes = id, go: threading.Event = go) -> None:
            go.wait()
            for m in first:
                store.incr(b"cut", id, 1, m)

        before = merged.values[b"cut", b"other"]
        with running(incr, apply):
            while store.stats()["frames"] == i:
                pass  # decoded by now, and being applied
            go.set()  # who waits gets his turn once the swap has let the interpreter go, and so has made its cut
            merged.add(store.swap())
        name = b"cut", id
        if merged.values[b"cut", b"other"] > before and merged.values[name] == len(later):
            known.add(name, later)
            assert merged.sample(name, K) == known.sample(name, K)
            mine = merged.registers[name]
            assert all(mine.get(r, 0) >= rank for r, rank in known.registers[name].items())
            overlapped += 1
        merged.add(store.swap())
        known.add(name, first)
        assert merged.values[name] == 3 * K
        assert merged.sample(name, K) == known.sample(name, K)
        assert merged.registers[name] == known.registers[name]
    assert overlapped, "no swap came while a frame was being applied"
