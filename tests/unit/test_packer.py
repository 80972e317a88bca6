"""The packer: frames are as full as they may be, complete, and say what was put."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from udp_peer import check_books, records

from fastcount import wire
from fastcount.errors import InvalidName
from fastcount.packer import Packer

NAMES = st.sampled_from(["a", "b", "content", "t" * 64])
IDS = st.one_of(st.text("xyzé", min_size=1, max_size=40), st.just("i" * 1023))
ROWS = st.tuples(
    NAMES,
    IDS,
    st.sampled_from([0, 1, -1, 300, wire.I64_MAX, wire.I64_MIN]),
    st.sampled_from([None, None, "u", "m" * 255]),
    st.sampled_from([None, None, 0, 1431857103000]),
)
KEY = (3, b"secret key of 24 bytes..")


def pack(packer, rows):
    out = []
    for type_, id_, delta, member, time in rows:
        out += packer.add(type_, id_, 1 if member else delta, member, time=time)
    return out + packer.finish()


@given(st.lists(ROWS, max_size=60), st.sampled_from([64, 100, 200, 1432, 65_507]), st.sampled_from([None, KEY]))
def test_all_records_come_out_in_order_in_frames_within_the_size(rows, max_size, key):
    packed = pack(Packer(max_size, source=7, key=key), rows)
    frames = [wire.decode(p.data, keys=dict([KEY]), require_signature=key is not None) for p in packed]
    check_books(frames)
    assert all(f.source == 7 for f in frames)
    assert [
        (r.type.decode(), r.id.decode(), r.delta, r.member and r.member.decode(), r.time) for r in records(frames)
    ] == [(t, i, 1 if m else d, m, time) for t, i, d, m, time in rows]
    for p, frame in zip(packed, frames, strict=True):
        assert p.records == len(frame.records) > 0
        assert len(p.data) <= max_size or (p.records == 1 and len(p.data) <= 1405)


def test_frames_are_filled():
    packer = Packer(1432, source=1)
    packed = pack(packer, [("content", str(100_000 + i), 1, None, None) for i in range(1000)])
    assert all(1432 - 7 < len(p.data) <= 1432 for p in packed[:-1])
    assert (packer.seq, packer.sent) == (len(packed), 1000)


def test_type_is_written_once_a_frame_for_neighbours():
    (frame,) = (wire.decode(p.data) for p in pack(Packer(), [("a", str(i), 1, None, None) for i in range(50)]))
    assert [c.kind for c in frame.controls] == [wire.TYPE]


def test_end_is_a_frame_of_its_own_that_counts_all_records():
    packer = Packer(source=1)
    packer.add("a", "x")
    data, end = packer.finish(end=True)
    assert (data.records, end.records) == (1, 0)
    frame = wire.decode(end.data)
    assert (frame.seq, frame.sent, frame.end, frame.records) == (1, 1, True, ())
    (again,) = packer.finish(end=True)
    assert wire.decode(again.data)[1:4] == (1, 2, 1)


def test_sources_differ():
    assert len({Packer().source for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (InvalidName, {"type": "", "id": "x"}),
        (InvalidName, {"type": "a b", "id": "x"}),
        (InvalidName, {"type": "a", "id": ""}),
        (InvalidName, {"type": "a", "id": "x" * 1024}),
        (InvalidName, {"type": "a", "id": "\n"}),
        (InvalidName, {"type": "a", "id": "\ud800"}),
        (InvalidName, {"type": "a", "id": b"\xff"}),
        (InvalidName, {"type": "a", "id": 5}),
        (InvalidName, {"type": "a", "id": "x", "member": ""}),
        (InvalidName, {"type": "a", "id": "x", "op": wire.SEEN}),
        (OverflowError, {"type": "a", "id": "x", "delta": 1 << 63}),
        (OverflowError, {"type": "a", "id": "x", "time": 1 << 63}),
        (ValueError, {"type": "a", "id": "x", "delta": 2, "member": "m"}),
        (ValueError, {"type": "a", "id": "x", "op": wire.INC, "delta": 2}),
        (ValueError, {"type": "a", "id": "x", "op": wire.ADD, "member": "m"}),
        (ValueError, {"type": "a", "id": "x", "op": 6}),
    ],
)
def test_what_is_refused_leaves_no_trace(error, arguments):
    packer = Packer(source=1)
    packer.add("a", "before")
    with pytest.raises(error):
        packer.add(**arguments)
    packer.add("a", "after")
    (packed,) = packer.finish()
    assert [r.id for r in wire.decode(packed.data).records] == [b"before", b"after"]


@pytest.mark.parametrize(
    "options", [{"max_size": 63}, {"max_size": (1 << 20) + 1}, {"key": (1, b"short")}, {"key": (256, b"k" * 16)}]
)
def test_options_are_checked(options):
    with pytest.raises(ValueError):
        Packer(**options)
