"""The store and its slow twin, side by side: the same calls, the same answers."""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from fastcount import wire
from fastcount._core import Store
from fastcount.answers import Applied
from fastcount.errors import FrameError
from twin import frames
from twin import strategies as draw
from twin.compare import figures, outcome, rows
from twin.hll import murmur64a, place
from twin.store import Total, TwinBatch, TwinStore

ADDRESSES = [b"", b"4\x7f\0\0\x01\x1f\xc0", b"h4\x0a\0\0\x01", b"6" + b"\0" * 15 + b"\x01\x1f\xc0"]
BAD_TYPES = [b"", b"a b", b"a/b", "ä".encode(), b"t" * 65, b"a\0", b"a\n"]
BAD_IDS = [b"", b"a\n", b"\xff", b"\xc2\x80", b"\xed\xa0\x80", b"x" * 1024, b"\x7f", b"\0", b"12345678\xc3"]
BAD_MEMBERS = [b"", b"m" * 256, b"\xfe", b"\x1b"]
SAMPLE = 3  # small enough to overflow
ALL = 10_000  # more names than a run makes of one type


class StoreMachine(RuleBasedStateMachine):
    """Rules call both and compare; invariants hold after each."""

    make: Callable[..., Any] = staticmethod(partial(Store, sample_size=SAMPLE))

    @initialize(
        shards=st.sampled_from([1, 2, 16, 256]),
        max_counters=st.sampled_from([1, 7, 40, 1_000_000, 1_000_000]),
        max_types=st.sampled_from([1, 3, 100, 100]),
    )
    def start(self, **limits: int) -> None:
        self.native = type(self).make(**limits)
        self.registers: dict[tuple[bytes, bytes], dict[int, int]] = defaultdict(dict)
        self.members: dict[tuple[bytes, bytes], set[tuple[int, bytes]]] = defaultdict(set)
        self.seen: Counter[bytes] = Counter()
        self.twin = TwinStore(**limits)
        self.batches: Counter[tuple[bytes, bytes]] = Counter()
        self.types = {b"nothing"}  # that were in any frame

    def both(self, method: str, *args: Any) -> Any:
        ours = outcome(getattr(self.native, method), *args)
        assert ours == outcome(getattr(self.twin, method), *args)
        return ours

    def names(self) -> set[tuple[bytes, bytes]]:
        return {(type, id) for type in self.types for id, _ in self.native.top(type, ALL)}

    def apply(self, frame: bytes, address: bytes) -> None:
        ours = outcome(self.native.apply, frame, address)
        scarce = len(self.twin.totals) + len(frame) // 2 > self.twin.max_counters
        try:
            self.types.update(record.type for record in wire.decode(frame).records)
        except FrameError:
            scarce = False
        # which names of a frame get the last room is the store's choice; how many do is not
        admit = self.names() if scarce else None
        refused = sum(self.twin.refused.values())
        assert ours == outcome(self.twin.apply, frame, address, admit=admit)
        if admit is not None:
            assert self.twin.totals.keys() == admit
            if sum(self.twin.refused.values()) > refused:
                assert len(admit) == self.twin.max_counters

    @rule(frame=draw.plain, address=st.sampled_from(ADDRESSES))
    def apply_plain(self, frame: bytes, address: bytes) -> None:
        self.apply(frame, address)

    @rule(delta=st.sampled_from([draw.I64_MAX, draw.I64_MIN]), swap=st.booleans())
    def push_to_the_end(self, delta: int, swap: bool) -> None:
        self.both("incr", b"hits", b"0", delta, None)
        self.types.add(b"hits")
        if swap:
            self.swap()

    @rule(frame=draw.wide)
    def apply_to_all_shards(self, frame: bytes) -> None:
        self.apply(frame, b"")

    @rule(frame=draw.broken(st.one_of(draw.plain, draw.sequenced(draw.bodies()))), address=st.sampled_from(ADDRESSES))
    def apply_broken(self, frame: bytes, address: bytes) -> None:
        self.apply(frame, address)

    @rule(
        body=draw.bodies(max_groups=2),
        source=st.integers(1, 3),
        seq=st.integers(0, 4),
        sent=st.integers(0, 9),
        address=st.sampled_from(ADDRESSES),
        end=st.booleans(),
    )
    def apply_sequenced(
        self, body: tuple[bytes, int], source: int, seq: int, sent: int, address: bytes, end: bool
    ) -> None:
        self.apply(frames.header(source, seq, sent) + body[0] + frames.END_RECORD * end, address)

    @rule(
        type=st.one_of(draw.types, draw.types, st.sampled_from(BAD_TYPES)),
        id=st.one_of(draw.ids, draw.ids, draw.ids, st.sampled_from(BAD_IDS)),
        delta=st.one_of(draw.deltas, draw.deltas, st.sampled_from([draw.I64_MAX + 1, draw.I64_MIN - 1, 1 << 64])),
        member=st.one_of(st.none(), st.none(), draw.members, st.sampled_from(BAD_MEMBERS)),
    )
    def incr(self, type: bytes, id: bytes, delta: int, member: bytes | None) -> None:
        self.types.add(type) if wire.valid_type(type) else None
        self.both("incr", type, id, delta, member)

    @rule(
        type=st.one_of(draw.types, draw.types, st.sampled_from(BAD_TYPES)),
        id=st.one_of(draw.ids, draw.ids, st.sampled_from(BAD_IDS)),
    )
    def reset(self, type: bytes, id: bytes) -> None:
        value = self.both("reset", type, id)
        if isinstance(value, int) and self.twin.totals.get((type, id), Total()).base != draw.I64_MIN:
            assert self.native.read(type, id).value == 0

    @rule(type=st.one_of(draw.types, st.sampled_from(BAD_TYPES)), id=st.one_of(draw.ids, st.sampled_from(BAD_IDS)))
    def read(self, type: bytes, id: bytes) -> None:
        self.both("read", type, id)

    @rule(
        type=st.one_of(draw.types, draw.types, st.just(b"wide"), st.sampled_from(BAD_TYPES)),
        k=st.one_of(st.integers(1, 40), st.sampled_from([0, 1, ALL, ALL + 1])),
    )
    def top(self, type: bytes, k: int) -> None:
        self.both("top", type, k)

    @rule()
    def swap(self) -> None:
        ours, its = self.native.swap(), self.twin.swap()
        listed = list(ours)
        deltas = {(type.encode(), id.encode()): delta for type, id, delta in listed}
        assert len(ours) == len(listed) == len(deltas), "a name is in a batch once"
        changed = self.collect_sketches(ours)
        assert {name for name, delta in deltas.items() if delta == 0} <= changed
        assert {name: delta for name, delta in deltas.items() if delta} == its.deltas
        assert ours.generation == its.generation
        assert {type for type, _, _ in listed} <= set(ours.types)
        self.batches.update(deltas)

    def collect_sketches(self, batch: Any) -> set[tuple[bytes, bytes]]:
        """Merge a batch's sketches into what came before; since a swap is a cut, it is all that the twin knows."""
        changed = set()
        for type, id, registers, members in getattr(batch, "sketches", list)():
            name = type.encode(), id.encode()
            changed.add(name)
            assert registers or members
            for register, rank in registers.items():
                self.registers[name][register] = max(self.registers[name].get(register, 0), rank)
            self.members[name].update(members)
        for type, seen, events in getattr(batch, "events", list)():
            assert len(events) == min(seen, 1000)
            assert {(type.encode(), id.encode()) for id, _, _ in events} <= self.twin.sketched
            self.seen[type.encode()] += seen
        if isinstance(self.native, Store):
            assert dict(self.seen) == {type: n for type, n in self.twin.events.items() if n}
            for name in self.twin.sketched:
                expected: dict[int, int] = {}
                for member in self.twin.uniques.get(name, ()):
                    register, rank = place(murmur64a(member))
                    expected[register] = max(expected.get(register, 0), rank)
                assert self.registers[name] == expected
                kept = [member for _, member in sorted(self.members[name])[:SAMPLE]]
                assert kept == self.native.sample(*name).members
        return changed

    @invariant()
    def sketches_say_what_the_sets_say(self) -> None:
        if not isinstance(self.native, Store):
            return
        for name in self.twin.sketched:
            offered = self.twin.samples.get(name, set())
            assert self.native.unique(*name) == (len(self.twin.uniques.get(name, ())), 0.0)
            sample = self.native.sample(*name)
            assert set(sample.members) <= offered
            assert len(sample.members) == min(len(offered), SAMPLE)
            assert sample.complete == (len(offered) <= SAMPLE)

    @invariant()
    def batches_and_pending_make_up_the_value(self) -> None:
        for (type, id), total in self.twin.totals.items():
            value, pending, lost = self.native.read(type, id)
            assert (value, lost) == (total.value, self.twin.ledger.lost)
            assert self.batches[type, id] + pending == value

    @invariant()
    def same_figures(self) -> None:
        assert figures(self.native) == figures(self.twin)
        assert rows(self.native) == rows(self.twin)

    @invariant()
    def same_books_in_other_cuts(self) -> None:
        """Of all sources together, and of one."""
        if not isinstance(self.native, Store):
            return  # a mutant has no more than the twin
        listed = rows(self.twin)
        gone: dict[str, int] = self.native.stats()["sources"]["gone"]  # type: ignore[index]
        sums = {column: past + sum(row[column] for row in listed.values()) for column, past in gone.items()}
        assert self.native.books() == sums
        for source in {source for source, _ in listed if source is not None}:
            found = {row["address"] for row in self.native.sources(source=int(source, 16))}
            assert found == {address for other, address in listed if other == source}


TestStore = StoreMachine.TestCase


# The machine finds bugs: each of these stores has one.


class WrapsAround(TwinStore):
    def _set_delta(self, type: bytes, id: bytes, delta: int) -> None:
        super()._set_delta(type, id, (delta + (1 << 63)) % (1 << 64) - (1 << 63))


class LosesHalfAFrame(TwinStore):
    def _apply(self, record: wire.Record) -> bool:
        return len(record.id) == 32 or super()._apply(record)


class AppliesBeforeItDecodes(TwinStore):
    def _apply_frame(self, frame: bytes, address: bytes) -> Applied:
        try:
            return super()._apply_frame(frame, address)
        except FrameError as error:
            if error.offset > 6:
                self.records += 1
            raise


class KeepsWhatItDrained(TwinStore):
    def swap(self) -> TwinBatch:
        batch = super().swap()
        for name, delta in batch.deltas.items():
            if len(name[1]) == 8:
                self.touched.add(name)
                self.totals[name].base -= delta
                self.totals[name].delta += delta
        return batch


class ResetsToZeroOnlyBeforeTheFirstSwap(TwinStore):
    def reset(self, type: bytes, id: bytes) -> int:
        value = super().reset(type, id)
        if (type, id) in self.totals:
            self.totals[type, id].delta = 0
        return value


class BatchesZeroes(TwinStore):
    def swap(self) -> TwinBatch:
        touched = set(self.touched)
        batch = super().swap()
        return TwinBatch(batch.generation, dict.fromkeys(sorted(touched), 0) | batch.deltas)


class AdmitsOneTooMany(TwinStore):
    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits | {"max_counters": limits["max_counters"] + 1})


class CountsRepeats(TwinStore):
    def _apply_frame(self, frame: bytes, address: bytes) -> Applied:
        status, n, refused = super()._apply_frame(frame, address)
        if status == "duplicate":
            for record in wire.decode(frame).records:
                self._apply(record)
        return Applied(status, n, refused)


class ForgetsToCountSaturation(TwinStore):
    def swap(self) -> TwinBatch:
        before = self.saturated
        batch = super().swap()
        self.saturated = before
        return batch


@pytest.mark.parametrize(
    "mutant",
    [
        WrapsAround,
        LosesHalfAFrame,
        AppliesBeforeItDecodes,
        KeepsWhatItDrained,
        ResetsToZeroOnlyBeforeTheFirstSwap,
        BatchesZeroes,
        AdmitsOneTooMany,
        CountsRepeats,
        ForgetsToCountSaturation,
    ],
)
def test_the_machine_finds(mutant: type[TwinStore]) -> None:
    machine = type("Mutant", (StoreMachine,), {"make": mutant})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            machine, settings=settings(max_examples=5000, phases=[Phase.generate], derandomize=True, database=None)
        )
