"""What the property tests draw from: names, records, frames, and ways to break them."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from twin import frames

T = TypeVar("T")
I64_MIN, I64_MAX = -(1 << 63), (1 << 63) - 1

# Few names, so that they meet again; some from every corner of what is legal.
types = st.sampled_from([b"hits", b"hits", b"hits", b"a", b"content.views", b"T" * 64, b"0-_."])
_corner_ids = [
    b"a",
    b"b" * 7,
    b"c" * 8,
    b"d" * 9,
    b"e" * 31,
    b"f" * 32,
    b"g" * 127,
    b"h" * 128,
    b"i" * 1023,
    b"/x?a=1,{2}%20",
    "Zürich".encode(),
    "ключ/値".encode(),
    "\U0001f600".encode() * 8,
    ("é" * 511 + "x").encode(),
    b" ",
    "\ue000\ufffd\u2028".encode(),
]
_often = st.sampled_from([b"0", b"1", b"c" * 8])
ids = st.one_of(_often, _often, st.sampled_from([b"%d" % i for i in range(12)]), st.sampled_from(_corner_ids))
members = st.sampled_from([b"u", b"user_7", b"m" * 255, "ü".encode()])
deltas = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([I64_MAX, I64_MIN, I64_MAX - 1, I64_MIN + 1, 1 << 62, -(1 << 62), 63, 64, -64, -65]),
    st.integers(I64_MIN, I64_MAX),
)


@st.composite
def records(draw: Callable[[st.SearchStrategy[T]], T]) -> bytes:
    """One data record."""
    op = draw(st.sampled_from([frames.INC, frames.ADD, frames.ADD, frames.HIT, frames.SEEN, frames.SAMPLE]))
    return frames.record(op, draw(ids), delta=draw(deltas), member=draw(members))


times = st.one_of(st.integers(I64_MIN, I64_MAX), st.integers(0, 1 << 41)).map(frames.time_record)


@st.composite
def bodies(draw: Callable[[st.SearchStrategy[T]], T], max_groups: int = 4) -> tuple[bytes, int]:
    """Records of several types with controls between them, and how many of them are data records."""
    out: list[bytes] = []
    n = 0
    for _ in range(draw(st.integers(0, max_groups))):
        out.append(frames.type_record(draw(types)))
        if draw(st.booleans()):
            out.append(draw(times))
        group = draw(st.lists(records(), max_size=6))
        out += group
        n += len(group)
    return b"".join(out), n


# Enough ids to have some in each shard.
wide = st.builds(
    lambda first, count, step: frames.incs(b"wide", [b"w%d" % (first + i * step) for i in range(count)]),
    st.integers(0, 50),
    st.integers(1, 200),
    st.integers(0, 3),
)
plain = bodies().map(lambda body: frames.header() + body[0])


def _cut(frame: bytes, at: int) -> bytes:
    return frame[: at % (len(frame) + 1)]


def _flip(frame: bytes, at: int, bits: int) -> bytes:
    at %= len(frame)
    return frame[:at] + bytes((frame[at] ^ bits,)) + frame[at + 1 :]


def _insert(frame: bytes, at: int, data: bytes) -> bytes:
    at %= len(frame) + 1
    return frame[:at] + data + frame[at:]


def _remove(frame: bytes, at: int, size: int) -> bytes:
    at %= len(frame)
    return frame[:at] + frame[at + size :]


places = st.integers(0, 1 << 16)
# Pieces that are wrong somewhere and right elsewhere: overlong varints, reserved ops, bad UTF-8, controls.
pieces = st.one_of(
    st.sampled_from(
        [
            b"\x80\x00",
            b"\xff" * 10,
            b"\xff" * 9 + b"\x01",
            b"\xff" * 9 + b"\x02",
            b"\x80" * 10 + b"\x01",
            b"\x00",
            b"\x03",
            b"\x04",
            b"\xc1a",
            b"\xe0",
            b"\x01\x00",
            b"\x01\x41" + b"t" * 65,
            b"\x01\x02a ",
            b"\x21\x00",
            b"\x21\x1f",
            b"\x21\x7f",
            b"\x22\xc2\x85",
            b"\x22\xc0\xaf",
            b"\x23\xed\xa0\x80",
            b"\x24\xf4\x90\x80\x80",
            b"\x22\xc3\x28",
            b"\x21\xc3",
            b"\x20\x1f" + b"x" * 31,
            b"\x20\x80\x08" + b"x" * 1024,
            b"\x20\xa0\x00" + b"x" * 32,
            b"\x20\x00",
            b"\x61a\x00",
            b"\xa1a\x02\xff\xfe",
            b"\xa1a\x01\n",
            b"\x41a" + b"\xff" * 9 + b"\x01",
            b"\x41a" + b"\xff" * 9 + b"\x03",
            b"\x02\xff",
        ]
    ),
    st.binary(max_size=12),
)


def broken(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Frames changed somewhere: most are malformed, some are still legal."""
    change = st.one_of(
        st.builds(lambda at: lambda f: _cut(f, at), places),
        st.builds(lambda at, bits: lambda f: _flip(f, at, bits), places, st.integers(1, 255)),
        st.builds(lambda at, data: lambda f: _insert(f, at, data), places, pieces),
        st.builds(lambda at, size: lambda f: _remove(f, at, size), places, st.integers(1, 4)),
        st.builds(lambda data: lambda f: f + data, pieces),
    )
    return st.builds(lambda frame, changes: _all(frame, changes), whole, st.lists(change, min_size=1, max_size=3))


def _all(frame: bytes, changes: list[Callable[[bytes], bytes]]) -> bytes:
    for change in changes:
        frame = change(frame) if frame else frame
    return frame


def sequenced(body: st.SearchStrategy[tuple[bytes, int]]) -> st.SearchStrategy[bytes]:
    """Frames with SEQUENCED and any numbers, END at times."""
    numbers = st.one_of(st.integers(0, 5), st.integers(0, (1 << 64) - 1), st.sampled_from([1 << 53, (1 << 53) + 1]))
    return st.builds(
        lambda source, seq, sent, body, end: frames.header(source, seq, sent) + body[0] + frames.END_RECORD * end,
        st.integers(0, (1 << 64) - 1),
        numbers,
        numbers,
        body,
        st.booleans(),
    )
