"""What the figures were measured on, and which core does what."""

import os
import platform
from pathlib import Path
from typing import NamedTuple


class Cores(NamedTuple):
    """server: what is measured runs here and nothing else does. load: generators and clients."""

    server: int
    load: int

    @property
    def apart(self) -> bool:
        return self.server != self.load


def cores() -> Cores:
    """The first two cores this process may use; on a machine with one, both are the same (the report says so)."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[1] if len(usable) > 1 else usable[0])


def describe() -> dict[str, object]:
    """cpu, cores, memory_gib, kernel, python, rmem_max (bytes), load (1 minute, before the bench)."""
    info = Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rmem_max": int(Path("/proc/sys/net/core/rmem_max").read_text()),
        "load": round(os.getloadavg()[0], 2),
    }
