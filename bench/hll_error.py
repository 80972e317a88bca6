"""HyperLogLog: error and memory against cardinality, as a table and as the plots of docs/sketches.md.

    python -m bench.hll_error [--trials 1000] [--to docs]

Up to 10^6 every trial adds that many random hashes; above, the registers that so many would leave are drawn (the
number of members of each from a multinomial distribution, then its rank by inverting (1 - 2^-r)^k). Exits with 1 if
an error is outside of 3 standard errors and the half member that rounding to whole ones may take. Needs numpy; plots
Redis's memory if there is a redis-server.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.hll import native, server
from bench.svg import Line, chart
from fastcount.native.hyperloglog import HyperLogLog

STANDARD_ERROR = 1.04 / 128
GRID = sorted({round(step * 10**power) for power in range(8) for step in (1, 1.5, 2, 3, 4, 5.5, 7.5)} | {10**8})
ADDED = 10**6  # the largest of GRID that is added, not drawn


def added(trials: int, grid: list[int]) -> dict[int, np.ndarray]:
    """For each cardinality an array of (Redis's estimate, what fastcount answers), a row a trial."""
    adds = native()
    seeds = np.random.default_rng(1).integers(0, 2**63, trials)
    rows = np.array([adds.Sketches(1).trace(grid, int(seed)) for seed in seeds], dtype=float)
    return {n: rows[:, i, :] for i, n in enumerate(grid)}


def drawn(trials: int, n: int) -> np.ndarray:
    draw = np.random.default_rng(n)
    shares = np.full(16384, 1 / 16384)
    out = []
    for _ in range(trials):
        k = draw.multinomial(n, shares)
        with np.errstate(divide="ignore"):
            ranks = np.ceil(-np.log2(-np.expm1(np.log(draw.random(16384)) / k)))
        values = np.where(k > 0, np.clip(ranks, 1, 51), 0).astype(np.uint8)
        sketch = HyperLogLog()
        sketch.merge_registers(values)
        out.append((sketch.redis_count(), sketch.count()))
    return np.array(out, dtype=float)


def trials_of(trials: int) -> Iterator[tuple[int, np.ndarray]]:
    yield from added(trials, [n for n in GRID if n <= ADDED]).items()
    for n in GRID:
        if n > ADDED:
            yield n, drawn(trials, n)


class Row(NamedTuple):
    """mean, rms: of the relative error of Redis's estimate. beyond: share of trials in which it is larger than 3
    standard errors. answer_rms: of what fastcount answers."""

    n: int
    mean: float
    rms: float
    beyond: float
    answer_rms: float


def errors(trials: int) -> list[Row]:
    rows = []
    for n, estimates in trials_of(trials):
        error = estimates / n - 1
        rms = np.sqrt(np.mean(error**2, axis=0))
        beyond = np.mean(np.abs(error[:, 0]) > 3 * STANDARD_ERROR)
        rows.append(Row(n, float(error[:, 0].mean()), float(rms[0]), float(beyond), float(rms[1])))
    return rows


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
        Line("rms error of Redis's estimate", "#1f5fbf", [(r.n, 100 * r.rms) for r in rows]),
        Line("its mean error", "#c0392b", [(r.n, 100 * r.mean) for r in rows]),
        Line("rms error of what fastcount answers", "#2a9d4a", [(r.n, 100 * r.answer_rms) for r in rows], 2, "6 4"),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--to", type=Path, help="directory for hll-error.svg and hll-memory.svg")
    options = parser.parse_args()
    rows = errors(options.trials)
    root = math.sqrt(options.trials)
    bad = 0
    sys.stdout.write("    members     mean %      rms %   answer, rms %   beyond 3 standard errors\n")
    for n, mean, rms, beyond, answer in rows:
        fails = abs(mean) > 3 * STANDARD_ERROR / root + 0.5 / n or rms > STANDARD_ERROR * (
            1 + 3 / (math.sqrt(2) * root)
        )
        fails |= answer > max(rms, STANDARD_ERROR)
        bad += fails
        flag = "   OUTSIDE" if fails else ""
        sys.stdout.write(f"{n:11,}{100 * mean:11.4f}{100 * rms:11.4f}{100 * answer:15.4f}{100 * beyond:9.2f} %{flag}\n")
    if options.to:
        plots(rows, options.trials, options.to)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
