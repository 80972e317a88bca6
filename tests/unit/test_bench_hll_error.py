"""The yardstick of bench/hll_error.py: what is within chance passes, a bias does not."""

import random

import pytest
from bench.hll_error import STANDARD_ERROR, Errors, Row

TRIALS = 1000


def row(n: int, bias: float, spread: float = STANDARD_ERROR) -> Row:
    draw = random.Random(n)
    estimates = [round(n * (1 + draw.gauss(bias, spread))) for _ in range(TRIALS)]
    return Row(n, Errors.of(estimates, n), Errors.of(estimates, n))


@pytest.mark.parametrize("n", [10_000, 1_000_000])
def test_what_theory_says_is_within(n: int) -> None:
    assert row(n, 0).outside(TRIALS) == []


@pytest.mark.parametrize(("bias", "spread"), [(0.002, STANDARD_ERROR), (-0.002, STANDARD_ERROR), (0, 0.0095)])
def test_a_bias_or_a_larger_error_is_outside(bias: float, spread: float) -> None:
    assert row(100_000, bias, spread).outside(TRIALS) == ["answer", "Redis's"]


def test_rounding_excuses_redis_and_not_the_answer() -> None:
    estimates = [100] * 700 + [99] * 300  # -0.3 % on average
    both = Errors.of(estimates, 100)
    assert Row(100, redis=both, answer=both).outside(TRIALS) == ["answer"]
    assert Row(100, redis=both, answer=Errors.of([100] * TRIALS, 100)).outside(TRIALS) == []
