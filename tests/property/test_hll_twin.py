"""The HyperLogLog against its slow twin, and the laws a CRDT lives by."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount.errors import SketchError
from fastcount.native.hyperloglog import HyperLogLog, item_register, murmur64a, portable, preimage
from twin import hll as twin

# a few registers and ranks, so that draws meet; and bytes of any kind
made_up = st.builds(preimage, st.sampled_from([0, 1, 2, 63, 64, 8191, 16382, 16383]), st.integers(1, 51))
members = st.lists(made_up | st.binary(min_size=1, max_size=20), max_size=60)
# what was there before, so that every form and its switch is met
sizes = st.sampled_from([0, 0, 3, 1740, 1792, 2500])


def sketch_of(added: list[bytes], before: int = 0, seed: int = 0) -> HyperLogLog:
    sketch = HyperLogLog()
    numbers = random.Random(seed)
    for _ in range(before):
        sketch.add_hash(numbers.getrandbits(64))
    for member in added:
        sketch.add(member)
    return sketch


@st.composite
def sketches(draw: st.DrawFn) -> HyperLogLog:
    sketch = sketch_of(draw(members), draw(sizes), draw(st.integers(0, 3)))
    return HyperLogLog.from_redis(sketch.to_redis()) if draw(st.booleans()) else sketch


def state(sketch: HyperLogLog) -> tuple[bytes, int, int, bool]:
    """Not the form: registers alone may be held sparse or dense, by the way they came."""
    return sketch.registers(), sketch.count(), sketch.redis_count(), sketch.form in ("empty", "exact")


def union(*parts: HyperLogLog) -> HyperLogLog:
    whole = HyperLogLog()
    for part in parts:
        whole.merge(part)
    return whole


@given(members, st.randoms(use_true_random=False))
def test_adds_in_any_order_give_the_twins_registers(added: list[bytes], order: random.Random) -> None:
    sketch, slow = HyperLogLog(), twin.Hll()
    for member in added:
        before = slow.registers.copy()
        changed = slow.add(member)
        assert sketch.add(member) or not changed
        assert murmur64a(member) == twin.murmur64a(member)
        assert changed == (before != slow.registers)
    assert list(sketch.registers()) == slow.registers
    assert sketch.count() == len({murmur64a(m) for m in added})
    assert sketch.redis_count() == slow.estimate()
    order.shuffle(added)
    assert state(sketch_of(added)) == state(sketch)


@given(sketches(), sketches(), sketches())
def test_merging_is_commutative_associative_and_idempotent(a: HyperLogLog, b: HyperLogLog, c: HyperLogLog) -> None:
    assert state(union(a, b)) == state(union(b, a))
    assert state(union(union(a, b), c)) == state(union(a, union(b, c)))
    assert state(union(a, a)) == state(a)
    assert state(union(a, b, b, a)) == state(union(a, b))
    assert union(a, b).registers() == bytes(map(max, a.registers(), b.registers()))
    assert union(a, b).redis_count() == twin.estimate(list(union(a, b).registers()))


@given(sketches(), sketches())
def test_merge_reports_exactly_what_rose(a: HyperLogLog, b: HyperLogLog) -> None:
    whole = union(a)
    whole.drain()
    exact = whole.form in ("empty", "exact") and b.form in ("empty", "exact")
    changed = whole.merge(b)
    items = whole.drain()
    assert changed == bool(items)
    rose = {i for i, (x, y) in enumerate(zip(a.registers(), whole.registers(), strict=True)) if y > x}
    said = {item_register(item)[0] for item in items}
    # where members are held, a new one is news even if it raises nothing
    assert said == rose or (exact and rose <= said)


@given(sizes, st.lists(st.tuples(made_up, st.integers(0, 1)) | st.integers(0, 1), max_size=60))
def test_a_drained_generation_was_shipped_whole(before: int, steps: list[tuple[bytes, int] | int]) -> None:
    sketch = sketch_of([], before)
    shipped = {item_register(item) for item in sketch.drain()}
    ranks = dict(sorted(shipped))
    acked: list[tuple[bytes, int]] = []
    for step in [*steps, 0, 1]:
        if isinstance(step, tuple):
            sketch.add(*step)
            acked.append(step)
            continue
        items = sketch.drain(step)
        assert len(items) == len(set(items))
        for register, rank in map(item_register, items):
            assert 0 < rank <= sketch.registers()[register]
            ranks[register] = max(rank, ranks.get(register, 0))
        for member, gen in acked:
            if gen == step:
                register, rank = twin.place(twin.murmur64a(member))
                assert ranks[register] >= rank
        assert sketch.drain(step) == []
    assert {r: v for r, v in enumerate(sketch.registers()) if v} == ranks


@given(sketches(), st.booleans())
def test_strings_are_the_twins_and_survive_the_way_back(sketch: HyperLogLog, cached: bool) -> None:
    registers = list(sketch.registers())
    number = sketch.count() if cached else None
    assert sketch.to_redis(encoding="dense", cached=cached) == twin.dense(registers, number)
    if max(registers) <= 32:
        assert sketch.to_redis(encoding="sparse", cached=cached) == twin.sparse(registers, number)
    data = sketch.to_redis(cached=cached)
    assert twin.parse(data) == registers
    back = HyperLogLog.from_redis(data)
    assert (back.registers(), back.drain(0), back.drain(1)) == (sketch.registers(), [], [])
    assert back.redis_count() == sketch.redis_count()


@given(
    sketches(),
    st.sampled_from(["auto", "dense"]),
    st.lists(st.tuples(st.integers(0, 40) | st.integers(0, 12400), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(-2, 2),
)
def test_corrupted_strings_are_refused_or_mean_what_the_twin_reads(
    sketch: HyperLogLog, encoding: str, flips: list[tuple[int, int]], resize: int
) -> None:
    data = bytearray(sketch.to_redis(encoding="dense" if encoding == "dense" else "auto"))
    for at, byte in flips:
        data[at % len(data)] = byte
    data = data[:resize] if resize < 0 else data + bytes(resize)
    expected = twin.parse(bytes(data))
    if expected is None:
        with pytest.raises(SketchError) as caught:
            HyperLogLog.from_redis(data)
        assert 0 <= caught.value.offset <= len(data)
    else:
        assert list(HyperLogLog.from_redis(data).registers()) == expected


@given(st.binary(max_size=40))
def test_noise_behind_a_header_is_refused_or_read_as_the_twin_does(noise: bytes) -> None:
    data = b"HYLL\x01" + bytes(11) + noise
    expected = twin.parse(data)
    if expected is None:
        with pytest.raises(SketchError):
            HyperLogLog.from_redis(data)
    else:
        assert list(HyperLogLog.from_redis(data).registers()) == expected


@given(st.lists(st.integers(0, 51), min_size=1, max_size=64), st.lists(st.integers(0, 51), min_size=1, max_size=64))
def test_vector_and_portable_loops_agree(one: list[int], other: list[int]) -> None:
    a = bytes(one[i * i % len(one)] for i in range(16384))
    b = bytes(other[i * i % len(other)] for i in range(16384))
    results = []
    vector = portable(True)
    try:
        for use_portable in (True, False):
            portable(use_portable)
            x, y = HyperLogLog(), HyperLogLog()
            for sketch, values in ((x, a), (y, b)):
                sketch.add_hash(0)
                sketch.merge(sketch_of([], 2000))  # dense
                sketch.merge_registers(values)
            first = x.registers(), x.redis_count(), x.to_redis(encoding="dense")
            x.drain()
            x.merge(y)
            results.append((first, x.registers(), x.drain(), x.redis_count(), x.to_redis(encoding="dense")))
    finally:
        portable(not vector)
    assert results[0] == results[1]
    assert results[0][4] == twin.dense(list(results[0][1]), results[0][3])
