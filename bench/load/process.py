"""Child processes: pinned to a core, ended by their own pid, watched through /proc."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def spawn(command: Sequence[str], core: int, **options: Any) -> "subprocess.Popen[str]":
    """Popen with text pipes, all threads of the child on `core`: a child inherits the affinity of who starts it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen(list(command), text=True, **options)
    finally:
        os.sched_setaffinity(0, before)


def run(command: Sequence[str], core: int, timeout: float, **options: Any) -> str:
    """Standard output of a finished command. RuntimeError, with what it said, unless it ends with 0 in time."""
    process = spawn(command, core, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise RuntimeError(f"{command[0]} took more than {timeout:.0f} s") from None
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors}{output}")
    return output


def stop(process: "subprocess.Popen[str]", patience: float = 15, by: signal.Signals = signal.SIGTERM) -> int:
    """Ask it to end, and make it after `patience` seconds. Its exit status."""
    if process.poll() is None:
        process.send_signal(by)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()
    return process.returncode


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree_cpu_seconds(pid: int) -> float:
    """The same, of a process and its children (a master and its workers)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_seconds(pid) + sum(cpu_seconds(int(child)) for child in children)


def rss_bytes(pid: int) -> int:
    """Resident memory of the process itself (anonymous pages: without mapped files and shared memory)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no RssAnon")


def wait_for_port(process: "subprocess.Popen[str]", host: str, port: int, patience: float = 10) -> None:
    """Return once something accepts connections there. RuntimeError if the process ends or takes too long."""
    import socket

    end = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError as error:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}") from error
            if time.monotonic() > end:
                raise RuntimeError(f"nothing listens on {host}:{port} after {patience:.0f} s") from error
            time.sleep(0.02)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free just now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
