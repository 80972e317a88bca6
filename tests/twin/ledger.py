"""The loss ledger, slow and obvious: books per (source, address) in a dict, every seq ever accepted in a set.

A frame with SEQUENCED says: source, seq (its number, from 0) and sent (data records in all earlier frames). Where more
than one rule could apply, they are tried in the order in which `Books.judge` has them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

WINDOW = 1024  # seqs remembered behind the highest
AHEAD = 1 << 20  # a seq further ahead than this is not believed at once
RECORDS_A_FRAME = 524_288  # more than the largest frame can hold: bounds what `sent` may grow by per missing frame
LAST_SEQ = (1 << 64) - 1
IDLE_S = 1.0  # an entry idle this long may be evicted

APPLIED, DUPLICATE, STALE, AHEAD_OF, INCONSISTENT = "applied", "duplicate", "stale", "ahead", "inconsistent"
VERDICTS = (APPLIED, DUPLICATE, STALE, AHEAD_OF, INCONSISTENT)

COUNTED = (
    "frames",
    "records",
    "duplicate_frames",
    "duplicate_records",
    "reordered_frames",
    "stale_frames",
    "stale_records",
    "ahead_frames",
    "inconsistent_frames",
    "malformed",
)


def show_address(packed: bytes) -> str:
    """``4`` or ``6``, an IP address and a port; or ``h4`` or ``h6`` and an IP address; as people write it."""
    if packed[:1] == b"h":
        return f"http {ip_address(packed[2:])}"
    if packed:
        ip = ip_address(packed[1:-2])
        return f"[{ip}]:{int.from_bytes(packed[-2:])}" if ip.version == 6 else f"{ip}:{int.from_bytes(packed[-2:])}"
    return ""


@dataclass
class Books:
    """What is known of one source at one address."""

    frames: int = 0
    records: int = 0
    duplicate_frames: int = 0
    duplicate_records: int = 0
    reordered_frames: int = 0
    stale_frames: int = 0
    stale_records: int = 0
    ahead_frames: int = 0
    inconsistent_frames: int = 0
    malformed: int = 0

    joined_seq: int = 0
    base_sent: int = 0
    next_seq: int = 0
    end_max: int = 0  # sent + n of the highest frame: what the source says it has sent
    settled: bool = False
    accepted: set[int] = field(default_factory=set)
    candidate: tuple[int, int] | None = None  # (seq, sent + n) of a frame that was too far ahead
    heard: float = 0.0

    @property
    def heard_often(self) -> bool:
        return self.frames + self.malformed > 1

    @property
    def lost(self) -> int:
        return self.end_max - self.base_sent - self.records if self.accepted else 0

    @property
    def lost_frames(self) -> int:
        return self.next_seq - self.joined_seq - self.frames if self.accepted else 0

    def judge(self, seq: int, sent: int, n: int) -> str:
        """What is to become of this frame; changes nothing but the candidate."""
        if seq == LAST_SEQ:
            return INCONSISTENT  # no frame can follow it
        if not self.accepted:
            # who joins in the first window is taken to have begun at 0
            return APPLIED if seq >= WINDOW or self._plausible(seq, sent, 0, 0) else INCONSISTENT
        if seq < self.next_seq - WINDOW or seq < self.joined_seq:
            return STALE
        if seq in self.accepted:
            return DUPLICATE
        if seq < self.next_seq:
            room = self.end_max - self.base_sent - self.records  # else it would claim records that others had
            fits = self.base_sent <= sent and sent + n <= self.end_max and n <= room
            return APPLIED if fits else INCONSISTENT
        if seq > self.next_seq + AHEAD and sent >= self.end_max and not self._confirmed(seq, sent):
            self.candidate = (seq, sent + n)
            return AHEAD_OF
        return APPLIED if self._plausible(seq, sent, self.next_seq, self.end_max) else INCONSISTENT

    def _confirmed(self, seq: int, sent: int) -> bool:
        """Whether an earlier frame was as far ahead, so that the jump stands."""
        if self.candidate is None:
            return False
        its_seq, its_end = self.candidate
        return its_seq < seq <= its_seq + WINDOW and sent >= its_end

    @staticmethod
    def _plausible(seq: int, sent: int, next_seq: int, end_max: int) -> bool:
        return 0 <= sent - end_max <= (seq - next_seq) * RECORDS_A_FRAME

    def accept(self, seq: int, sent: int, n: int, end: bool) -> None:
        if not self.accepted and seq >= WINDOW:
            self.joined_seq, self.base_sent = seq, sent
        if seq >= self.next_seq:
            self.next_seq, self.end_max, self.settled = seq + 1, sent + n, end
            self.candidate = None
        else:
            self.reordered_frames += 1
        self.accepted.add(seq)
        self.frames += 1
        self.records += n


class TwinLedger:
    """The table of books. `clock` is in seconds."""

    new_books = Books

    def __init__(
        self,
        max_sources: int = 65_536,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_sources = max_sources
        self.clock = clock
        self.books: dict[tuple[int | None, bytes], Books] = {}
        self.folded = dict.fromkeys((*COUNTED, "lost", "lost_frames"), 0)  # books of evicted entries
        self.untracked_frames = 0
        self.untracked_records = 0
        self.evicted = 0

    def _open(self, source: int | None, address: bytes) -> Books | None:
        """The books of this source, with room made for new ones where something may go; None if nothing may."""
        key = (source, address)
        if key not in self.books:
            if len(self.books) >= self.max_sources:
                idlest = min(self.books, key=lambda k: (self.books[k].heard_often, self.books[k].heard))
                books = self.books[idlest]
                if books.heard_often and self.clock() - books.heard < IDLE_S:
                    return None
                for name in self.folded:
                    self.folded[name] += getattr(books, name)
                self.evicted += 1
                del self.books[idlest]
            self.books[key] = self.new_books()
        self.books[key].heard = self.clock()
        return self.books[key]

    def frame(self, address: bytes, n: int) -> str:
        """A frame without SEQUENCED, of `n` data records."""
        books = self._open(None, address)
        if books is None:
            self.untracked_frames += 1
            self.untracked_records += n
        else:
            books.frames += 1
            books.records += n
        return APPLIED

    def sequenced(self, address: bytes, source: int, seq: int, sent: int, n: int, end: bool = False) -> str:
        """A frame with SEQUENCED, of `n` data records: what becomes of it."""
        books = self._open(source, address)
        if books is None:
            self.untracked_frames += 1
            self.untracked_records += n
            return APPLIED
        verdict = books.judge(seq, sent, n)
        if verdict == APPLIED:
            books.accept(seq, sent, n, end)
        elif verdict == DUPLICATE:
            books.duplicate_frames += 1
            books.duplicate_records += n
        elif verdict == STALE:
            books.stale_frames += 1
            books.stale_records += n
        elif verdict == AHEAD_OF:
            books.ahead_frames += 1
        else:
            books.inconsistent_frames += 1
        return verdict

    def malformed(self, address: bytes) -> None:
        """Something from `address` that did not decode."""
        books = self._open(None, address)
        if books is None:
            self.untracked_frames += 1
        else:
            books.malformed += 1

    def rows(self, limit: int = 1000) -> list[dict[str, object]]:
        """The shape of `SourceRow`: most lost first, then most recently heard."""
        now = self.clock()
        order = sorted(self.books.items(), key=lambda item: (-item[1].lost, -item[1].heard))
        return [
            {
                "source": None if source is None else f"{source:016x}",
                "address": show_address(address),
                **{name: getattr(books, name) for name in COUNTED},
                "sent": books.end_max,
                "lost": books.lost,
                "lost_frames": books.lost_frames,
                "joined_seq": books.joined_seq,
                "next_seq": books.next_seq,
                "settled": books.settled,
                "idle_s": now - books.heard,
            }
            for (source, address), books in order[:limit]
        ]

    @property
    def lost(self) -> int:
        """Records that were sent and never arrived, over all sources, evicted ones included."""
        return self.folded["lost"] + sum(books.lost for books in self.books.values())
