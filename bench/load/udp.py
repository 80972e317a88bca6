"""UDP end to end: the highest rate at which a server on one core loses nothing."""

import sys
from dataclasses import dataclass
from typing import Any

from bench.figures import Figure, middle, spread
from bench.load.search import highest
from bench.load.server import Server
from bench.load.traffic import Outcome, Traffic, fill, send
from bench.machine import Cores

MOST = 2e9  # records/s: beyond what loopback carries


@dataclass(frozen=True)
class Scenario:
    """peer: (what, records/s) of the fastest server in the same situation, measured elsewhere on two cores (brubeck,
    C, recvmmsg); None: no other counting service does that. start: where the search begins, records/s. target:
    records/s."""

    name: str
    traffic: Traffic
    start: float
    peer: tuple[str, float] | None
    target: float | None = None


# HITs: ids and members are drawn uniformly, so that each of 1,000 names has 6,000 members (dense, sample full) and each
# of 100,000 has 60 (exact, all of them in the sample). Every pair was seen before: visitors who come back.
MEMBERS = 2_000_000  # of 8 bytes
PAIRS = 6_000_000
SCENARIOS = (
    Scenario("1,400 bytes, 1 k names", Traffic(1_000), 10e6, ("brubeck, elsewhere", 12.6e6), 20e6),
    Scenario("1,400 bytes, 1 M names", Traffic(1_000_000), 6e6, ("brubeck, elsewhere", 1.85e6), 10e6),
    Scenario("1 record a datagram, 1 k names", Traffic(1_000, per_frame=1), 1e6, ("brubeck, elsewhere", 0.74e6)),
    Scenario("1 record a datagram, 1 M names", Traffic(1_000_000, per_frame=1), 1e6, ("brubeck, elsewhere", 0.60e6)),
    Scenario("HIT, 1,400 bytes, 1 k names", Traffic(1_000, members=MEMBERS, pairs=PAIRS), 5e6, None),
    Scenario("HIT, 1,400 bytes, 100 k names", Traffic(100_000, members=MEMBERS, pairs=PAIRS), 5e6, None, 8e6),
)


@dataclass
class Found:
    """rate: highest found, records/s. runs: the confirming ones, all whole. tried: every short run."""

    rate: float
    runs: list[Outcome]
    tried: list[dict[str, Any]]
    limited_by: str


def say(words: str) -> None:
    sys.stderr.write(words + "\n")


def find(server: Server, scenario: Scenario, cores: Cores, *, quick: bool) -> Found:
    """Search by short runs; then three long ones in a row must be whole, else a little less is tried."""
    short, long, times = (0.3, 0.8, 1) if quick else (0.7, 3.0, 3)
    tried: list[dict[str, Any]] = []
    limited_by = "nothing"

    def passes(rate: float, seconds: float = short) -> bool:
        nonlocal limited_by
        outcome = send(server, cores.load, scenario.traffic, rate, seconds=seconds)
        fine = outcome.whole and outcome.kept_up
        tried.append({key: value for key, value in outcome.to_json().items() if key != "ledger"})
        say(
            f"  {rate / 1e6:8.3f} M/s asked, {outcome.records_per_s / 1e6:8.3f} M/s counted, {outcome.lost:,} lost, "
            f"{outcome.drain_s * 1000:.0f} ms to drain"
        )
        if not (fine and outcome.sent_as_asked):
            limited_by = "generator" if fine else "server"
        runs.append(outcome)
        return fine and outcome.sent_as_asked

    runs: list[Outcome] = []
    rate = highest(passes, scenario.start, MOST, near=1.15 if quick else 1.04)
    by = limited_by
    for _ in range(12):
        runs.clear()
        if not rate or all(passes(rate, long) for _ in range(times)):
            break
        rate = min(rate * 0.96, runs[-1].records_per_s * 0.98)
    else:
        raise RuntimeError(
            f"{scenario.name}: even {rate:,.0f} records/s is too much for {long} s: is the machine busy?"
        )
    if not rate:
        raise RuntimeError(f"{scenario.name}: records are lost even at {scenario.start / 1000:,.0f} records/s")
    return Found(rate, runs, tried, by)


def measure(scenario: Scenario, cores: Cores, *, quick: bool) -> Figure:
    say(f"udp: {scenario.name}")
    with Server(cores.server) as server:
        fill(server, cores.load, scenario.traffic)  # the steady state is measured, not the growing of the tables
        found = find(server, scenario, cores, quick=quick)
        stats = server.get("/v1/stats")
    if refused := stats["store"]["members_refused"]:
        raise RuntimeError(f"{scenario.name}: {refused:,} members were refused for want of memory")
    rates = [run.records_per_s for run in found.runs]
    run = middle([run.to_json() for run in found.runs], "records_per_s")
    detail = {
        **run,
        "server_cpu_share": run["server_cpu_s"] / (run["seconds"] + run["drain_s"]),
        "records_per_cpu_s": run["received"] / run["server_cpu_s"] if run["server_cpu_s"] else None,
        "spread": spread(rates),
        "limited_by": found.limited_by,
        "runs": [each.to_json() for each in found.runs],
        "tried": found.tried,
        "udp": stats.get("udp"),
        "memory_bytes": stats["store"]["memory_bytes"],
    }
    return Figure(
        "udp",
        scenario.name,
        run["records_per_s"] / 1e6,
        "M records/s",
        scenario.peer[0] if scenario.peer else "",
        scenario.peer[1] / 1e6 if scenario.peer else None,
        scenario.target and scenario.target / 1e6,
        detail=detail,
    )
