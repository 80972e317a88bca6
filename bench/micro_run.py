"""Runs bench/micro in a process of its own on the server core, and reads what pytest-benchmark wrote."""

import json
import os
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.load import process
from bench.machine import Cores

ROOT = Path(__file__).resolve().parents[1]


def figures(cores: Cores, *, quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="fastcount-bench-micro-") as directory:
        path = Path(directory) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", str(ROOT / "bench" / "micro"), "-q", "--rootdir", str(ROOT)]
        command += ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", "--timeout", "300"]
        command += ["--benchmark-json", str(path), "--benchmark-max-time", "0.2" if quick else "1"]
        sys.stderr.write("micro: pytest bench/micro\n")
        process.run(command, cores.server, 600, cwd=ROOT, env={**os.environ, "PYTHONPATH": _path()})
        found = json.loads(path.read_text())["benchmarks"]
    rows = []
    for each in found:
        operations, stats = each["extra_info"].get("operations", 1), each["stats"]
        rate = operations / stats["median"]
        name = each["name"].removeprefix("test_").replace("_", " ")
        detail = {"operations": operations, **{k: stats[k] for k in ("min", "median", "mean", "stddev", "rounds")}}
        rows.append(Figure("micro", name, rate / 1e6, "M ops/s", detail=detail))
    return rows


def _path() -> str:
    """bench and fastcount as they are imported here."""
    import fastcount

    package = str(Path(fastcount.__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, [package, str(ROOT), os.environ.get("PYTHONPATH")]))
