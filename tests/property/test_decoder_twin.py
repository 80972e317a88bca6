"""The native decoder against `fastcount.wire`: for any bytes the same verdict, at the same byte."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastcount import wire
from fastcount._core import Store
from fastcount.errors import FrameError
from twin import frames
from twin import strategies as draw

many = settings(max_examples=10 * settings.default.max_examples)

# One for all examples: a frame that is refused leaves no trace, and one that is legal is not compared with the last.
store = Store(shards=1, max_sources=16)


def fault_of(data: bytes) -> tuple[str, int] | int:
    """(code, offset), or the number of records."""
    try:
        return len(wire.decode(data).records)
    except FrameError as error:
        return error.code, error.offset


def check(data: bytes) -> None:
    expected = fault_of(data)
    before = store.stats()
    if isinstance(expected, int):
        assert store.apply(data).records == expected
        return
    with pytest.raises(FrameError) as caught:
        store.apply(data)
    assert (caught.value.code, caught.value.offset) == expected
    after = store.stats()
    for part in ("counters", "types", "records", "sketches", "saturated", "memory_bytes", "frames", "verdicts"):
        assert after[part] == before[part], "nothing is half applied"
    malformed = {**before["malformed"], expected[0]: before["malformed"][expected[0]] + 1}
    assert after["malformed"] == malformed


legal = st.one_of(draw.plain, draw.sequenced(draw.bodies()), draw.wide)


@many
@given(legal)
def test_legal_frames(data: bytes) -> None:
    assert isinstance(fault_of(data), int) or fault_of(data)[0] == "sent"
    check(data)


@many
@given(draw.broken(legal))
def test_broken_frames(data: bytes) -> None:
    check(data)


@many
@given(draw.broken(st.just(frames.header() + frames.type_record(b"t"))), st.lists(draw.pieces, max_size=4))
def test_wrong_pieces(data: bytes, pieces: list[bytes]) -> None:
    check(data + b"".join(pieces))


@many
@given(st.binary(max_size=300))
@example(b"")
@example(b"\xfc")
@example(b"\xfc\x01")
@example(b"\xfc\x02")
@example(b"\xfc\x02\x00rest")
def test_any_bytes(data: bytes) -> None:
    check(data)
    for flags in range(5):
        check(frames.header(flags=flags) + data)
    check(frames.header() + frames.type_record(b"t") + data)


@many
@given(st.integers(0, 255), st.lists(st.sampled_from([b"\x80", b"\x00", b"\x01", b"\x7f", b"\xff"]), max_size=11))
def test_every_op_and_length(first: int, rest: list[bytes]) -> None:
    check(frames.header() + frames.type_record(b"t") + bytes((first,)) + b"".join(rest))


@pytest.mark.parametrize("op", [frames.INC, frames.ADD, frames.SEEN, frames.SAMPLE, frames.HIT])
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 127, 128, 1022, 1023, 1024, 4096])
def test_every_id_length(op: int, size: int) -> None:
    start = frames.header() + frames.type_record(b"t")
    for id in (b"x" * size, "é".encode() * (size // 2) + b"x" * (size % 2), b"x" * (size - 1) + b"\x1f"):
        record = frames.record(op, id, member=b"m" * (size % 256))
        check(start + record)
        check(start + record + record[:-1])


@pytest.mark.parametrize("at", range(40))
def test_one_bad_byte_anywhere_in_an_id(at: int) -> None:
    """Vector code looks at ids in blocks; the fault may be in any lane."""
    start = frames.header() + frames.type_record(b"t")
    for bad in (
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"\x80",
        b"\xbf",
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\xe0",
        b"\xed",
        b"\xf0",
        b"\xff",
    ):
        check(start + frames.record(frames.INC, b"x" * at + bad + b"y" * (39 - at)))


@pytest.mark.parametrize("code", [*range(0x70, 0xC0), 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF])
def test_code_points_at_the_edges(code: int) -> None:
    start = frames.header() + frames.type_record(b"t")
    text = chr(code).encode()
    check(start + frames.record(frames.INC, text) + frames.record(frames.HIT, b"a", member=text))
    for cut in range(1, len(text)):
        check(start + frames.record(frames.INC, text[:cut] + b"x") + b"!a")


@pytest.mark.parametrize(
    "text",
    [
        b"\xc0\xaf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88",
    ],
)
def test_overlong_surrogates_and_beyond(text: bytes) -> None:
    check(frames.header() + frames.type_record(b"t") + frames.record(frames.INC, text))


def test_size_limit() -> None:
    start = frames.header() + frames.type_record(b"t")
    records, rest = divmod(wire.MAX_FRAME - len(start), 2)
    largest = start + b"!a" * (records - rest) + b'"ab' * rest
    assert len(largest) == wire.MAX_FRAME
    check(largest)
    check(largest[:-1])
    check(largest + b"!")
    check(largest + b"!a")
    check(b"\0" * (wire.MAX_FRAME + 1))


def test_buffers_of_any_kind() -> None:
    data = frames.incs(b"t", [b"a"])
    assert store.apply(bytearray(data)) == store.apply(memoryview(data)) == ("applied", 1, 0)
    assert store.apply(memoryview(b"xx" + data)[2:]) == ("applied", 1, 0)
    with pytest.raises(BufferError):
        store.apply(memoryview(data * 2)[::2])
    with pytest.raises(TypeError):
        store.apply("text")
