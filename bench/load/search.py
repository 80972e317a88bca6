"""The highest rate that passes: up by a factor until one fails, then halving the gap."""

from collections.abc import Callable


def highest(
    passes: Callable[[float], bool], start: float, most: float, factor: float = 1.6, near: float = 1.04
) -> float:
    """Highest rate in (0, most] for which `passes` is true, within the factor `near`; 0 if none down to start / 1,000.

    A busy machine makes a good rate fail now and then, never a bad one pass: each rate has two tries.
    """

    def good(rate: float) -> bool:
        return passes(rate) or passes(rate)

    low = high = 0.0  # the highest that passed, the lowest that failed
    rate, least = min(start, most), start / 1000
    while low < most and not (low and high):
        if good(rate):
            low, rate = rate, min(rate * factor, most)
        else:
            high, rate = rate, max(rate / factor, least)
            if high == least:
                return 0.0
    while high and high / low > near:
        rate = (low * high) ** 0.5
        if good(rate):
            low = rate
        else:
            high = rate
    return low
