"""The yardstick itself: p-values against closed forms, and a biased count that must be rejected."""

import math

import pytest

from twin.stats import gamma_q, p_equal, p_inclusion, p_value


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 2.5, 7.0, 40.0])
def test_against_closed_forms(x: float) -> None:
    assert p_value(x, 1) == pytest.approx(math.erfc(math.sqrt(x / 2)), rel=1e-12)
    assert p_value(x, 2) == pytest.approx(math.exp(-x / 2), rel=1e-12)
    poisson = sum(math.exp(-x) * x**i / math.factorial(i) for i in range(20))
    assert gamma_q(20, x) == pytest.approx(poisson, rel=1e-12)


def test_ends() -> None:
    assert p_value(0, 5) == 1.0
    assert p_value(1e4, 5) < 1e-300


def test_tells_biased_counts() -> None:
    assert p_equal([1000, 1010, 990, 1000]) > 0.9
    assert p_equal([1000, 1200, 900, 900]) < 1e-9
    assert p_inclusion([500, 505, 495, 500], 1000, 2) > 0.9
    assert p_inclusion([600, 500, 450, 450], 1000, 2) < 1e-9
