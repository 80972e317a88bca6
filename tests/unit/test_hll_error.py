"""The estimator's error over trials; bench/hll_error.py does the same at length."""

import math
import random

import pytest

from fastcount.native.hyperloglog import HyperLogLog

STANDARD_ERROR = 1.04 / 128


def counted(n: int, numbers: random.Random) -> HyperLogLog:
    """n random hashes, every one added."""
    sketch = HyperLogLog()
    for _ in range(n):
        sketch.add_hash(numbers.getrandbits(64))
    return sketch


def drawn(n: int, numbers: random.Random) -> HyperLogLog:
    """Registers as n members leave them: k of them in a register, its rank is at most r with (1 - 2^-r)^k. That their
    sum is n only on average adds an error of 1 / sqrt(n)."""
    mean = n / 16384
    values = bytearray()
    for _ in range(16384):
        k = max(1, round(numbers.gauss(mean, math.sqrt(mean))))
        values.append(min(51, math.ceil(-math.log2(-math.expm1(math.log(numbers.random()) / k)))))
    sketch = HyperLogLog()
    sketch.merge_registers(values)
    return sketch


@pytest.mark.parametrize(
    ("fill", "n", "trials"),
    [
        *((counted, n, 200) for n in (1, 2, 10, 100, 1000)),
        *((counted, n, 60) for n in (1793, 5000, 20_000)),
        *((counted, n, 30) for n in (40_000, 80_000)),  # where estimators of two ranges have their bump
        *((drawn, n, 40) for n in (1_000_000, 100_000_000)),
    ],
)
def test_error_is_what_theory_says_and_there_is_no_bias(fill, n: int, trials: int) -> None:  # type: ignore[no-untyped-def]
    numbers = random.Random(n)
    sketches = [fill(n, numbers) for _ in range(trials)]
    errors = [sketch.redis_count() / n - 1 for sketch in sketches]
    rounding = 0.5 / n  # Redis's estimate is a whole number: below some 500 members that is most of its error
    assert abs(sum(errors) / trials) <= 3 * STANDARD_ERROR / math.sqrt(trials) + rounding
    assert math.sqrt(sum(e * e for e in errors) / trials) <= STANDARD_ERROR * (1 + 3 / math.sqrt(2 * trials))
    if fill is counted and n <= 1792:
        assert {sketch.count() for sketch in sketches} == {n}
