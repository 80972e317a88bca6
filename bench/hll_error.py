"""HyperLogLog: error and memory against cardinality, as a table and as the plots of docs/sketches.md.

    python -m bench.hll_error [--trials 1000] [--to docs]

Up to 10^6 every trial adds that many random hashes; above, the registers that so many would leave are drawn (their
number is then n only on average, which adds 1/sqrt(n) to the error). Two estimates are held against theory:

- what fastcount answers, strictly: from 1 to 10^8 the mean error of the trials is within 3 standard errors of a mean,
  its rms within 3 of an rms, and no more answers than chance explains are off by over 3 standard errors;
- Redis's estimator, which PFCOUNT computes, with the half member more that rounding to whole ones may take.

Exits with 1 where one is outside. Plots Redis's memory if there is a redis-server.
"""

import argparse
import math
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.figures import Figure
from bench.hll import native, server
from bench.svg import Line, chart
from fastcount.native.hyperloglog import HyperLogLog

STANDARD_ERROR = 1.04 / 128
EXACT = 1792  # members that are counted one by one; the first estimate comes with the next
STEPS = (1, 1.5, 2, 3, 4, 5.5, 7.5)
GRID = sorted({round(step * 10**power) for power in range(8) for step in STEPS} | {EXACT, EXACT + 1, 2_500, 10**8})
ADDED = 10**6  # the largest of GRID that is added, not drawn
BEYOND = math.erfc(3 / math.sqrt(2))  # of normal errors, larger than 3 standard errors

Pairs = Sequence[tuple[int, int]]  # (Redis's estimate, what fastcount answers), one a trial


def trials_of(trials: int) -> Iterator[tuple[int, Pairs]]:
    seeds = [random.Random(1).getrandbits(63) + i for i in range(trials)]
    adds = native()
    grid = [n for n in GRID if n <= ADDED]
    yield from zip(grid, zip(*(adds.Sketches(1).trace(grid, seed) for seed in seeds), strict=True), strict=True)
    drawn = adds.Sketches(1).drawn
    for n in GRID:
        if n > ADDED:
            yield n, [drawn(n, seed ^ (n << 20)) for seed in seeds]


class Errors(NamedTuple):
    """Of one estimate at one cardinality, relative. beyond: share of trials off by more than 3 standard errors."""

    mean: float
    rms: float
    beyond: float

    @classmethod
    def of(cls, estimates: Sequence[int], n: int) -> "Errors":
        errors = [estimate / n - 1 for estimate in estimates]
        count = len(errors)
        rms = math.sqrt(math.fsum(e * e for e in errors) / count)
        return cls(math.fsum(errors) / count, rms, sum(abs(e) > 3 * STANDARD_ERROR for e in errors) / count)

    def shares(self, trials: int, rounding: float = 0.0) -> tuple[float, float, float]:
        """Mean, rms and beyond as parts of what chance allows them: more than 1 is outside."""
        return (
            abs(self.mean) / (3 * STANDARD_ERROR / math.sqrt(trials) + rounding),
            self.rms / (STANDARD_ERROR * (1 + 3 / math.sqrt(2 * trials)) + rounding),
            self.beyond / (BEYOND + 3 * math.sqrt(BEYOND * (1 - BEYOND) / trials)),
        )


class Row(NamedTuple):
    n: int
    redis: Errors
    answer: Errors

    def outside(self, trials: int) -> list[str]:
        """Which estimate of this row is."""
        found = []
        if max(self.answer.shares(trials)) > 1:
            found.append("answer")
        if max(self.redis.shares(trials, 0.5 / self.n)[:2]) > 1:
            found.append("Redis's")
        return found


def measure(trials: int) -> list[Row]:
    return [
        Row(n, Errors.of([redis for redis, _ in pairs], n), Errors.of([answer for _, answer in pairs], n))
        for n, pairs in trials_of(trials)
    ]


def figures(*, quick: bool) -> list[Figure]:
    """The worst of all cardinalities, as parts of what chance allows."""
    trials = 100 if quick else 1000
    rows = measure(trials)
    out = []
    for i, words in enumerate(("mean error", "rms error", "answers off by over 3 standard errors")):
        worst = max(rows, key=lambda row: row.answer.shares(trials)[i])
        detail = {"trials": trials, "at": worst.n, "rows": [row._asdict() for row in rows] if i == 0 else []}
        name = f"answer, {words}, worst of 1 … 10^8 (at {worst.n:,})"
        share = worst.answer.shares(trials)[i]
        beside = f"3 standard errors of {trials:,} trials"
        out.append(Figure("error", name, share, "of it", beside, 1.0, 1.0, less=True, detail=detail))
    worst = max(rows, key=lambda row: row.redis.shares(trials, 0.5 / row.n)[0])
    share = worst.redis.shares(trials, 0.5 / worst.n)[0]
    name = f"Redis's estimator, mean error, worst (at {worst.n:,})"
    out.append(Figure("error", name, share, "of it", "the same and half a member", 1.0, 1.0, less=True))
    return out


def memory() -> dict[str, list[tuple[float, float]]]:
    """Bytes by cardinality: ours, and of a key in Redis."""
    grid = [n for n in GRID if n <= ADDED]
    out: dict[str, list[tuple[float, float]]] = {"fastcount": []}
    sketch, done = HyperLogLog(), 0
    for n in grid:
        for i in range(done, n):
            sketch.add(b"%d" % i)
        sketch.drain()
        out["fastcount"].append((n, sketch.memory))
        done = n
    if shutil.which("redis-server"):
        import redis

        with server() as (_, path), redis.Redis(unix_socket_path=path) as client:
            out["Redis"], done = [], 0
            for n in grid:
                for start in range(done, n, 10_000):
                    client.pfadd("hll:content_views:123", *range(start, min(n, start + 10_000)))
                out["Redis"].append((n, client.memory_usage("hll:content_views:123") or 0))
                done = n
    return out


def plots(rows: list[Row], trials: int, to: Path) -> None:
    bound = 300 * STANDARD_ERROR / math.sqrt(trials)
    one = 100 * STANDARD_ERROR
    lines = [
        Line("rms error of what fastcount answers", "#2a9d4a", [(r.n, 100 * r.answer.rms) for r in rows], 3),
        Line("its mean error", "#8fd19e", [(r.n, 100 * r.answer.mean) for r in rows]),
        Line("rms error of Redis's estimate", "#1f5fbf", [(r.n, 100 * r.redis.rms) for r in rows], 2, "6 4"),
        Line("its mean error", "#c0392b", [(r.n, 100 * r.redis.mean) for r in rows]),
        Line(f"3 standard errors of the mean of {trials:,} trials", "#999", [(1, bound), (1e8, bound)], 1, "2 3"),
        Line("one standard error, 1.04 / 128", "#555", [(1, one), (1e8, one)], 1, "4 3"),
    ]
    ticks = [-0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6]
    (to / "hll-error.svg").write_text(
        chart("HyperLogLog: relative error", "distinct members", "error, %", lines, ticks)
    )
    colors = {"fastcount": "#1f5fbf", "Redis": "#c0392b"}
    lines = [Line(name, colors[name], points) for name, points in memory().items()]
    ticks = [32, 128, 512, 2048, 8192, 32768]
    (to / "hll-memory.svg").write_text(
        chart("HyperLogLog: bytes of a sketch", "distinct members", "bytes", lines, ticks, y_log=True)
    )


def percent(errors: Errors) -> str:
    return f"{100 * errors.mean:11.4f}{100 * errors.rms:10.4f}{100 * errors.beyond:9.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--to", type=Path, help="directory for hll-error.svg and hll-memory.svg")
    options = parser.parse_args()
    rows = measure(options.trials)
    outside = [row.outside(options.trials) for row in rows]
    heading = f"{'mean %':>11}{'rms %':>10}{'> 3 se %':>9}"
    sys.stdout.write(f"{'':11}{'fastcount answers':>30}{'Redis estimates':>30}\n    members{heading}{heading}\n")
    for row, found in zip(rows, outside, strict=True):
        flag = f"   OUTSIDE: {', '.join(found)}" if found else ""
        sys.stdout.write(f"{row.n:11,}{percent(row.answer)}{percent(row.redis)}{flag}\n")
    bad = sum(map(bool, outside))
    words = f"{bad} of them outside" if bad else "all of them within"
    sys.stdout.write(
        f"{len(rows)} cardinalities, {options.trials:,} trials each, {words} 3 standard errors "
        "(Redis's estimates: and half a member)\n"
    )
    if options.to:
        plots(rows, options.trials, options.to)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
