"""The wire format, version 1, in plain Python: what clients use without a compiler, and the oracle of the tests.

Every byte is described in docs/wire-format.md. There is one encoding per frame content: `decode` refuses any other,
so `encode(decode(x)) == x` for every legal frame.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from fastcount.errors import FrameError
from fastcount.names import MAX_ID, MAX_TYPE, id_bytes, member_bytes, type_bytes, valid_text, valid_type

# Why a frame is refused; the position is the number that the native decoder gives it.
ERRORS: Final = (
    "magic", "version", "flags", "truncated", "varint", "reserved", "no_type",
    "type", "id", "member", "end", "sent", "oversize", "signature",
)  # fmt: skip

MAGIC: Final = 0xFC
VERSION: Final = 1
SEQUENCED: Final = 1
SIGNED: Final = 2

CONTROL: Final = 0
INC: Final = 1
ADD: Final = 2
SEEN: Final = 3
SAMPLE: Final = 4
HIT: Final = 5

TYPE: Final = 1
TIME: Final = 2
END: Final = 3

MAX_FRAME: Final = 1 << 20  # over TCP and HTTP
MAX_DATAGRAM: Final = 65_507  # what fits into one UDP datagram over IPv4
MAX_SENT: Final = 1 << 53
I64_MIN: Final = -(1 << 63)
I64_MAX: Final = (1 << 63) - 1
U64_MAX: Final = (1 << 64) - 1
TAG_SIZE: Final = 16
TRAILER_SIZE: Final = 1 + TAG_SIZE


class Record(NamedTuple):
    """A data record with what the controls before it say. op: INC, ADD, SEEN, SAMPLE or HIT.

    delta: what is added to the total, signed 64-bit: 1 for INC and HIT, 0 for SEEN and SAMPLE.
    time: Unix milliseconds, signed 64-bit, or None for the time of arrival.
    """

    op: int
    type: bytes
    id: bytes
    delta: int = 1
    member: bytes | None = None
    time: int | None = None


class Control(NamedTuple):
    """A control record. at: index of the data record that follows it (their number, if none does).

    kind: TYPE, TIME or END. value: the type, the milliseconds, or None.
    """

    at: int
    kind: int
    value: bytes | int | None


class Frame(NamedTuple):
    """A decoded frame. source, seq, sent: None without SEQUENCED. key_id: None without SIGNED.

    `records` is all a reader needs; `controls` are kept so that `encode` gives back the very same bytes.
    """

    version: int
    source: int | None
    seq: int | None
    sent: int | None
    key_id: int | None
    records: tuple[Record, ...]
    controls: tuple[Control, ...]

    @property
    def end(self) -> bool:
        """Whether the frame closes with END."""
        return bool(self.controls) and self.controls[-1].kind == END


# Numbers


def encode_varint(value: int) -> bytes:
    """LEB128, shortest form. value: 0..2**64 - 1. Raises OverflowError."""
    if not 0 <= value <= U64_MAX:
        raise OverflowError(f"a varint holds 0 to 2**64 - 1, not {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, offset: int, end: int) -> tuple[int, int]:
    """Read a varint at `offset`, of the bytes before `end`. Returns (value, offset after it). Raises FrameError."""
    value = 0
    for i in range(10):
        if offset + i >= end:
            raise FrameError("truncated", offset)
        byte = data[offset + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if (byte == 0 and i > 0) or value > U64_MAX:
                break
            return value, offset + i + 1
    raise FrameError("varint", offset)


def zigzag(value: int) -> int:
    """Signed to unsigned, small magnitudes to small numbers: 0, -1, 1, -2 … to 0, 1, 2, 3 …. Raises OverflowError."""
    if not I64_MIN <= value <= I64_MAX:
        raise OverflowError(f"{value} is outside of signed 64-bit")
    return value << 1 if value >= 0 else ~(value << 1)


def unzigzag(value: int) -> int:
    """The inverse of `zigzag`. value: 0..2**64 - 1."""
    return value >> 1 if not value & 1 else ~(value >> 1)


# Signatures


def check_key(key_id: int, key: bytes) -> None:
    """key_id: 0..255; key: 16-64 bytes. Raises ValueError."""
    if not 0 <= key_id <= 255:
        raise ValueError(f"a key id is 0 to 255, not {key_id}")
    if not 16 <= len(key) <= 64:
        raise ValueError(f"a key is 16 to 64 bytes, not {len(key)}")


def sign(unsigned: bytes, key_id: int, key: bytes) -> bytes:
    """Append key id and tag to header and records. The header's flags must have SIGNED. Raises ValueError."""
    check_key(key_id, key)
    data = unsigned + bytes((key_id,))
    return data + hashlib.blake2b(data, digest_size=TAG_SIZE, key=key).digest()


def _verify(data: bytes, keys: Mapping[int, bytes]) -> int:
    at = len(data) - TRAILER_SIZE
    key = keys.get(data[at])
    if key is None:
        raise FrameError("signature", at)
    check_key(data[at], key)
    tag = hashlib.blake2b(data[:-TAG_SIZE], digest_size=TAG_SIZE, key=key).digest()
    if not hmac.compare_digest(tag, data[-TAG_SIZE:]):
        raise FrameError("signature", at + 1)
    return data[at]


# Decoding


def decode(
    frame: bytes | bytearray | memoryview,
    *,
    max_size: int = MAX_FRAME,
    keys: Mapping[int, bytes] | None = None,
    require_signature: bool = False,
) -> Frame:
    """Decode one frame whole.

    keys: key id to key (16-64 bytes); a signed frame is refused without the key it names. Raises FrameError with
    the code and offset that docs/wire-format.md gives: the first fault in byte order, at the start of its field.
    """
    data = bytes(frame)
    end = len(data)
    if end > max_size:
        raise FrameError("oversize", 0)
    for at, code, ok in ((0, "magic", MAGIC), (1, "version", VERSION)):
        if at >= end:
            raise FrameError("truncated", at)
        if data[at] != ok:
            raise FrameError(code, at)
    if end < 3:
        raise FrameError("truncated", 2)
    flags = data[2]
    if flags & ~(SEQUENCED | SIGNED):
        raise FrameError("flags", 2)

    key_id = None
    if flags & SIGNED:
        if end < 3 + TRAILER_SIZE:
            raise FrameError("truncated", 3)
        key_id = _verify(data, keys or {})
        end -= TRAILER_SIZE
    elif require_signature:
        raise FrameError("signature", 2)

    source = seq = sent = None
    pos = 3
    if flags & SEQUENCED:
        source, pos = int.from_bytes(_take(data, pos, end, 8), "little"), pos + 8
        seq, pos = decode_varint(data, pos, end)
        sent, after = decode_varint(data, pos, end)
        if sent > MAX_SENT:
            raise FrameError("sent", pos)
        pos = after
    records, controls = _decode_records(data, pos, end, source is not None)
    return Frame(VERSION, source, seq, sent, key_id, tuple(records), tuple(controls))


def _take(data: bytes, pos: int, end: int, size: int) -> bytes:
    if end - pos < size:
        raise FrameError("truncated", pos)
    return data[pos : pos + size]


def _decode_records(data: bytes, pos: int, end: int, sequenced: bool) -> tuple[list[Record], list[Control]]:
    records: list[Record] = []
    controls: list[Control] = []
    type_: bytes | None = None
    time: int | None = None
    while pos < end:
        op, n = data[pos] >> 5, data[pos] & 31
        if op == CONTROL and n == TYPE:
            type_, pos = _decode_type(data, pos + 1, end)
            controls.append(Control(len(records), TYPE, type_))
        elif op == CONTROL and n == TIME:
            value, pos = decode_varint(data, pos + 1, end)
            time = unzigzag(value)
            controls.append(Control(len(records), TIME, time))
        elif op == CONTROL and n == END:
            if not sequenced or pos + 1 != end:
                raise FrameError("end", pos)
            controls.append(Control(len(records), END, None))
            pos += 1
        elif op == CONTROL or op > HIT:
            raise FrameError("reserved", pos)
        elif type_ is None:
            raise FrameError("no_type", pos)
        else:
            id_, pos = _decode_id(data, pos + 1, end, n)
            delta, member = int(op in (INC, HIT)), None
            if op == ADD:
                value, pos = decode_varint(data, pos, end)
                delta = unzigzag(value)
            elif op != INC:
                member, pos = _decode_member(data, pos, end)
            records.append(Record(op, type_, id_, delta, member, time))
    return records, controls


def _decode_type(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
    size = _take(data, pos, end, 1)[0]
    if not 1 <= size <= MAX_TYPE:
        raise FrameError("type", pos)
    name = _take(data, pos + 1, end, size)
    if not valid_type(name):
        raise FrameError("type", pos + 1)
    return name, pos + 1 + size


def _decode_id(data: bytes, pos: int, end: int, n: int) -> tuple[bytes, int]:
    size = n
    if n == 0:
        size, after = decode_varint(data, pos, end)
        if size < 32:
            raise FrameError("varint", pos)  # it belongs into n
        if size > MAX_ID:
            raise FrameError("id", pos)
        pos = after
    name = _take(data, pos, end, size)
    if not valid_text(name):
        raise FrameError("id", pos)
    return name, pos + size


def _decode_member(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
    size = _take(data, pos, end, 1)[0]
    if size == 0:
        raise FrameError("member", pos)
    name = _take(data, pos + 1, end, size)
    if not valid_text(name):
        raise FrameError("member", pos + 1)
    return name, pos + 1 + size


# Encoding. These take names that are already checked (see names.py).


def encode_header(source: int | None = None, seq: int = 0, sent: int = 0, *, signed: bool = False) -> bytes:
    """The start of a frame; SEQUENCED if `source` (0..2**64 - 1) is given. Raises OverflowError."""
    flags = SIGNED if signed else 0
    if source is None:
        return bytes((MAGIC, VERSION, flags))
    if not 0 <= sent <= MAX_SENT:
        raise OverflowError(f"sent is 0 to 2**53, not {sent}")
    start = bytes((MAGIC, VERSION, flags | SEQUENCED)) + source.to_bytes(8, "little")
    return start + encode_varint(seq) + encode_varint(sent)


def encode_type(name: bytes) -> bytes:
    """The TYPE control."""
    return bytes((TYPE, len(name))) + name


def encode_time(unix_ms: int) -> bytes:
    """The TIME control. Raises OverflowError outside of signed 64-bit."""
    return bytes((TIME,)) + encode_varint(zigzag(unix_ms))


def encode_record(op: int, id: bytes, delta: int = 1, member: bytes = b"") -> bytes:
    """A data record. delta: for ADD only. member: for SEEN, SAMPLE and HIT only. Raises OverflowError."""
    size = len(id)
    head = bytes((op << 5 | size,)) + id if size < 32 else bytes((op << 5,)) + encode_varint(size) + id
    if op == INC:
        return head
    if op == ADD:
        return head + encode_varint(zigzag(delta))
    return head + bytes((len(member),)) + member


def encode_increment(id: bytes, delta: int, member: bytes | None) -> list[bytes]:
    """The data records that say "add `delta`, it was `member`" (None: nobody). A member is a HIT, which adds 1, and an
    ADD of the rest; with a delta of 0 nothing happened, and it is a SEEN and a SAMPLE. Raises OverflowError."""
    if member is None:
        return [encode_record(INC if delta == 1 else ADD, id, delta)]
    zigzag(delta)
    if delta == 0:
        return [encode_record(SEEN, id, 1, member), encode_record(SAMPLE, id, 1, member)]
    rest = [delta - 1] if delta != I64_MIN else [-1, delta]  # delta - 1 has no room
    return [encode_record(HIT, id, 1, member), *(encode_record(ADD, id, part) for part in rest if part)]


def build(
    records: Iterable[Record],
    *,
    source: int | None = None,
    seq: int = 0,
    sent: int = 0,
    end: bool = False,
    key: tuple[int, bytes] | None = None,
) -> bytes:
    """A frame of any size with TYPE and TIME written where they change. key: (key id, key).

    Raises InvalidName, OverflowError, and ValueError for what a frame cannot say.
    """
    parts = [encode_header(source, seq, sent, signed=key is not None)]
    type_: bytes | None = None
    time: int | None = None
    for record in records:
        if record.type != type_:
            type_ = type_bytes(record.type)
            parts.append(encode_type(type_))
        if record.time != time:
            if record.time is None:
                raise ValueError("a frame cannot go back from event time to arrival time; begin a new frame")
            time = record.time
            parts.append(encode_time(time))
        parts.append(_checked_record(record))
    if end:
        parts.append(_end(source))
    data = b"".join(parts)
    return sign(data, *key) if key else data


def encode(frame: Frame, *, keys: Mapping[int, bytes] | None = None) -> bytes:
    """The bytes that `decode` made `frame` from. keys: as for `decode`, wanted for a signed frame.

    Raises InvalidName, OverflowError, and ValueError if records and controls contradict each other.
    """
    parts = [encode_header(frame.source, frame.seq or 0, frame.sent or 0, signed=frame.key_id is not None)]
    type_: bytes | None = None
    time: int | None = None
    controls = iter(frame.controls)
    control = next(controls, None)
    for index in range(len(frame.records) + 1):
        while control is not None and control.at == index:
            if control.kind == END:
                parts.append(_end(frame.source))
            elif isinstance(control.value, bytes):
                type_ = type_bytes(control.value)
                parts.append(encode_type(type_))
            elif control.value is not None:
                time = control.value
                parts.append(encode_time(time))
            control = next(controls, None)
        if index < len(frame.records):
            record = frame.records[index]
            if (record.type, record.time) != (type_, time):
                raise ValueError(f"record {index} has a type or time that the controls before it do not give")
            parts.append(_checked_record(record))
    if control is not None:
        raise ValueError(f"control {control} is out of place")
    data = b"".join(parts)
    return data if frame.key_id is None else sign(data, frame.key_id, (keys or {})[frame.key_id])


def _checked_record(record: Record) -> bytes:
    member = b"" if record.op in (INC, ADD) else member_bytes(record.member or b"")
    if not INC <= record.op <= HIT:
        raise ValueError(f"op {record.op} is not a data record")
    if record.op != ADD and record.delta != int(record.op in (INC, HIT)):
        raise ValueError(f"op {record.op} cannot carry delta {record.delta}")
    return encode_record(record.op, id_bytes(record.id), record.delta, member)


def _end(source: int | None) -> bytes:
    if source is None:
        raise ValueError("END needs a sequenced frame")
    return bytes((END,))
