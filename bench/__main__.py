"""`python -m bench [--quick] [--only PART]…`: measures, and sets each figure beside its bound, peer and target.

The server runs on the first core this process may use, generators and clients on the second. Exit status 0 whatever
the figures are, 1 if a part broke (a record lost where none may be, a tool that is not installed, …), 2 on bad usage.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial

from bench import apply, hll, hll_error, machine, micro_run, report, samples
from bench.figures import Figure
from bench.load import http, latency, memory, redis, udp

PARTS = {
    "apply": "increments and HITs applied, without a network",
    "udp": "records a second with none lost, HIT among them",
    "latency": "a GET while UDP runs",
    "memory": "bytes a counter",
    "http": "requests a second beside nginx",
    "redis": "INCR there",
    "hll": "adds to uniques and their bytes, beside Redis and DataSketches",
    "samples": "offers to samples and their bytes, beside Redis",
    "error": "of uniques, from 1 to 10^8 members",
    "micro": "single calls from Python",
}
Task = tuple[str, Callable[[], Figure | list[Figure]]]


def tasks(part: str, cores: machine.Cores, done: list[Figure], quick: bool) -> Iterator[Task]:
    """What a part consists of. done: figures so far; later parts set themselves beside what UDP reached."""

    def reached(name: str) -> float | None:
        return next((figure.value * 1e6 for figure in done if (figure.part, figure.name) == ("udp", name)), None)

    if part == "apply":
        for names, words in apply.CASES:
            yield words, partial(apply.measure, cores, names, words, quick=quick)
        for names, words in apply.HIT_CASES:
            yield f"HIT, {words}", partial(apply.measure_hits, cores, names, words, quick=quick)
    elif part == "udp":
        for scenario in udp.SCENARIOS:
            yield scenario.name, partial(udp.measure, scenario, cores, quick=quick)
    elif part == "latency":
        for scenario in latency.SCENARIOS:
            yield scenario.name, partial(latency.measure, scenario, reached(scenario.name), cores, quick=quick)
    elif part == "memory":
        yield "", partial(memory.figures, cores)
    elif part == "http":
        for route in http.ROUTES:
            yield route.name, partial(http.measure, route, cores, quick=quick)
    elif part == "redis" and redis.installed():
        for names, words in redis.CASES:
            ours = reached(f"1,400 bytes, {words}")
            yield words, partial(redis.measure, cores, names, words, ours, quick=quick)
    elif part == "hll":
        yield "", partial(hll.figures, cores, quick=quick)
    elif part == "samples":
        yield "", partial(samples.figures, cores, quick=quick)
    elif part == "error":
        yield "", partial(hll_error.figures, quick=quick)
    elif part == "micro":
        yield "", partial(micro_run.figures, cores, quick=quick)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures fastcount on this machine.")
    parser.add_argument("--quick", action="store_true", help="short runs: some minutes, rougher figures")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}")
    parser.epilog = "; ".join(f"{part}: {words}" for part, words in PARTS.items())
    options = parser.parse_args()
    cores, about = machine.cores(), machine.describe()
    if not cores.apart:
        sys.stderr.write("one core only: server and generator share it, figures are low\n")
    figures: list[Figure] = []
    broken: dict[str, str] = {}
    for part in PARTS:
        if options.only and part not in options.only:
            continue
        for name, task in tasks(part, cores, figures, options.quick):
            try:
                found = task()
            except Exception as error:  # the other figures are still worth having
                traceback.print_exc()
                broken[f"{part} {name}".strip()] = str(error) or repr(error)
            else:
                figures += [found] if isinstance(found, Figure) else found
    path = report.write(figures, about, broken, options.quick)
    report.show(figures, about, broken, path)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
