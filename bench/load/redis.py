"""A peer on the same machine, where it is installed: Redis, INCR in pipelines of 100, on the server core."""

import re
import shutil
import subprocess
import tempfile
from statistics import median

from bench.figures import Figure, spread
from bench.load import process
from bench.load.udp import say
from bench.machine import Cores

PIPELINE = 100
CASES = ((1_000, "1 k names"), (1_000_000, "1 M names"))


def installed() -> bool:
    return bool(shutil.which("redis-server") and shutil.which("redis-benchmark"))


def runs_of(cores: Cores, names: int, *, quick: bool) -> list[float]:
    """INCR a second, once a run, over keys drawn from `names`."""
    with tempfile.TemporaryDirectory(prefix="fastcount-bench-redis-") as directory:
        port = process.free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        server = process.spawn([*command, "--dir", directory], cores.server, stdout=subprocess.DEVNULL)
        try:
            process.wait_for_port(server, "127.0.0.1", port)
            ask = ["redis-benchmark", "-p", str(port), "-t", "incr", "-P", str(PIPELINE), "-c", "50", "-q"]
            ask += ["-r", str(names)]
            process.run([*ask, "-n", str(3 * max(names, 100_000))], cores.load, 60)  # most keys exist by then
            runs = []
            for _ in range(1 if quick else 3):
                said = process.run([*ask, "-n", "1000000" if quick else "4000000"], cores.load, 60)
                rates = re.findall(r"INCR: ([\d.]+) requests per second", said)
                if not rates:
                    raise RuntimeError(f"redis-benchmark said {said!r}")
                runs.append(float(rates[-1]))
        finally:
            process.stop(server)
    return runs


def measure(cores: Cores, names: int, words: str, ours: float | None, *, quick: bool) -> Figure:
    """ours: records/s of fastcount over as many names, from the same run, to stand beside it."""
    say(f"redis: INCR, pipeline of {PIPELINE}, {words}")
    runs = runs_of(cores, names, quick=quick)
    against = "fastcount over UDP, 1,400 bytes" if ours else ""
    beside = ours / 1e6 if ours else None
    detail = {"runs": runs, "spread": spread(runs), "pipeline": PIPELINE}
    name = f"Redis INCR, pipeline {PIPELINE}, {words}"
    return Figure("redis", name, median(runs) / 1e6, "M INCR/s", against, beside, detail=detail)
