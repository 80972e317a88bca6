"""`python -m bench [--quick] [--only PART]…`: measures, and sets each figure beside its bound, peer and target.

The server runs on the first core this process may use, generators and clients on the second. Exit status 0 whatever
the figures are, 1 if a part broke (a record lost where none may be, a tool that is not installed, …), 2 on bad usage.
"""

import argparse
import sys
import traceback

from bench import apply, machine, micro_run, report
from bench.figures import Figure
from bench.load import http, latency, memory, redis, udp

PARTS = ("apply", "udp", "latency", "memory", "http", "redis", "micro")


def measure(part: str, cores: machine.Cores, done: list[Figure], *, quick: bool) -> list[Figure]:
    """One part. done: figures so far; what UDP reached is used by later parts."""
    found = {figure.name: figure.value * 1e6 for figure in done if figure.part == "udp"}
    match part:
        case "apply":
            return apply.figures(cores, quick=quick)
        case "udp":
            return udp.figures(cores, quick=quick)
        case "latency":
            return latency.figures(cores, found, quick=quick)
        case "memory":
            return memory.figures(cores, quick=quick)
        case "http":
            return http.figures(cores, quick=quick)
        case "redis":
            return redis.figures(cores, found, quick=quick)
        case _:
            return micro_run.figures(cores, quick=quick)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures fastcount on this machine.")
    parser.add_argument("--quick", action="store_true", help="short runs: a minute or two, rougher figures")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}")
    options = parser.parse_args()
    cores, about = machine.cores(), machine.describe()
    if not cores.apart:
        sys.stderr.write("one core only: server and generator share it, figures are low\n")
    figures: list[Figure] = []
    broken: dict[str, str] = {}
    for part in PARTS:
        if options.only and part not in options.only:
            continue
        try:
            figures += measure(part, cores, figures, quick=options.quick)
        except Exception as error:  # the other parts are still worth having
            traceback.print_exc()
            broken[part] = str(error) or repr(error)
    path = report.write(figures, about, broken, options.quick)
    report.show(figures, about, broken, path)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
