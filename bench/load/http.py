"""Requests a second on one core, beside nginx's `return 200` on the same core in the same minutes.

Both servers run pinned to the server core, one idle while the other is asked; wrk asks with 32 connections from the
load core, in turns: A B A B …, so that a machine that changes its speed changes it for both. Medians, and their ratio;
beside it the ratio of requests per second of processor time, which stays true when others use the core as well.
"""

import http.client
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Figure, spread
from bench.load import process
from bench.load.nginx import Nginx
from bench.load.server import Server
from bench.load.udp import say
from bench.machine import Cores

CONNECTIONS = 32
HOT = "/v1/counter/bench/000001"


@dataclass(frozen=True)
class Route:
    """part: of nginx's rate that is the target, or None."""

    name: str
    path: str
    method: str = "GET"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    part: float | None = None


ROUTES = (
    Route("GET, hot route", HOT, part=0.7),
    Route("GET unique, hot route", HOT + "/unique"),
    Route("POST increment, hot route", HOT + "/increment", "POST"),
    Route("GET /healthz, through FastAPI", "/healthz"),
    Route("GET /v1/top, through FastAPI", "/v1/top/bench?k=10"),
)


def wrk(core: int, address: tuple[str, int], route: Route, seconds: float) -> float:
    """Requests a second. RuntimeError if wrk is absent or an answer was not a 2xx."""
    if not shutil.which("wrk"):
        raise RuntimeError("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="fastcount-bench-wrk-") as directory:
        script = Path(directory) / "request.lua"
        lines = [f'wrk.method = "{route.method}"', f'wrk.body = "{route.body}"' if route.body else ""]
        lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in route.headers.items()]
        if route.method == "POST" and not route.body:
            lines.append('wrk.headers["Content-Length"] = "0"')
        script.write_text("\n".join(lines) + "\n")
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        said = process.run([*command, f"http://{address[0]}:{address[1]}{route.path}"], core, seconds + 30)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if not rate or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk, {route.method} {route.path}: {said}")
    return float(rate[1])


def answer_of(server: Server, route: Route) -> str:
    """The body that a route answers with, so that nginx can be given one of the same size."""
    connection = http.client.HTTPConnection(*server.http, timeout=10)
    try:
        connection.request(route.method, route.path, route.body or None, route.headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{route.method} {route.path} was answered with {answer.status}: {body}")
        return body
    finally:
        connection.close()


def measure(route: Route, cores: Cores, *, quick: bool) -> Figure:
    seconds, times = (1, 2) if quick else (4, 4)
    say(f"http: {route.name}")
    runs: dict[str, list[float]] = {"fastcount": [], "nginx": []}
    by_cpu: dict[str, list[float]] = {"fastcount": [], "nginx": []}  # requests a second of processor time
    with Server(cores.server) as server:
        for number in range(100):
            server.post(f"/v1/counter/bench/{number:06d}/increment")
        body = answer_of(server, route)
        with Nginx(cores.server, body) as nginx:
            both: dict[str, Server | Nginx] = {"fastcount": server, "nginx": nginx}
            for each in both.values():
                wrk(cores.load, each.http, route, 1)
            for _ in range(times):
                for name, each in both.items():
                    before = each.cpu_seconds()
                    rate = wrk(cores.load, each.http, route, seconds)
                    runs[name].append(rate)
                    by_cpu[name].append(rate * seconds / (each.cpu_seconds() - before))
                say(f"  {runs['fastcount'][-1]:10,.0f} /s, nginx {runs['nginx'][-1]:10,.0f} /s")
    ours, theirs = median(runs["fastcount"]), median(runs["nginx"])
    detail: dict[str, Any] = {
        "runs": runs,
        "by_cpu": by_cpu,
        "cpu_ratio": median(by_cpu["fastcount"]) / median(by_cpu["nginx"]),
        "body_bytes": len(body),
        "connections": CONNECTIONS,
        "spread": spread(runs["fastcount"]),
    }
    target = route.part * theirs / 1e3 if route.part else None
    return Figure(
        "http", route.name, ours / 1e3, "k requests/s", "nginx return 200", theirs / 1e3, target, detail=detail
    )
