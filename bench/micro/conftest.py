"""Stores and frames that several benchmarks share: built once, they hold up to a million names."""

from collections.abc import Callable

import pytest

from bench.apply import TYPE, frames
from fastcount._core import Store

Filled = Callable[[int], tuple[Store, list[bytes]]]


@pytest.fixture(scope="session")
def filled() -> Filled:
    """A store that holds `names` names, and frames over them that can be applied again and again."""
    made: dict[int, tuple[Store, list[bytes]]] = {}

    def make(names: int) -> tuple[Store, list[bytes]]:
        if names not in made:
            store = Store(max_counters=2_000_000)
            for number in range(names):
                store.incr(TYPE, b"%06d" % number)
            made[names] = store, frames(names, max(100_000, names), sequenced=False)
        return made[names]

    return make
