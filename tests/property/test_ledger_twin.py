"""The loss ledger and its slow twin, fed the same datagrams by senders whose network loses, repeats and reorders."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from fastcount._core import WINDOW, Store
from twin import frames
from twin import ledger as twin_ledger
from twin.compare import figures, rows
from twin.ledger import AHEAD, LAST_SEQ, RECORDS_A_FRAME, Books, TwinLedger
from twin.store import TwinStore

ADDRESSES = [b"4\x7f\0\0\x01\x1f\xc0", b"4\x7f\0\0\x01\x1f\xc1", b"h4\x0a\0\0\x01", b"6" + b"\0" * 15 + b"\x01\x1f\xc0"]
sources = st.sampled_from([1, 1, 1, 1, 0, (1 << 64) - 1])
addresses = st.sampled_from([*ADDRESSES[:1] * 4, *ADDRESSES])
counts = st.integers(0, 5)


def test_the_twin_has_the_same_window() -> None:
    assert twin_ledger.WINDOW == WINDOW


@dataclass
class Sender:
    """A truthful client: what it has numbered, and what the network still holds."""

    seq: int = 0
    sent: int = 0
    out: list[tuple[int, int, int, bool]] = field(default_factory=list)  # (seq, sent, n, end)

    def emit(self, n: int, end: bool) -> tuple[int, int, int, bool]:
        frame = (self.seq, self.sent, n, end)
        self.seq += 1
        self.sent += n
        self.out.append(frame)
        return frame


class LedgerMachine(RuleBasedStateMachine):
    make: Callable[..., Any] = Store

    @initialize(first=st.sampled_from([0, 0, 0, 5, WINDOW - 1, WINDOW, 10**6, LAST_SEQ - 2 * AHEAD, LAST_SEQ - 2]))
    def start(self, first: int) -> None:
        self.native, self.twin = type(self).make(shards=1), TwinStore()
        self.first = first
        self.senders: dict[tuple[int, bytes], Sender] = {}
        self.total = 0

    def sender(self, source: int, address: bytes) -> Sender:
        started = Sender(self.first, min(7 * self.first, 1 << 50))
        return self.senders.setdefault((source, address), started)

    def arrive(self, source: int, address: bytes, frame: tuple[int, int, int, bool]) -> None:
        seq, sent, n, end = frame
        if not (0 <= seq <= LAST_SEQ and 0 <= sent <= 1 << 53):
            return  # cannot be said
        data = frames.header(source, seq, sent) + frames.type_record(b"t") + frames.record(frames.INC, b"a") * n
        data += frames.END_RECORD * end
        ours = self.native.apply(data, address)
        assert tuple(ours) == tuple(self.twin.apply(data, address))
        if ours.status == "applied":
            self.total += n

    @rule(source=sources, address=addresses, n=counts, end=st.booleans())
    def send(self, source: int, address: bytes, n: int, end: bool) -> None:
        self.arrive(source, address, self.sender(source, address).emit(n, end))

    @rule(source=sources, address=addresses, n=counts, some=st.integers(1, 4))
    def lose(self, source: int, address: bytes, n: int, some: int) -> None:
        for _ in range(some):
            self.sender(source, address).emit(n, False)

    @rule(
        source=sources,
        address=addresses,
        n=counts,
        some=st.sampled_from([WINDOW - 2, WINDOW - 1, WINDOW, WINDOW + 1, 64, AHEAD - 1, AHEAD, AHEAD + 1, 1 << 40]),
    )
    def lose_many(self, source: int, address: bytes, n: int, some: int) -> None:
        sender = self.sender(source, address)
        sender.seq += some
        sender.sent += n * min(some, 1 << 24)
        self.arrive(source, address, sender.emit(n, False))

    @rule(source=sources, address=addresses, back=st.integers(1, 8))
    def arrive_late_or_twice(self, source: int, address: bytes, back: int) -> None:
        out = self.sender(source, address).out
        if out:
            self.arrive(source, address, out[-min(back, len(out))])

    @rule(source=sources, address=addresses, other=addresses)
    def arrive_from_elsewhere(self, source: int, address: bytes, other: bytes) -> None:
        out = self.sender(source, address).out
        if out:
            self.arrive(source, other, out[-1])

    @rule(
        source=sources,
        address=addresses,
        back=st.sampled_from([1, 2, 3, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW]),
        n=counts,
        sent_back=st.integers(0, 8),
        end=st.booleans(),
    )
    def arrive_at_the_edge(self, source: int, address: bytes, back: int, n: int, sent_back: int, end: bool) -> None:
        """A frame of long ago that was never seen, or so it says."""
        sender = self.sender(source, address)
        self.arrive(source, address, (sender.seq - back, sender.sent - sent_back, n, end))

    @rule(
        source=sources,
        address=addresses,
        ahead=st.sampled_from(
            [0, 1, 2, WINDOW - 1, WINDOW, WINDOW + 1, AHEAD - 1, AHEAD, AHEAD + 1, 2 * AHEAD, 1 << 45]
        ),
        more=st.one_of(
            st.integers(-3, 3),
            st.sampled_from([RECORDS_A_FRAME, RECORDS_A_FRAME + 1, RECORDS_A_FRAME * AHEAD, 1 << 52]),
        ),
        n=counts,
        believe=st.booleans(),
    )
    def claim(self, source: int, address: bytes, ahead: int, more: int, n: int, believe: bool) -> None:
        """A frame with numbers of its own choice; at times the sender goes on from there."""
        sender = self.sender(source, address)
        self.arrive(source, address, (sender.seq + ahead, sender.sent + more, n, False))
        if believe:
            sender.seq += ahead + 1
            sender.sent = max(0, sender.sent + more + n)

    @rule(source=sources, address=addresses, n=counts)
    def claim_the_last_seq(self, source: int, address: bytes, n: int) -> None:
        self.arrive(source, address, (LAST_SEQ, self.sender(source, address).sent, n, False))

    @rule(address=addresses, n=counts)
    def arrive_unnumbered(self, address: bytes, n: int) -> None:
        data = frames.incs(b"t", [b"a"] * n)
        assert tuple(self.native.apply(data, address)) == tuple(self.twin.apply(data, address))
        self.total += n

    @invariant()
    def same_books(self) -> None:
        assert rows(self.native) == rows(self.twin)
        assert figures(self.native) == figures(self.twin)
        assert self.native.read(b"t", b"a").lost == self.twin.ledger.lost
        assert self.native.read(b"t", b"a").value == self.total, "counted exactly once"

    @invariant()
    def books_add_up(self) -> None:
        listed = rows(self.native).values()
        assert all(row["lost"] >= 0 and row["lost_frames"] >= 0 for row in listed)
        assert sum(row["records"] for row in listed) == self.total


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=3 * settings.default.max_examples, stateful_step_count=settings.default.stateful_step_count // 2
)


@pytest.mark.parametrize(
    ("gap", "sent", "status"),
    [
        (AHEAD, 0, "applied"),
        (AHEAD, AHEAD * RECORDS_A_FRAME, "applied"),
        (AHEAD, AHEAD * RECORDS_A_FRAME + 1, "inconsistent"),
        (1 << 63, 1 << 53, "applied"),
    ],
)
@pytest.mark.parametrize("after", [1, WINDOW])
def test_a_jump_is_bounded_also_when_it_is_confirmed(gap: int, sent: int, status: str, after: int) -> None:
    native, twin = Store(), TwinStore()
    for seq, claim, expected in (
        (0, 0, "applied"),
        (1 + AHEAD + gap, 0, "ahead"),
        (1 + AHEAD + gap + after, sent + (AHEAD + after) * RECORDS_A_FRAME * (sent > 0 and gap == AHEAD), status),
    ):
        frame = frames.header(1, seq, claim)
        assert native.apply(frame).status == twin.apply(frame).status == expected
    assert rows(native) == rows(twin)


# The machine finds bugs: each of these has one.


class ShortWindow(Books):
    def judge(self, seq: int, sent: int, n: int) -> str:
        verdict = super().judge(seq, sent, n)
        return "stale" if self.accepted and seq == self.next_seq - WINDOW else verdict


class LongWindow(Books):
    def judge(self, seq: int, sent: int, n: int) -> str:
        if self.accepted and self.joined_seq <= seq == self.next_seq - WINDOW - 1:
            return "duplicate" if seq in self.accepted else "applied"
        return super().judge(seq, sent, n)


class BelievesJumps(Books):
    def _confirmed(self, seq: int, sent: int) -> bool:
        return self.candidate is not None


class NeverBelievesJumps(Books):
    def _confirmed(self, seq: int, sent: int) -> bool:
        return False


class SettlesOnLateEnds(Books):
    def accept(self, seq: int, sent: int, n: int, end: bool) -> None:
        super().accept(seq, sent, n, end)
        self.settled |= end


class StaysSettled(Books):
    def accept(self, seq: int, sent: int, n: int, end: bool) -> None:
        super().accept(seq, sent, n, end or self.settled)


class JoinsAtItsFirstFrame(Books):
    def accept(self, seq: int, sent: int, n: int, end: bool) -> None:
        if not self.accepted:
            self.joined_seq, self.base_sent = seq, sent
        super().accept(seq, sent, n, end)


class BelievesAnySent(Books):
    @staticmethod
    def _plausible(seq: int, sent: int, next_seq: int, end_max: int) -> bool:
        return sent >= end_max if seq > next_seq else sent == end_max


class BelievesLateClaims(Books):
    def judge(self, seq: int, sent: int, n: int) -> str:
        verdict = super().judge(seq, sent, n)
        return "applied" if verdict == "inconsistent" and self.accepted and seq < self.next_seq else verdict


@pytest.mark.parametrize("mutant", [
    ShortWindow, LongWindow, BelievesJumps, NeverBelievesJumps, SettlesOnLateEnds, StaysSettled, JoinsAtItsFirstFrame,
    BelievesAnySent, BelievesLateClaims,
])  # fmt: skip
def test_the_machine_finds(mutant: type[Books]) -> None:
    class MutantLedger(TwinLedger):
        new_books = mutant

    class MutantStore(TwinStore):
        def __init__(self, **limits: Any) -> None:
            super().__init__(**limits)
            self.ledger = MutantLedger()

    machine = type("Mutant", (LedgerMachine,), {"make": MutantStore})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            machine,
            settings=settings(max_examples=1000, phases=[Phase.generate], derandomize=True, database=None),
        )
