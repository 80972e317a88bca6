"""The bench's search for the highest rate, and how it judges figures."""

import pytest
from bench.figures import Figure, middle
from bench.load.search import highest


@pytest.mark.parametrize("limit", [6.0, 900.0, 4_999.0, 5_000.0, 5_001.0, 123_456.0, 999_000.0])
def test_finds_the_limit_from_both_sides(limit: float) -> None:
    found = highest(lambda rate: rate <= limit, start=5_000, most=1e6)
    assert found <= limit < found * 1.04 * 1.0001


def test_stops_at_the_most_that_is_asked_for() -> None:
    asked: list[float] = []
    assert highest(lambda rate: not asked.append(rate), start=10, most=1000) == 1000
    assert max(asked) == 1000


def test_says_zero_when_nothing_passes() -> None:
    assert highest(lambda rate: False, start=1e6, most=1e9) == 0


def test_one_stray_failure_does_not_lower_the_result() -> None:
    tries: dict[float, int] = {}

    def passes(rate: float) -> bool:
        tries[rate] = tries.get(rate, 0) + 1
        return rate <= 70_000 and tries[rate] > 1

    found = highest(passes, start=5_000, most=1e6)
    assert found <= 70_000 < found * 1.041


def test_a_figure_knows_its_ratio_and_whether_the_target_is_met() -> None:
    fast = Figure("udp", "rate", 30.0, "M/s", "peer", 12.0, target=20.0)
    assert (fast.ratio, fast.met) == (2.5, True)
    slow = Figure("latency", "p99", 6.0, "ms", target=5.0, less=True)
    assert (slow.ratio, slow.met) == (None, False)
    assert Figure("x", "y", 1.0, "s").met is None


def test_middle_is_the_run_with_the_median() -> None:
    runs = [{"rate": 3}, {"rate": 1}, {"rate": 2}]
    assert middle(runs, "rate") == {"rate": 2}
    assert middle(runs[:2], "rate") == {"rate": 1}
