"""Samples alone: what an offer and an event cost, what a sample weighs, beside Redis keeping the same sample.

`python -m bench.samples [--quick]` prints the figures. Ours by processor time of one thread; Redis by processor time of
its server too, fed from the other core with commands encoded beforehand, so that neither pays for Python.
"""

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench.figures import Figure, spread
from bench.load import process
from bench.machine import Cores, cores

K = 100
SECRET = bytes(range(16))
PIPELINE = 500  # offers (two commands each) on the way at a time


def packed(members: Sequence[bytes]) -> bytes:
    return b"".join(bytes([len(m)]) + m for m in members)


def names(count: int, seed: int = 1) -> list[bytes]:
    """Members like `user_1234567`, distinct."""
    return [b"user_%07d" % number for number in random.Random(seed).sample(range(10_000_000), count)]


def cost(work: Callable[[], object], operations: int, *, quick: bool) -> tuple[float, float]:
    """Median processor time of an operation in ns over several runs, and their spread."""
    runs = []
    for _ in range(3 if quick else 7):
        before = time.process_time_ns()
        work()
        runs.append((time.process_time_ns() - before) / operations)
    return median(runs), spread(runs)


def native(*, quick: bool) -> list[Figure]:
    from fastcount.native.samples import BottomK, Reservoir, siphash_packed

    many = names(100_000 if quick else 1_000_000)
    stream = packed(many)
    hash_ns, hash_spread = cost(lambda: siphash_packed(SECRET, stream), len(many), quick=quick)

    full = BottomK(SECRET, K)
    full.offer_packed(stream)
    kept = packed([m for _, m in full.members()] * 2000)
    turned_away = packed([m for m in many if full.priority(m) > full.members()[-1][0]])

    few = packed(many[:K])

    def fill() -> None:
        for _ in range(2000):
            BottomK(SECRET, K).offer_packed(few)

    rows = [("hash alone", hash_ns, hash_spread)]
    for name, data, count in (("not kept", turned_away, len(many) - K), ("kept already", kept, 2000 * K)):
        rows.append((name, *cost(lambda data=data: full.offer_packed(data), count, quick=quick)))
    rows.append(("enters, sample growing to k", *cost(fill, 2000 * K, quick=quick)))
    figures = [
        Figure("samples", f"offer: {name}", ns, "ns", "the hash alone", hash_ns, less=True, detail={"spread": apart})
        for name, ns, apart in rows
    ]

    events = 10_000_000 if quick else 100_000_000
    for skipping, words in ((False, "one by one"), (True, "runs passed over at once")):

        def run(skipping: bool = skipping) -> None:
            Reservoir(1000, 1).offer_run(b"/index.html", b"user_1234567", 0, events, skipping)

        ns, apart = cost(run, events, quick=True)
        figures.append(Figure("samples", f"event: {words}", ns, "ns", less=True, detail={"spread": apart, "k": 1000}))

    keeping = 1_000_000  # in intervals of as many as fit

    def keep() -> None:
        reservoir = Reservoir(1000, 1)
        for start in range(0, keeping, 1000):
            reservoir.offer_run(b"/index.html", b"user_1234567", start, start + 1000)
            reservoir.take()

    ns, apart = cost(keep, keeping, quick=quick)
    figures.append(Figure("samples", "event: kept", ns, "ns", less=True, detail={"spread": apart}))
    reservoir = Reservoir(1000, 1)
    reservoir.offer_run(b"/index.html", b"user_1234567", 0, 1_000_000)
    figures.append(
        Figure("samples", "bytes a reservoir, 1,000 events of 23 bytes", reservoir.nbytes, "bytes", less=True)
    )
    return figures


def weigh(seen: int) -> int:
    from fastcount.native.samples import BottomK

    sample = BottomK(SECRET, K)
    sample.offer_packed(packed(names(seen)))
    return sample.nbytes


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Redis:
    """A server of our own on a unix socket, ended by its process id."""

    def __init__(self, core: int) -> None:
        self.directory = tempfile.mkdtemp(prefix="fastcount-bench-")
        path = os.path.join(self.directory, "redis.sock")
        ask = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
        self.server = process.spawn([*ask, "--dir", self.directory], core, stdout=subprocess.DEVNULL)
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 15
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if self.server.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise RuntimeError("redis-server did not come up") from None
                time.sleep(0.02)  # it gives no sign but its socket
        version = re.search(rb"redis_version:(\S+)", self.ask(command(b"INFO", b"server"), 0))
        self.version = version[1].decode() if version else "?"

    def ask(self, commands: bytes, replies: int) -> bytes:
        """Send, and read so many one-line replies; 0: one bulk reply."""
        self.socket.sendall(commands)
        got = b""
        while True:
            got += self.socket.recv(1 << 16)
            if replies and got.count(b"\r\n") >= replies:
                break
            head, line, body = got.partition(b"\r\n")
            if not replies and line and len(body) >= int(head[1:]) + 2:
                break
        if got.startswith(b"-") or b"\n-" in got:
            raise RuntimeError(f"redis said {got[:200]!r}")
        return got

    def number(self, *words: bytes) -> int:
        return int(self.ask(command(*words), 1)[1:])

    def close(self) -> None:
        self.socket.close()
        process.stop(self.server)
        shutil.rmtree(self.directory, ignore_errors=True)


def offers(key: bytes, members: Sequence[bytes]) -> list[bytes]:
    """ZADD and ZREMRANGEBYRANK of each member with the score that we give it, in pipelines."""
    from fastcount.native.samples import BottomK

    score = BottomK(SECRET).priority
    trim = command(b"ZREMRANGEBYRANK", key, b"%d" % K, b"-1")
    each = [command(b"ZADD", key, b"%d" % score(m), m) + trim for m in members]
    return [b"".join(each[i : i + PIPELINE]) for i in range(0, len(each), PIPELINE)]


def redis(at: Cores, ours: dict[str, float], *, quick: bool) -> list[Figure]:
    """The same offers and samples there. ours: ns by figure's name."""
    if not shutil.which("redis-server"):
        sys.stderr.write("samples: redis-server is not installed, left out\n")
        return []
    members = names(20_000 if quick else 200_000)
    peer = Redis(at.server)
    figures = []
    try:
        pipelines = offers(b"sample:bench:1", members)
        peer.ask(pipelines[0], 2 * PIPELINE)
        runs = []
        for _ in range(1 if quick else 3):
            before = process.cpu_seconds(peer.server.pid)
            for pipeline in pipelines:
                peer.ask(pipeline, 2 * PIPELINE)
            runs.append((process.cpu_seconds(peer.server.pid) - before) / len(members) * 1e9)
        name = f"Redis {peer.version} offer: ZADD, ZREMRANGEBYRANK, {PIPELINE} a pipeline, most not kept"
        against = ours["offer: not kept"]
        detail = {"runs": runs, "spread": spread(runs)}
        figures.append(Figure("samples", name, median(runs), "ns", "ours, not kept", against, less=True, detail=detail))
        for seen in (1, 10, K, 1_000_000):
            weight = weigh(seen)
            key = b"sample:bench:of-%d" % seen
            for pipeline in offers(key, names(min(seen, 20_000))):
                peer.ask(pipeline, pipeline.count(b"ZADD") * 2)
            there = peer.number(b"MEMORY", b"USAGE", key)
            words = f"bytes a sample, k = {K}, {seen:,} members seen"
            beside = f"Redis {peer.version} MEMORY USAGE"
            figures.append(Figure("samples", words, weight, "bytes", beside, there, less=True))
    finally:
        peer.close()
    return figures


def figures(at: Cores, *, quick: bool) -> list[Figure]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {at.load})
    try:
        rows = native(quick=quick)
        return rows + redis(at, {row.name: row.value for row in rows}, quick=quick)
    finally:
        os.sched_setaffinity(0, before)


def main() -> int:
    for row in figures(cores(), quick="--quick" in sys.argv[1:]):
        beside = f"{row.ratio:8.3f} x {row.against} ({row.against_value:.1f})" if row.ratio else ""
        print(f"{row.name:78} {row.value:10.1f} {row.unit:6}{beside}")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
    sys.exit(main())
