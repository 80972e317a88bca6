"""Pearson's chi-square test: the p-value of counts under what was expected of them."""

import math
from collections.abc import Sequence


def gamma_q(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x): its series below a + 1, else its continued fraction
    (Abramowitz, Stegun 6.5.29 and 6.5.31, the latter by Lentz's method)."""
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-16:
            n += 1
            term *= x / n
            total += term
        return 1 - total * scale
    b = x + 1 - a
    c = 1e300
    d = 1 / b
    h = d
    for i in range(1, 10_000):
        b += 2
        d = 1 / (-i * (i - a) * d + b)
        c = b + -i * (i - a) / c
        h *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return h * scale


def p_value(statistic: float, degrees: int) -> float:
    """P(chi-square with so many degrees of freedom >= statistic)."""
    return gamma_q(degrees / 2, statistic / 2)


def p_equal(counts: Sequence[int]) -> float:
    """Of `counts` of disjoint outcomes, all equally likely."""
    expected = sum(counts) / len(counts)
    return p_value(sum((c - expected) ** 2 for c in counts) / expected, len(counts) - 1)


def p_inclusion(counts: Sequence[int], runs: int, k: int) -> float:
    """Of how often each of N items was in a sample of exactly k, in so many runs.

    A run includes k items, so counts are correlated: Var = runs p (1-p) with p = k/N, correlation -1/(N-1), and
    sum (c - runs p)^2 / Var, scaled by (N-1)/N, is chi-square with N-1 degrees of freedom.
    """
    n = len(counts)
    p = k / n
    assert sum(counts) == runs * k
    statistic = sum((c - runs * p) ** 2 for c in counts) / (runs * p * (1 - p)) * (n - 1) / n
    return p_value(statistic, n - 1)
