"""What the store answers with."""

from typing import NamedTuple, TypedDict


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


class Unique(NamedTuple):
    """distinct: how many different members. error: one standard error of that, relative; 0.0 while it is exact."""

    distinct: int
    error: float


class Sample(NamedTuple):
    """members: a uniform sample of the distinct members, in the order of a keyed hash. distinct: how many there were,
    estimated from the sample alone. complete: whether the sample holds all of them, and `distinct` is exact."""

    members: list[bytes]
    distinct: int
    complete: bool


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
