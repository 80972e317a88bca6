"""Every member, every event has the same chance: chi-square over 10^5 runs.

Secrets and seeds are counted up from a fixed one, so a run is repeatable; that the tests can fail is in
`test_a_biased_priority_is_rejected` and its like.
"""

from collections import Counter
from collections.abc import Callable
from itertools import combinations

from fastcount.native.samples import BottomK, Reservoir, siphash24
from twin.stats import p_equal, p_inclusion

RUNS = 100_000
SIGNIFICANCE = 1e-3  # seeds are fixed: what passes once passes always


def secret(run: int) -> bytes:
    return run.to_bytes(16, "little")


def packed(names: list[bytes]) -> bytes:
    return b"".join(bytes([len(n)]) + n for n in names)


def subsets(sample: Callable[[int], BottomK], names: list[bytes], runs: int = RUNS) -> list[int]:
    """How often each of the possible samples came up, over as many secrets."""
    seen = Counter(tuple(sorted(m for _, m in sample(run).members())) for run in range(runs))
    k = len(next(iter(seen)))
    possible = list(combinations(sorted(names), k))
    assert set(seen) <= set(possible)
    return [seen[s] for s in possible]


NAMES = [b"user-%d" % i for i in range(7)]


def test_every_set_of_members_is_as_likely() -> None:
    offers = packed(NAMES)

    def sample(run: int) -> BottomK:
        out = BottomK(secret(run), 3)
        out.offer_packed(offers)
        return out

    assert p_equal(subsets(sample, NAMES)) > SIGNIFICANCE


def test_repeats_change_no_chances() -> None:
    """The first member comes 64 times as often as the last."""
    offers = packed([name for i, name in enumerate(NAMES) for _ in range(64 >> i)] + NAMES[::-1])

    def sample(run: int) -> BottomK:
        out = BottomK(secret(RUNS + run), 3)
        out.offer_packed(offers)
        return out

    assert p_equal(subsets(sample, NAMES)) > SIGNIFICANCE


# 8 nodes of very different sizes; some members are seen on several
EVERYBODY = [b"m%d" % i for i in range(120)]
NODES = [packed(EVERYBODY[start:stop]) for start, stop in
         ((0, 1), (1, 3), (2, 5), (5, 10), (8, 20), (20, 40), (30, 119), (117, 120))]  # fmt: skip


def test_members_after_merging_eight_nodes_of_different_sizes() -> None:
    k = 10
    seen: Counter[bytes] = Counter()
    for run in range(RUNS):
        total = BottomK(secret(run), k)
        for node in NODES:
            part = BottomK(secret(run), k)
            part.offer_packed(node)
            total.merge(part)
        seen.update(m for _, m in total.members())
    assert p_inclusion([seen[m] for m in EVERYBODY], RUNS, k) > SIGNIFICANCE


def test_a_biased_priority_is_rejected() -> None:
    """The yardstick notices a hash whose range is a little short for one member."""

    def sample(run: int) -> BottomK:
        out = BottomK(secret(run), 3)
        for name in NAMES:
            priority = out.priority(name)
            out.offer_hashed(priority * 15 // 16 if name == NAMES[0] else priority, name)
        return out

    assert p_equal(subsets(sample, NAMES)) < SIGNIFICANCE


def test_the_hash_has_no_bias_by_bit() -> None:
    """Each of the 53 bits of a priority is as often 1 as 0, over members and over secrets."""
    for draws in (
        [siphash24(secret(9), b"user-%d" % i) >> 11 for i in range(40_000)],
        [siphash24(secret(i), b"user-1") >> 11 for i in range(40_000)],
    ):
        for bit in range(53):
            ones = sum(d >> bit & 1 for d in draws)
            assert p_equal([ones, len(draws) - ones]) > SIGNIFICANCE / 53, bit


def positions(make: Callable[[int], Reservoir], n: int, runs: int = RUNS) -> Counter[tuple[int, ...]]:
    seen: Counter[tuple[int, ...]] = Counter()
    for run in range(runs):
        seen[tuple(sorted(time for _, _, time in make(run).events()))] += 1
    assert all(0 <= time < n for times in seen for time in times)
    return seen


def as_likely(seen: Counter[tuple[int, ...]], n: int, k: int) -> float:
    """p-value of all sets of k positions being equally likely."""
    possible = list(combinations(range(n), k))
    assert set(seen) <= set(possible)
    return p_equal([seen[s] for s in possible])


def each_as_likely(seen: Counter[tuple[int, ...]], n: int, k: int) -> float:
    each = Counter(time for times, c in seen.items() for time in times for _ in range(c))
    return p_inclusion([each[i] for i in range(n)], sum(seen.values()), k)


def test_every_set_of_events_is_as_likely() -> None:
    def make(run: int) -> Reservoir:
        out = Reservoir(3, run)
        out.offer_run(b"x", b"", 0, 8)
        return out

    assert as_likely(positions(make, 8), 8, 3) > SIGNIFICANCE


def test_every_position_of_a_long_stream_is_as_likely() -> None:
    def make(run: int) -> Reservoir:
        out = Reservoir(5, run)
        out.offer_run(b"x", b"", 0, 100, skipping=run % 2 == 1)
        return out

    assert each_as_likely(positions(make, 100), 100, 5) > SIGNIFICANCE


def test_a_reservoir_of_one_event() -> None:
    def make(run: int) -> Reservoir:
        out = Reservoir(1, run)
        out.offer_run(b"x", b"", 0, 40)
        return out

    assert as_likely(positions(make, 40), 40, 1) > SIGNIFICANCE


# streams of one, two … events; what comes after the merge is the last part
PARTS = [(0, 1), (1, 3), (3, 4), (4, 9), (9, 9), (9, 11), (11, 12), (12, 50)]


def merge_parts(run: int, k: int, stop: int) -> Reservoir:
    total = Reservoir(k, 1000 * run)
    for number, (first, last) in enumerate(PARTS):
        part = Reservoir(k, 1000 * run + number + 1)
        part.offer_run(b"x", b"", first, last)
        total.merge(part.take())
    total.offer_run(b"x", b"", 50, stop)
    return total


def test_events_after_merging_eight_streams_of_different_sizes() -> None:
    assert each_as_likely(positions(lambda run: merge_parts(run, 4, 50), 50), 50, 4) > SIGNIFICANCE


def test_a_merged_reservoir_goes_on_uniformly() -> None:
    assert each_as_likely(positions(lambda run: merge_parts(run, 4, 120), 120), 120, 4) > SIGNIFICANCE


def test_every_set_of_events_is_as_likely_after_a_merge_that_goes_on() -> None:
    """One stream of 5 and one of 2 and then 2 more, in reservoirs of 3 and 4."""

    def make(run: int) -> Reservoir:
        a, b = Reservoir(3, 2 * run), Reservoir(4, 2 * run + 1)
        a.offer_run(b"x", b"", 0, 5)
        b.offer_run(b"x", b"", 5, 7)
        if run % 2:
            a, b = b, a
        a.merge(b)
        a.offer_run(b"x", b"", 7, 9)
        return a

    assert as_likely(positions(make, 9), 9, 3) > SIGNIFICANCE


def test_events_kept_are_as_many_as_li_says() -> None:
    """k (1 + ln(N/k)) of N, within 1 %; each shift of a skip by one would be seen at small N above."""
    kept = sum(Reservoir(100, seed).offer_run(b"x", b"", 0, 100_000) for seed in range(300)) / 300
    expected = 100 + sum(100 / n for n in range(101, 100_001))
    assert abs(kept / expected - 1) < 0.01


def test_the_estimate_of_distinct_members_is_unbiased() -> None:
    """Mean over secrets within 4 standard errors of the truth, spread as predicted; exact up to k."""
    k, runs = 50, 3000
    for n in (10, 50, 51, 200, 5000):
        offers = packed([b"u%d" % i for i in range(n)])
        estimates = []
        for run in range(runs if n < 1000 else 400):
            sample = BottomK(secret(run), k)
            sample.offer_packed(offers)
            estimates.append(sample.distinct())
        mean = sum(estimates) / len(estimates)
        if n <= k:
            assert set(estimates) == {n}
        else:
            error = n * (k - 2) ** -0.5
            # just above k the estimate is held at k + 1, which lifts its mean
            low, high = 4 * error * len(estimates) ** -0.5, (0.12 * n if n < 1.1 * k else 0)
            assert n - low < mean < n + low + high
            assert all(e >= k + 1 for e in estimates)
            if n >= 200:
                spread = (sum((e - n) ** 2 for e in estimates) / len(estimates)) ** 0.5
                assert 0.8 < spread / error < 1.15
