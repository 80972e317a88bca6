"""The store: the only Python door to the native part."""

from collections.abc import Iterator
from typing import Final, NamedTuple, TypedDict, final

from typing_extensions import Buffer

class Applied(NamedTuple):
    """What became of one frame.

    status: ``applied``, or why nothing was counted: ``duplicate`` (this seq was received before), ``stale`` (older
    than the window of seqs that is remembered), ``ahead`` (implausibly far ahead), ``inconsistent`` (`sent`
    contradicts earlier frames of the source).
    records: records in the frame. refused: how many of them were refused by a limit.
    """

    status: str
    records: int
    refused: int

class Reading(NamedTuple):
    """value: the total, signed 64-bit, saturated. pending: the part of it not yet handed to a batch by `swap`.
    lost: records that sources sent and that never arrived, over the whole store, at this moment."""

    value: int
    pending: int
    lost: int

class SourceRow(TypedDict):
    source: str | None  # 16 hex digits; None: frames without SEQUENCED from this address
    address: str  # "127.0.0.1:40123", "[::1]:40123", or "http 127.0.0.1"
    frames: int  # received and applied
    records: int  # in those frames
    sent: int  # records the source says it has sent so far (0 without SEQUENCED)
    lost: int  # records sent since joined_seq that have not arrived (reordered ones may still)
    lost_frames: int
    duplicate_frames: int
    duplicate_records: int
    reordered_frames: int  # arrived after a later one and counted
    stale_frames: int  # older than the window; not counted, since they may be repeats
    stale_records: int
    ahead_frames: int  # refused: further ahead than is plausible
    inconsistent_frames: int  # refused: `sent` contradicts earlier frames
    malformed: int  # frames that did not decode
    joined_seq: int  # first seq that the books cover
    next_seq: int  # highest seq received + 1
    settled: bool  # END or a heartbeat was the last thing heard, so `lost` is final
    idle_s: float

@final
class Batch:
    """A consistent cut: everything applied between two swaps. Columns of equal length, an entry a changed name."""

    generation: int  # number of the swap, from 0
    types: tuple[str, ...]  # `type_index` indexes this
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[str, str, int]]: ...  # (type, id, delta)

@final
class Store:
    """Names to totals, in memory, sharded. Thread-safe. All names go in and out as bytes (UTF-8).

    max_counters: names held, 1..2**40. max_memory: bytes for names, totals and indexes. max_types: 1..65,535.
    shards: a power of two, 1..256. max_sources: entries of the loss ledger.
    """

    def __init__(
        self,
        *,
        max_counters: int = 10_000_000,
        max_memory: int = 1 << 30,
        max_types: int = 4096,
        max_sources: int = 65_536,
        shards: int = 16,
    ) -> None: ...
    def apply(self, frame: Buffer, address: bytes = b"") -> Applied:
        """Apply one frame whole. `address`: at most 23 bytes, whose books it goes into.
        Raises FrameError (nothing was applied, `malformed` of the address went up)."""
    def incr(self, type: bytes, id: bytes, delta: int = 1, member: bytes | None = None) -> int:
        """Add `delta` and return the total after. Raises InvalidName, OverflowError (delta outside of signed
        64-bit), LimitReached."""
    def read(self, type: bytes, id: bytes) -> Reading:
        """A name never counted reads as 0. Raises InvalidName."""
    def reset(self, type: bytes, id: bytes) -> int:
        """Subtract the observed value, and return it. Raises InvalidName."""
    def top(self, type: bytes, k: int) -> list[tuple[bytes, int]]:
        """The k names with the largest totals, largest first, ties by id. k: 1..10,000. Raises InvalidName."""
    def swap(self) -> Batch:
        """Cut: what was applied so far becomes a Batch, what comes later belongs to the next one."""
    def sources(self, limit: int = 1000) -> list[SourceRow]:
        """The loss ledger, most lost first, then most recently heard. limit: 1..1,000,000."""
    def stats(self) -> dict[str, object]:
        """Counters of the store; see docs/stats.md for every key."""

@final
class UdpReceiver:
    """Reads datagrams from a bound, non-blocking UDP socket into the store without the GIL (Linux).

    The caller owns the socket and keeps it open until `run` has returned.
    """

    def __init__(self, store: Store, fileno: int) -> None: ...
    def run(self) -> None:
        """Receive until `stop`; to be called in a thread of its own. Raises OSError if the socket fails."""
    def stop(self) -> None:
        """Ask `run` to return after what the kernel holds was read. From any thread, any number of times."""
    def stats(self) -> dict[str, int]:
        """datagrams, frames, bytes, batches, kernel_drops, truncated, errors."""

WINDOW: Final[int]  # seqs remembered per source
