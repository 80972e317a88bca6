"""The store: the only Python door to the native part."""

from typing import Final, final

from typing_extensions import Buffer

from fastcount._batch import Batch
from fastcount.answers import Applied as Applied
from fastcount.answers import Reading as Reading
from fastcount.answers import Sample as Sample
from fastcount.answers import SourceRow
from fastcount.answers import Unique as Unique

@final
class Store:
    """Names to totals, in memory, sharded. Thread-safe. All names go in and out as bytes (UTF-8).

    max_counters: names held, 1..2**40. max_memory: bytes for names, totals and indexes. max_types: 1..65,535.
    shards: a power of two, 1..256. max_sources: entries of the loss ledger. sample_size: members in the sample of a
    name, 1..4,096. event_size: sampled events a type and generation, 0..65,536. secret: 16 bytes that decide which
    members a sample keeps; the same in all nodes of a deployment, random if not given. keys: key id (0..255) to key
    (16-64 bytes) of the signed frames to accept; require_signature: refuse all others.
    """

    limits: Final[dict[str, int]]  # as given to the constructor

    def __init__(
        self,
        *,
        max_counters: int = 10_000_000,
        max_memory: int = 1 << 30,
        max_types: int = 4096,
        max_sources: int = 65_536,
        shards: int = 8,
        sample_size: int = 100,
        event_size: int = 1000,
        secret: bytes | None = None,
        keys: dict[int, bytes] | None = None,
        require_signature: bool = False,
    ) -> None: ...
    def apply(self, frame: Buffer, address: bytes = b"", *, trusted: bool = False) -> Applied:
        """Apply one frame whole. `address`: at most 23 bytes, whose books it goes into. `trusted`: it was built here,
        and has no signature, also where one is required.
        Raises FrameError (nothing was applied, `malformed` of the address went up)."""
    def incr(self, type: bytes, id: bytes, delta: int = 1, member: bytes | None = None) -> int:
        """Add `delta` and return the total after; a member also goes into uniques, sample and events (with a
        delta of 0 it is no event). Raises InvalidName, OverflowError (delta outside of signed 64-bit), LimitReached."""
    def read(self, type: bytes, id: bytes) -> Reading:
        """A name never counted reads as 0. Raises InvalidName."""
    def reset(self, type: bytes, id: bytes) -> int:
        """Subtract the observed value, and return it. Uniques and sample stay: nothing can be taken out of a union.
        Raises InvalidName."""
    def unique(self, type: bytes, id: bytes | None = None) -> Unique:
        """Distinct members of a name, or of all names of a type together. Raises InvalidName."""
    def sample(self, type: bytes, id: bytes) -> Sample:
        """The sampled members of a name. Raises InvalidName."""
    def top(self, type: bytes, k: int, by: str = "value") -> list[tuple[bytes, int]]:
        """The k names with the largest totals, or uniques (by="unique"), largest first, ties by id. k: 1..10,000.
        Raises InvalidName, ValueError."""
    def swap(self) -> Batch:
        """Cut: what was applied so far becomes a Batch, what comes later belongs to the next one."""
    def sources(self, limit: int = 1000, source: int | None = None) -> list[SourceRow]:
        """The loss ledger, most lost first, then most recently heard. limit: 1..1,000,000. source: only the rows of
        this source (a row an address). Raises ValueError, OverflowError."""
    def books(self) -> dict[str, int]:
        """The sums over all rows of the ledger, and over those that have left it."""
    def stats(self) -> dict[str, object]:
        """Counters of the store; see docs/stats.md for every key."""

WINDOW: Final[int]  # seqs remembered per source
