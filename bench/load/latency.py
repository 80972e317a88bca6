"""How long a GET takes while UDP runs at half of its maximum.

The client is bench/native/httplat.c on the load core, beside the generator (which sleeps between its bursts): one
keep-alive connection, 1,000 requests/s, each timed from when it was due. The same without UDP stands beside it.
"""

import json
from typing import Any

from bench.build import program
from bench.figures import Figure
from bench.load import process, udp
from bench.load.server import Server
from bench.load.traffic import Generator, fill
from bench.machine import Cores

RATE = 1000  # requests/s
TARGET_MS = 5.0
SCENARIOS = tuple(
    scenario for scenario in udp.SCENARIOS if not (scenario.traffic.per_frame or scenario.traffic.members)
)


def ask(server: Server, core: int, seconds: float) -> dict[str, Any]:
    host, port = server.http
    command = [str(program("httplat")), "--host", host, "--port", str(port), "--path", "/v1/counter/bench/000001"]
    command += ["--rate", str(RATE), "--seconds", str(seconds), "--core", str(core)]
    answer: dict[str, Any] = json.loads(process.run(command, core, seconds * 10 + 30))
    if answer["failed"]:
        raise RuntimeError(f"{answer['failed']} of {answer['requests']} GETs were not answered with 200")
    return answer


def measure(scenario: udp.Scenario, maximum: float | None, cores: Cores, *, quick: bool) -> Figure:
    """`maximum`: records/s that UDP can do here, if it was measured already; else it is searched for, roughly."""
    seconds = 1.5 if quick else 5.0
    udp.say(f"latency: GET while UDP runs at half of its maximum, {scenario.name}")
    with Server(cores.server) as server:
        fill(server, cores.load, scenario.traffic)
        rate = (maximum or udp.find(server, scenario, cores, quick=True).rate) / 2
        idle = ask(server, cores.load, seconds)
        generator = Generator(server, cores.load, scenario.traffic, rate, seconds=seconds + 0.5)
        try:
            busy = ask(server, cores.load, seconds)
            outcome = generator.outcome()
        finally:
            generator.stop()
    udp.say(f"  p99 {busy['p99_ms']:.2f} ms, idle {idle['p99_ms']:.2f} ms, lost {outcome.lost:,}")
    return Figure(
        "latency",
        f"GET p99, UDP at half: {scenario.name}",
        busy["p99_ms"],
        "ms",
        "the same without UDP",
        idle["p99_ms"],
        TARGET_MS,
        less=True,
        detail={"busy": busy, "idle": idle, "udp": outcome.to_json(), "requests_per_s": RATE},
    )
