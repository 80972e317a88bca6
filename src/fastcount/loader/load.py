"""A load from end to end: read, parse, check, pack, send, and account for every line and record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fastcount import wire
from fastcount.errors import InvalidName
from fastcount.loader.formats import Entry, LineError, Parser
from fastcount.loader.lines import MAX_LINE, Lines
from fastcount.loader.sender import Outcome, Sender
from fastcount.names import id_bytes, member_bytes, type_bytes
from fastcount.packer import Packer

SHOWN = 5  # bad lines that are told in full
TICK = 1000  # lines between two reports of progress


@dataclass
class Report:
    """lines: read. bad: of these, how many gave no record; shown: the first few (line number from 1, why).
    sent: records in the frames that were sent. outcome: what the server made of them."""

    lines: int = 0
    bad: int = 0
    sent: int = 0
    shown: list[tuple[int, str]] = field(default_factory=list)
    outcome: Outcome = field(default_factory=lambda: Outcome(None, None))


def encode(entry: Entry) -> tuple[bytes, list[bytes]]:
    """An entry as (type, encoded records). Raises InvalidName, OverflowError."""
    type_, id_ = type_bytes(entry.type), id_bytes(entry.id)
    return type_, wire.encode_increment(id_, entry.delta, None if entry.member is None else member_bytes(entry.member))


def encode_member(type: bytes, id: bytes, member: bytes, ops: Iterable[int]) -> tuple[bytes, list[bytes]]:
    """A member as (type, a record for each of wire.SEEN, SAMPLE, HIT). Raises InvalidName."""
    type_, id_, who = type_bytes(type), id_bytes(id), member_bytes(member)
    return type_, [wire.encode_record(op, id_, 1, who) for op in ops]


def load(
    lines: Lines, parse: Parser, packer: Packer, sender: Sender, progress: Callable[[Report], None] | None = None
) -> Report:
    """Send what `lines` holds. progress: called now and then. Raises FastcountError if reading or sending fails."""
    report = Report()
    try:
        for line in lines:
            report.lines += 1
            if progress is not None and report.lines % TICK == 0:
                progress(report)
            if line == b"":
                continue
            try:
                if line is None:
                    raise LineError(f"it is longer than {MAX_LINE:,} bytes")
                type_, records = encode(parse(line))
            except (LineError, InvalidName, OverflowError) as error:
                report.bad += 1
                if len(report.shown) < SHOWN:
                    report.shown.append((report.lines, str(error)))
                continue
            for record in records:
                for frame in packer.put(type_, record):
                    sender.send(frame)
                    report.sent += frame.records
        for frame in packer.finish(end=True):
            sender.send(frame)
            report.sent += frame.records
        report.outcome = sender.finish(report.sent)
    finally:
        sender.close()
        lines.close()
    if progress is not None:
        progress(report)
    return report
