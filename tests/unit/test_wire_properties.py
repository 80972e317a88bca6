"""Properties of the codec: what is legal comes back the same, and everything else is refused in one way."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastcount import wire
from fastcount.errors import FrameError, InvalidName
from fastcount.names import MAX_ID, MAX_MEMBER, id_bytes, member_bytes, type_bytes

KEYS = {1: b"k" * 16, 2: bytes(range(64))}
I64 = st.integers(wire.I64_MIN, wire.I64_MAX)
U64 = st.integers(0, wire.U64_MAX)
TYPES = st.text("azAZ09_.-", min_size=1, max_size=64).map(str.encode)


def text(limit):
    characters = st.characters(exclude_categories=("Cc", "Cs"))
    return st.text(characters, min_size=1, max_size=limit).map(str.encode).filter(lambda s: len(s) <= limit)


IDS = st.one_of(text(12), text(MAX_ID), st.integers(1, MAX_ID).map(lambda n: b"x" * n))
MEMBERS = st.one_of(text(12), st.integers(1, MAX_MEMBER).map(lambda n: b"m" * n))


@st.composite
def records(draw):
    op = draw(st.integers(wire.INC, wire.HIT))
    delta = draw(I64) if op == wire.ADD else int(op in (wire.INC, wire.HIT))
    member = None if op in (wire.INC, wire.ADD) else draw(MEMBERS)
    return op, draw(IDS), delta, member


@st.composite
def frames(draw):
    """Legal frames with controls anywhere, wanted or not."""
    sequenced, key_id = draw(st.booleans()), draw(st.sampled_from([None, 1, 2]))
    rows: list[wire.Record] = []
    controls: list[wire.Control] = []
    type_ = time = None
    for _ in range(draw(st.integers(0, 8))):
        what = draw(st.sampled_from(("type", "time", "record", "record", "record")))
        if what == "time":
            time = draw(I64)
            controls.append(wire.Control(len(rows), wire.TIME, time))
        elif what == "type" or type_ is None:
            type_ = draw(TYPES)
            controls.append(wire.Control(len(rows), wire.TYPE, type_))
        else:
            op, id_, delta, member = draw(records())
            rows.append(wire.Record(op, type_, id_, delta, member, time))
    if sequenced and draw(st.booleans()):
        controls.append(wire.Control(len(rows), wire.END, None))
    header = (draw(U64), draw(U64), draw(st.integers(0, wire.MAX_SENT))) if sequenced else (None, None, None)
    return wire.Frame(1, *header, key_id, tuple(rows), tuple(controls))


def decode(data):
    """The frame, or None where it was refused properly."""
    try:
        return wire.decode(data, keys=KEYS)
    except FrameError as error:
        refusal = error
    assert refusal.code in wire.ERRORS
    assert 0 <= refusal.offset <= len(data)
    return None


def decodes_canonically_or_is_refused(data):
    frame = decode(data)
    if frame is not None:
        assert wire.encode(frame, keys=KEYS) == data


@given(frames())
def test_decode_undoes_encode(frame):
    assert wire.decode(wire.encode(frame, keys=KEYS), keys=KEYS) == frame


@given(frames())
def test_build_says_the_same_records(frame):
    times = [r.time for r in frame.records]
    if None in times[times.count(None) :]:
        return  # not reachable: a frame never goes back to arrival time
    data = wire.build(frame.records, source=frame.source, seq=frame.seq or 0, sent=frame.sent or 0, end=frame.end)
    assert wire.decode(data)._replace(controls=(), key_id=None) == frame._replace(controls=(), key_id=None)
    assert len(data) <= len(wire.encode(frame._replace(key_id=None)))


@given(frames(), st.data())
def test_mutated_frames(frame, data):
    raw = bytearray(wire.encode(frame, keys=KEYS))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        kind = data.draw(st.sampled_from(("flip", "set", "insert", "delete")))
        if kind == "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "set":
            raw[at] = data.draw(st.sampled_from([0x00, 0x01, 0x7F, 0x80, 0xC0, 0xED, 0xFF]))
        elif kind == "insert":
            raw.insert(at, data.draw(st.integers(0, 255)))
        elif len(raw) > 1:
            del raw[at]
    decodes_canonically_or_is_refused(bytes(raw))


@given(frames())
def test_a_cut_frame_is_refused_within_what_is_left(frame):
    data = wire.encode(frame._replace(key_id=None))
    for size in range(len(data)):
        decodes_canonically_or_is_refused(data[:size])


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\xfc", b"\xfc\x01\x00", b"\xfc\x01\x01", b"\xfc\x01\x00\x01\x01c"])
)
@example(b"\x00" * 65_536, b"\xfc\x01\x00")
@settings(max_examples=300)
def test_any_bytes(body, start):
    decodes_canonically_or_is_refused(start + body)


@given(frames(), st.integers(0, 7))
def test_one_wrong_bit_breaks_a_signature(frame, bit):
    data = bytearray(wire.encode(frame._replace(key_id=1), keys=KEYS))
    for at in range(3, len(data)):
        data[at] ^= 1 << bit
        assert decode(bytes(data)) is None
        data[at] ^= 1 << bit


@given(U64)
def test_varint(value):
    data = wire.encode_varint(value)
    assert wire.decode_varint(data, 0, len(data)) == (value, len(data))
    assert len(data) == max(1, -(-value.bit_length() // 7))


@given(I64)
def test_zigzag(value):
    assert wire.unzigzag(wire.zigzag(value)) == value
    assert wire.zigzag(value) == ((value << 1) ^ (value >> 63)) & wire.U64_MAX


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80), st.text(min_size=250, max_size=260)))
def test_names_are_legal_exactly_where_the_decoder_takes_them(name):
    raw = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else name
    size = len(raw)
    id_head = bytes((0x20 | size,)) if 0 < size < 32 else b"\x20" + wire.encode_varint(size)
    for check, frame in (
        (id_bytes, b"\xfc\x01\x00\x01\x01c" + id_head + raw),
        (member_bytes, b"\xfc\x01\x00\x01\x01c\x61a" + bytes((size % 256,)) + raw),
        (type_bytes, b"\xfc\x01\x00\x01" + bytes((size % 256,)) + raw),
    ):
        sayable = check is id_bytes or size < 256  # a longer one has no length byte
        assert is_legal(check, name, raw) == (sayable and decode(frame) is not None)


def is_legal(check, name, raw):
    try:
        return check(name) == raw
    except InvalidName:
        return False


@given(I64 | st.sampled_from([wire.I64_MIN, wire.I64_MIN + 1, -1, 0, 1, 2, wire.I64_MAX]), st.none() | st.just(b"m"))
def test_an_increment_is_its_records(delta: int, member: bytes | None) -> None:
    encoded = wire.encode_increment(b"a", delta, member)
    frame = wire.decode(wire.encode_header() + wire.encode_type(b"t") + b"".join(encoded))
    assert len(frame.records) == len(encoded)
    assert sum(record.delta for record in frame.records if record.op in (wire.INC, wire.ADD, wire.HIT)) == delta
    named = [record.op for record in frame.records if record.member]
    assert named == ([] if member is None else [wire.HIT] if delta else [wire.SEEN, wire.SAMPLE])


@pytest.mark.parametrize("delta", [wire.I64_MIN - 1, wire.I64_MAX + 1, 1 << 70])
@pytest.mark.parametrize("member", [None, b"m"])
def test_no_increment_of_more_than_64_bits(delta: int, member: bytes | None) -> None:
    with pytest.raises(OverflowError):
        wire.encode_increment(b"a", delta, member)
