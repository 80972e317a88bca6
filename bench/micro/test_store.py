"""The store through its Python door."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.apply import TYPE, frames
from bench.micro.conftest import Filled
from fastcount._batch import Batch
from fastcount._core import Store

MILLION = 1_000_000


@pytest.mark.parametrize("names", [1, 1_000, MILLION])
def test_decode_and_apply(benchmark: BenchmarkFixture, filled: Filled, names: int) -> None:
    """Store.apply, a frame of 1,400 bytes a call: decode, hash, add."""
    store, data = filled(names)

    def apply() -> int:
        return sum(store.apply(frame).records for frame in data)

    benchmark.extra_info["operations"] = apply()
    assert benchmark(apply) == benchmark.extra_info["operations"]


def test_read(benchmark: BenchmarkFixture, filled: Filled) -> None:
    """Store.read of one of a million names."""
    store, _ = filled(MILLION)
    assert benchmark(store.read, TYPE, b"123456").value > 0


def test_incr(benchmark: BenchmarkFixture, filled: Filled) -> None:
    """Store.incr of one of a million names."""
    store, _ = filled(MILLION)
    assert benchmark(store.incr, TYPE, b"123456") > 0


def test_swap_of_a_million_dirty_names(benchmark: BenchmarkFixture) -> None:
    """Store.swap after every one of a million names was counted."""
    store = Store(max_counters=2 * MILLION)
    data = frames(MILLION, 4 * MILLION, sequenced=False)
    ids = [b"%06d" % number for number in range(MILLION)]

    def dirty() -> tuple[tuple[()], dict[str, object]]:
        if len(store.swap()) == 0:  # the first time
            for id in ids:
                store.incr(TYPE, id)
        else:
            for frame in data:
                store.apply(frame)
        return (), {}

    def swap() -> Batch:
        return store.swap()

    benchmark.extra_info["operations"] = MILLION
    batch = benchmark.pedantic(swap, setup=dirty, rounds=5)
    assert len(batch) > 0.95 * MILLION


def test_top_of_a_million(benchmark: BenchmarkFixture, filled: Filled) -> None:
    """Store.top: the ten largest of a million names."""
    store, _ = filled(MILLION)
    benchmark.extra_info["operations"] = MILLION
    top = benchmark.pedantic(store.top, (TYPE, 10), rounds=10, warmup_rounds=1)
    assert len(top) == 10
    assert top[0][1] >= top[9][1] > 0
