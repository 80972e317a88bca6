"""The HyperLogLog by itself: forms, switches, deltas, Redis strings that must be refused."""

import random

import pytest

from fastcount.errors import SketchError
from fastcount.native.hyperloglog import HyperLogLog, item_register, murmur64a, preimage, read_redis
from twin import hll as twin

FAR = 1 << 31
PLAIN = 3 << 30


def filled(n: int, seed: int = 1) -> HyperLogLog:
    sketch = HyperLogLog()
    numbers = random.Random(seed)
    for _ in range(n):
        sketch.add_hash(numbers.getrandbits(64))
    return sketch


def test_murmur_of_every_length_up_to_three_blocks() -> None:
    numbers = random.Random(2)
    for n in range(25):
        for data in (bytes(n), bytes([255]) * n, numbers.randbytes(n), numbers.randbytes(n)):
            assert murmur64a(data) == twin.murmur64a(data), n
    assert murmur64a(b"x" * 255) == twin.murmur64a(b"x" * 255)
    assert murmur64a(memoryview(b"abcd")[1:3]) == murmur64a(bytearray(b"bc")) == murmur64a(b"bc")
    with pytest.raises(TypeError):
        murmur64a("text")  # type: ignore[arg-type]


def test_preimage_of_every_register_and_rank() -> None:
    for rank in (1, 2, 17, 18, 49, 50, 51):
        for register in range(0, 16384, 13):
            assert twin.place(twin.murmur64a(preimage(register, rank))) == (register, rank)
    for rank in range(1, 52):
        sketch = HyperLogLog()
        assert sketch.add(preimage(16383, rank))
        assert [i for i in enumerate(sketch.registers()) if i[1]] == [(16383, rank)]


@pytest.mark.parametrize(("register", "rank"), [(16384, 1), (0, 0), (0, 52)])
def test_preimage_refuses(register: int, rank: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 16383, 1 to 51"):
        preimage(register, rank)


def test_forms_and_their_switch_points() -> None:
    sketch = HyperLogLog()
    assert (sketch.form, sketch.count(), sketch.redis_count(), sketch.error) == ("empty", 0, 0, 0.0)
    for i in range(1, 1793):
        assert sketch.add(b"%d" % i)
        assert not sketch.add(b"%d" % i)
        assert sketch.count() == i
    assert (sketch.form, sketch.error) == ("exact", 0.0)
    assert sketch.add(b"one more")
    assert (sketch.form, sketch.error) == ("dense", 1.04 / 128)
    assert sketch.count() == sketch.redis_count() == twin.estimate(list(sketch.registers()))


def test_registers_alone_are_held_sparse_until_they_are_many() -> None:
    sketch = HyperLogLog()
    for register in range(1792):
        assert sketch.merge_items([PLAIN | 2 << 14 | register])
    assert sketch.form == "sparse"
    assert not sketch.merge_items([PLAIN | 1 << 14 | 7])
    assert sketch.merge_items([PLAIN | 3 << 14 | 7])
    assert sketch.merge_items([PLAIN | 1 << 14 | 9000])
    assert sketch.form == "dense"
    assert sketch.registers() == bytes([2] * 7 + [3] + [2] * 1784) + bytes(9000 - 1792) + b"\1" + bytes(16383 - 9000)


def test_what_was_told_as_registers_is_no_longer_exact_in_either_order() -> None:
    for first, second in ((filled(50), HyperLogLog.from_redis(filled(9, 3).to_redis())),) * 2:
        a, b = HyperLogLog(), HyperLogLog()
        a.merge(first), a.merge(second)
        b.merge(second), b.merge(first)
        assert a.form == b.form == "sparse"
        assert a.count() == b.count() == a.redis_count()
        assert a.registers() == b.registers()


def test_memory_stays_within_what_the_docs_say() -> None:
    for members, bound in ((0, 48), (3, 80), (10, 112), (100, 656), (1000, 6592), (1792, 8776)):
        assert filled(members).memory <= bound, members
    sketch = filled(100_000)
    sketch.drain()
    assert sketch.memory <= 12_400


def test_an_add_takes_no_more_memory_than_it_said_and_a_drain_gives_back() -> None:
    sketch = HyperLogLog()
    numbers = random.Random(6)
    grown = 0
    for i in range(4000):
        before, cost, gen = sketch.memory, sketch.cost(i % 2), i % 2
        sketch.add_hash(numbers.getrandbits(64), gen)
        assert sketch.memory - before <= cost
        grown += sketch.memory > before
        assert cost or sketch.memory == before
    assert grown > 15
    full = sketch.memory
    sketch.drain(0), sketch.drain(1)
    assert full - sketch.memory >= 2 * 2048


def test_a_drain_gives_each_change_once_and_exactness_survives_it() -> None:
    sketch, copy = filled(1500), HyperLogLog()
    items = sketch.drain()
    assert len(items) == len(set(items)) == 1500
    assert sketch.drain() == []
    copy.merge_items(items)
    assert (copy.form, copy.count(), copy.registers()) == ("exact", 1500, sketch.registers())


def test_marks_survive_growth_and_every_change_of_form() -> None:
    sketch, shipped = HyperLogLog(), HyperLogLog()
    numbers = random.Random(5)
    for i in range(4000):
        sketch.add_hash(numbers.getrandbits(64), i % 2)
        if i == 700:
            sketch.merge_items([PLAIN | 51 << 14 | 3], 1)
            assert sketch.form == "sparse"
    assert sketch.form == "dense"
    shipped.merge_items(sketch.drain(0))
    assert shipped.registers() != sketch.registers()
    shipped.merge_items(sketch.drain(1))
    assert shipped.registers() == sketch.registers()
    assert sketch.drain(0) == sketch.drain(1) == []


@pytest.mark.parametrize("before", [0, 3000])
def test_work_that_the_other_generation_did_is_shipped_with_both(before: int) -> None:
    """Else a frame could be acked with a batch that does not hold what it added."""
    sketch = filled(before)
    sketch.drain()
    member = preimage(5, 40)
    assert sketch.add(member, 1)
    assert sketch.add(member, 0)
    assert not sketch.add(member, 0)
    assert [item_register(item) for item in sketch.drain(0)] == [(5, 40)]
    assert [item_register(item) for item in sketch.drain(1)] == [(5, 40)]
    assert not sketch.add(member, 0)


def test_a_merge_under_the_other_generation_is_shipped_with_both() -> None:
    sketch, other = HyperLogLog(), filled(4000)
    sketch.merge(other, 0)
    sketch.merge(other, 1)
    assert sketch.drain(0) == sketch.drain(1) != []


@pytest.mark.parametrize(
    "item",
    [0, 16383, FAR | 17 << 14, FAR | 52 << 14, PLAIN, PLAIN | 52 << 14, PLAIN | 1 << 14 | 1 << 20, 2**32 - 1],
)
def test_what_is_no_item_is_refused_before_anything_changes(item: int) -> None:
    sketch = HyperLogLog()
    with pytest.raises(ValueError, match="is not an item"):
        sketch.merge_items([PLAIN | 1 << 14, item])
    with pytest.raises(ValueError, match="is not an item"):
        item_register(item)
    assert sketch.form == "empty"


def test_arguments_out_of_range() -> None:
    sketch = HyperLogLog()
    for gen in (-1, 2):
        for call in (lambda: sketch.add(b"x", gen), lambda: sketch.drain(gen), lambda: sketch.merge(sketch, gen)):  # noqa: B023
            with pytest.raises(ValueError, match="expected 0 or 1"):
                call()
    with pytest.raises(ValueError, match="expected 16384"):
        sketch.merge_registers(bytes(16383))
    with pytest.raises(ValueError, match="register 3 is 52"):
        sketch.merge_registers(bytes([0, 0, 0, 52]) + bytes(16380))
    with pytest.raises(ValueError, match="expected 'auto', 'sparse' or 'dense'"):
        sketch.to_redis(encoding="runs")  # type: ignore[arg-type]
    assert sketch.form == "empty"


def header(encoding: int = 1) -> bytes:
    return b"HYLL" + bytes([encoding]) + bytes(11)


EMPTY = header() + b"\x7f\xff"


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (b"", 0, "too early"),
        (b"HY", 2, "too early"),
        (b"hyll", 0, "HYLL"),
        (b"HYLX" + EMPTY[4:], 0, "HYLL"),
        (b"HX", 0, "HYLL"),
        (EMPTY[:15], 15, "too early"),
        (header(2) + b"\x7f\xff", 4, "unknown encoding"),
        (b"HYLL\x01\x00\x01" + EMPTY[7:], 6, "reserved"),
        (header(), 16, "too early"),
        (header() + b"\x7f", 17, "too early"),
        (header() + b"\x7f\xfe", 18, "too early"),
        (EMPTY + b"\x00", 18, "past register"),
        (EMPTY + b"\x40", 19, "too early"),
        (header() + b"\x00" + b"\x7f\xff", 17, "past register"),
        (header() + b"\x7f\xfd" + b"\x80" + b"\x83", 19, "past register"),
        (header(0), 16, "too early"),
        (header(0) + bytes(12287), 12303, "too early"),
        (header(0) + bytes(12289), 12304, "longer"),
        (header(0) + bytes(12285) + b"\x00\x00\xd0", 16 + 12287, "above 51"),
        (header(0) + b"\x34" + bytes(12287), 16, "above 51"),
    ],
)
def test_malformed_strings_are_refused_with_an_offset(data: bytes, offset: int, message: str) -> None:
    for read in (HyperLogLog.from_redis, read_redis):
        with pytest.raises(SketchError, match=message) as caught:
            read(data)
        assert caught.value.offset == offset
        assert f"(at byte {offset})" in str(caught.value)
    assert twin.parse(data) is None


def test_the_header_of_a_string() -> None:
    sketch = filled(1792)
    assert read_redis(sketch.to_redis()) == (sketch.registers(), 1792)
    assert read_redis(sketch.to_redis(cached=False)) == (sketch.registers(), None)
    lying = twin.sparse([1] + [0] * 16383, 12345)
    assert read_redis(lying)[1] == 12345
    assert HyperLogLog.from_redis(lying).count() == 1


def test_sparse_where_it_fits_redis_limit_and_dense_where_not() -> None:
    assert len(filled(1000).to_redis()) <= 3000
    assert filled(1000).to_redis()[4] == 1
    assert len(filled(1792).to_redis()) == 12304
    assert filled(1792).to_redis(encoding="sparse")[4] == 1
    high = HyperLogLog()
    high.add(preimage(0, 33))
    assert high.to_redis()[4] == 0
    with pytest.raises(ValueError, match="no sparse form"):
        high.to_redis(encoding="sparse")


def test_full_registers_do_not_overflow() -> None:
    sketch = HyperLogLog()
    sketch.merge_registers(bytes([51]) * 16384)
    assert sketch.count() == 2**63 - 1 == twin.estimate([51] * 16384)
