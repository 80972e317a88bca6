"""The reservoir of events and its slow twin: the same seed, the same events."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fastcount.native.samples import Reservoir, fail_allocation
from twin.reservoir import Event, TwinReservoir

ids = st.one_of(st.sampled_from([b"a", b"/index.html", b"x" * 1023]), st.binary(min_size=1, max_size=40))
members = st.one_of(st.just(b""), st.just(b"m" * 255), st.binary(max_size=12))
sizes = st.one_of(st.integers(1, 9), st.just(50))


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    yield
    fail_allocation(-1)


class ReservoirMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        fail_allocation(-1)
        self.clock = count(1_700_000_000_000)

    @initialize(k=sizes, seed=st.integers(0, 2**64 - 1))
    def start(self, k: int, seed: int) -> None:
        self.native, self.twin = Reservoir(k, seed), TwinReservoir(k, seed)

    def both(self, native: Reservoir, twin: TwinReservoir, event: Event) -> None:
        assert native.offer(*event) == twin.offer(event)

    @rule(id=ids, member=members)
    def offer(self, id: bytes, member: bytes) -> None:
        self.both(self.native, self.twin, (id, member, next(self.clock)))

    @rule(id=ids, member=members, n=st.integers(1, 400), skipping=st.booleans())
    def offer_run(self, id: bytes, member: bytes, n: int, skipping: bool) -> None:
        start = next(self.clock) * 1000
        kept = self.native.offer_run(id, member, start, start + n, skipping)
        assert kept == sum(self.twin.offer((id, member, start + i)) for i in range(n))

    @rule(k=sizes, seed=st.integers(0, 2**64 - 1), n=st.integers(0, 200))
    def merge(self, k: int, seed: int, n: int) -> None:
        native, twin = Reservoir(k, seed), TwinReservoir(k, seed)
        for i in range(n):
            self.both(native, twin, (b"%d" % (i * i), b"other", -i))
        before = native.events()
        self.native.merge(native)
        self.twin.merge(twin)
        assert native.events() == before

    @rule()
    def take(self) -> None:
        native, twin = self.native.take(), self.twin.take()
        assert native.check() is None
        assert (native.seen, native.events()) == (twin.seen, twin.events)
        # what was handed over goes on like the twin's: its random numbers are its own
        for i in range(20):
            self.both(native, twin, (b"late", b"", i))
        assert native.events() == twin.events

    @rule(id=ids, n=st.integers(1, 60), merging=st.booleans())
    def without_memory(self, id: bytes, n: int, merging: bool) -> None:
        """Refused for want of memory means that nothing changed, the random numbers included."""
        for i in range(n):
            event = (id * 3)[:1023], b"", i
            before = self.native.events(), self.native.seen, self.native.nbytes
            other = Reservoir(self.twin.k, n)
            other.offer(*event)
            fail_allocation(0)
            try:
                if merging:
                    self.native.merge(other)
                else:
                    self.both(self.native, self.twin, event)
            except MemoryError:
                assert before == (self.native.events(), self.native.seen, self.native.nbytes)
            finally:
                fail_allocation(-1)
            if merging:
                break

    @invariant()
    def same(self) -> None:
        assert self.native.check() is None
        assert self.native.seen == self.twin.seen
        assert self.native.events() == self.twin.events
        assert self.native.k == self.twin.k
        assert self.native.weight == (self.twin.seen / len(self.twin.events) if self.twin.events else 0)


TestReservoir = ReservoirMachine.TestCase


@given(st.lists(st.tuples(sizes, st.integers(0, 120)), min_size=2, max_size=6), st.integers(0, 2**32))
def test_a_merge_holds_distinct_events_of_its_parts(parts: list[tuple[int, int]], seed: int) -> None:
    total = Reservoir(50, seed)
    everything = set()
    for number, (k, n) in enumerate(parts):
        part = Reservoir(k, seed + number + 1)
        part.offer_run(b"part-%d" % number, b"", 0, n)
        everything |= set(part.events())
        total.merge(part)
        assert total.check() is None
    k = min(50, *(k for k, _ in parts))
    events = total.events()
    assert total.seen == sum(n for _, n in parts)
    assert len(events) == len(set(events)) == min(k, total.seen)
    assert set(events) <= everything


@pytest.mark.parametrize("budget", [2_000, 40_000, 300_000])
def test_the_longest_events_stay_within_the_bytes_promised(budget: int) -> None:
    k = Reservoir.fit(budget)
    assert Reservoir.fit(1_400) == 0
    reservoir = Reservoir(k, 5)
    struct = reservoir.nbytes
    for i in range(40 * k):
        length = 1023 if i % 3 else 1 + i % 1000
        reservoir.offer(b"i" * length, b"m" * (255 if i % 3 else 0), i)
        assert reservoir.nbytes - struct <= budget
    assert reservoir.check() is None
    assert len(reservoir) == k


def test_refusals() -> None:
    for k in (0, -1, 65_537):
        with pytest.raises(ValueError, match=r"1\.\.65536"):
            Reservoir(k)
    reservoir = Reservoir(3, 1)
    for id, member in ((b"", b""), (b"i" * 1024, b""), (b"i", b"m" * 256)):
        with pytest.raises(ValueError, match=r"1\.\.1,023 bytes"):
            reservoir.offer(id, member)
        with pytest.raises(ValueError, match=r"1\.\.1,023 bytes"):
            reservoir.offer_run(id, member, 0, 5)
    with pytest.raises(ValueError, match="itself"):
        reservoir.merge(reservoir)
    assert reservoir.seen == 0


def test_two_from_the_system_differ() -> None:
    a, b = Reservoir(50), Reservoir(50)
    for reservoir in (a, b):
        reservoir.offer_run(b"x", b"", 0, 100_000)
    assert a.events() != b.events()
