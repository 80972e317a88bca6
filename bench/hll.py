"""HyperLogLog: adds per second and bytes per sketch, beside Redis's PFADD and Apache DataSketches.

    python -m bench.hll [--quick]

Ours by processor time of one thread, hashing of members included; Redis by processor time of its server, on a core of
its own, from one connection, commands packed ahead, replies read; DataSketches from Python, as it can only be called
there. Side by side means the same members, not the same work: Redis also parses commands and answers each.
"""

import argparse
import array
import importlib
import importlib.util
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.load import process
from bench.machine import Cores, cores

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MEMBERS = 1 << 18  # different ones, of 8 to 12 bytes
SPREAD = 16  # times as many adds where they go to many sketches
SKETCHES = 10_000
SIZES = (10, 1_000, 1_000_000)
HOT, MANY = "one hot dense sketch", "10,000 sketches, dense"
TARGETS = {HOT: 50.0, MANY: 15.0}  # M adds/s


def native() -> Any:
    """bench/native/hll_adds.pyx, compiled into bench/build/ if a source is newer."""
    source = HERE / "native" / "hll_adds.pyx"
    build = HERE / "build"
    build.mkdir(exist_ok=True)
    newest = max(path.stat().st_mtime for path in [source, *(ROOT / "src/fastcount/native").glob("*.pxd")])
    built = sorted(build.glob("hll_adds.*.so"))
    if not built or built[0].stat().st_mtime < newest:
        code = (
            "from setuptools import Extension, setup; from Cython.Build import cythonize; "
            f"setup(name='hll_adds', script_args=['-q', 'build_ext', '--build-lib', {str(build)!r}, '--build-temp', "
            f"{str(build / 'temp')!r}], ext_modules=cythonize([Extension('hll_adds', [{str(source)!r}], "
            f"extra_compile_args=['-std=c11', '-O3'], define_macros=[('_GNU_SOURCE', '1')])], "
            f"build_dir={str(build)!r}, include_path=[{str(ROOT / 'src')!r}], compiler_directives={{"
            "'language_level': 3, 'boundscheck': False, 'wraparound': False, 'cdivision': True}))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=build, capture_output=True, text=True, check=False)
        built = sorted(build.glob("hll_adds.*.so"))
        if done.returncode or not built:
            raise RuntimeError(f"hll_adds.pyx does not compile:\n{done.stdout}{done.stderr}")
    spec = importlib.util.spec_from_file_location("hll_adds", built[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def members(n: int) -> list[bytes]:
    draw = random.Random(1)
    return [b"user%d" % draw.randrange(10**4, 10 ** draw.randint(5, 8)) for _ in range(n)]


def packed(names: list[bytes]) -> bytes:
    return b"".join(bytes([len(name)]) + name for name in names)


def best(call: Callable[[], object], runs: int = 5, clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds of the fastest run: what else the machine does only ever adds."""
    seconds = []
    for _ in range(runs):
        start = clock()
        call()
        seconds.append(clock() - start)
    return min(seconds)


def ours(quick: bool) -> dict[str, float]:
    """Million adds/s, and microseconds where the name says so."""
    adds = native()
    names = members(MEMBERS)
    flat = packed(names)
    repeats = 4 if quick else 20
    n = MEMBERS * repeats
    out = {}
    hot = adds.Sketches(1, True)
    hot.fill(2_000_000)
    hot.hot(flat, 1)
    hot.hot_flat(flat, 1)
    out["hash only"] = n / best(lambda: hot.hash_only(flat, repeats)) / 1e6
    out[HOT] = n / best(lambda: hot.hot(flat, repeats)) / 1e6
    out["one hot dense sketch, a byte a register"] = n / best(lambda: hot.hot_flat(flat, repeats)) / 1e6
    for label, count in (("exact, 100 members", 100), ("exact, 1,792 members", 1792)):
        small = adds.Sketches(1)
        few = packed(names[:count])
        small.hot(few, 1)
        rounds = n // count
        out[f"one hot sketch, {label}"] = rounds * count / best(lambda s=small, f=few, r=rounds: s.hot(f, r)) / 1e6
    for label, count in (("1,792", 1792), ("100,000", 100_000)):
        seconds = best(lambda c=count: adds.Sketches(16).fill(c))
        out[f"16 sketches from nothing to {label} members each"] = 16 * count / seconds / 1e6
    # so many adds that the cache lines they touch are all of the sketches' 120 MB
    routes = array.array("I", random.Random(2).choices(range(SKETCHES), k=MEMBERS * SPREAD))
    flat *= SPREAD
    n = MEMBERS * SPREAD
    for label, count in (("dense", 5_000), ("exact, 1,000 members before", 1_000)):
        many = adds.Sketches(SKETCHES, count > 1792)
        many.fill(count)
        many.spread(flat, routes)
        out[f"10,000 sketches, {label}"] = n / best(lambda m=many: m.spread(flat, routes)) / 1e6
        if count > 1792:
            many.spread(flat, routes, True)
            seconds = best(lambda m=many: m.spread(flat, routes, True))
            out["10,000 sketches, dense, a byte a register"] = n / seconds / 1e6
            out["union of 10,000 dense sketches, µs each"] = best(many.union, 3) / SKETCHES * 1e6
        del many
    from fastcount.native import hyperloglog

    rounds = 200 if quick else 2_000
    out["estimate, µs"] = best(lambda: hot.recount(0, rounds)) / rounds * 1e6
    vector = hyperloglog.portable(True)
    out["estimate without vectors, µs"] = best(lambda: hot.recount(0, rounds)) / rounds * 1e6
    hyperloglog.portable(not vector)
    return out


@contextmanager
def server(core: int | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A redis-server of its own on a Unix socket: (process, path)."""
    with tempfile.TemporaryDirectory(prefix="fastcount-bench-") as directory:
        path = f"{directory}/redis.sock"
        words = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
        on = min(os.sched_getaffinity(0)) if core is None else core
        peer = process.spawn([*words, "--dir", directory], on, stdout=subprocess.PIPE)
        try:
            assert peer.stdout is not None
            for line in peer.stdout:
                if "ready to accept connections" in line.lower():
                    break
            else:
                raise RuntimeError("redis-server did not start")
            yield peer, path
        finally:
            process.stop(peer)


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def exchange(peer: "subprocess.Popen[str]", path: str, payload: bytes, replies: int) -> float:
    """Processor time, in seconds, that the server's thread took for as many integer replies."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        start = thread_seconds(peer.pid)
        sender = threading.Thread(target=connection.sendall, args=(payload,))
        sender.start()
        while replies:
            data = connection.recv(1 << 20)
            if not data:
                raise RuntimeError("redis-server closed the connection")
            replies -= data.count(b"\n")
        sender.join()
        return thread_seconds(peer.pid) - start


def thread_seconds(pid: int) -> float:
    """Processor time of a process's main thread so far, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def redis(quick: bool, core: int) -> tuple[dict[str, float], dict[int, int]]:
    """Million adds/s of a server on `core`; bytes of a key at each of SIZES."""
    import redis as client

    names = members(MEMBERS)
    out, sizes = {}, {}
    runs = 2 if quick else 4
    with server(core) as (peer, path):
        each = b"".join(command(b"PFADD", b"hot", name) for name in names)
        exchange(peer, path, each, MEMBERS)
        out[HOT] = MEMBERS / min(exchange(peer, path, each, MEMBERS) for _ in range(runs)) / 1e6
        parts = [command(b"PFADD", b"hot", *names[i : i + 1024]) for i in range(0, MEMBERS, 1024)]
        seconds = min(exchange(peer, path, b"".join(parts), len(parts)) for _ in range(runs))
        out["one hot dense sketch, 1,024 members a command"] = MEMBERS / seconds / 1e6
        draw = random.Random(2)
        fill = bytearray()
        for i in range(SKETCHES):
            fill += command(b"PFADD", b"hll:%d" % i, *(b"%d" % draw.getrandbits(60) for _ in range(2_000)))
            if len(fill) > 1 << 26 or i == SKETCHES - 1:
                exchange(peer, path, bytes(fill), fill.count(b"PFADD"))
                fill.clear()
        draw = random.Random(2)
        spread = b"".join(command(b"PFADD", b"hll:%d" % draw.randrange(SKETCHES), name) for name in names)
        exchange(peer, path, spread, MEMBERS)
        out[MANY] = MEMBERS / min(exchange(peer, path, spread, MEMBERS) for _ in range(runs)) / 1e6
        with client.Redis(unix_socket_path=path) as connection:
            for size in SIZES:
                for start in range(0, size, 10_000):
                    connection.pfadd(f"size{size}", *range(start, min(size, start + 10_000)))
                sizes[size] = connection.memory_usage(f"size{size}") or 0
    return out, sizes


def our_sizes() -> dict[int, int]:
    from fastcount.native.hyperloglog import HyperLogLog

    out = {}
    for size in SIZES:
        sketch = HyperLogLog()
        for i in range(size):
            sketch.add(b"%d" % i)
        sketch.drain()
        out[size] = sketch.memory
    return out


def datasketches() -> tuple[dict[str, float], dict[int, int]] | None:
    """The same from Python, beside ours called the same way; None if it is not installed."""
    try:
        from datasketches import hll_sketch, tgt_hll_type
    except ImportError:
        return None
    from fastcount.native.hyperloglog import HyperLogLog

    names = members(MEMBERS)
    texts = [name.decode() for name in names]
    theirs, own = hll_sketch(14, tgt_hll_type.HLL_6), HyperLogLog()

    def feed_theirs() -> None:
        update = theirs.update
        for text in texts:
            update(text)

    def feed_own() -> None:
        add = own.add
        for name in names:
            add(name)

    feed_theirs()
    feed_own()
    out = {
        "theirs": MEMBERS / best(feed_theirs) / 1e6,
        "ours": MEMBERS / best(feed_own) / 1e6,
    }
    many = [hll_sketch(14, tgt_hll_type.HLL_6) for _ in range(SKETCHES)]
    draw = random.Random(2)
    routed = [(many[draw.randrange(SKETCHES)].update, text) for text in texts]

    def feed_many() -> None:
        for update, text in routed:
            update(text)

    owned = [HyperLogLog() for _ in range(SKETCHES)]
    draw = random.Random(2)
    routed_own = [(owned[draw.randrange(SKETCHES)].add, name) for name in names]

    def feed_own_many() -> None:
        for add, name in routed_own:
            add(name)

    feed_own_many()
    out["ours, 10,000"] = MEMBERS / best(feed_own_many) / 1e6
    feed_many()
    out["theirs, 10,000"] = MEMBERS / best(feed_many) / 1e6
    sizes = {}
    for size in SIZES:
        sketch = hll_sketch(14, tgt_hll_type.HLL_6)
        for i in range(size):
            sketch.update(i)
        sizes[size] = sketch.get_updatable_serialization_bytes()
    return out, sizes


def rows(at: Cores, quick: bool) -> Iterator[Figure]:
    own, own_sizes = ours(quick), our_sizes()
    there: tuple[dict[str, float], dict[int, int]] = ({}, {})
    if shutil.which("redis-server"):
        there = redis(quick, at.server)
    else:
        sys.stderr.write("hll: redis-server is not installed, left out\n")
    rates, sizes = there
    unit = "M adds/s"
    for name, rate in own.items():
        micros = name.removesuffix(", µs each").removesuffix(", µs")
        if micros != name:
            yield Figure("hll", micros, rate, "µs", less=True)
            continue
        peer = "Redis PFADD, pipelined" if name in rates else ""
        yield Figure("hll", f"add: {name}", rate, unit, peer, rates.get(name), TARGETS.get(name))
        packed_name = f"{name}, 1,024 members a command"
        if packed_name in rates:
            yield Figure("hll", f"add: {name}", rate, unit, "Redis PFADD, 1,024 members each", rates[packed_name])
    theirs = datasketches()
    if theirs is None:
        sys.stderr.write("hll: datasketches is not installed (pip install datasketches), left out\n")
    else:
        for words, suffix in (("one sketch", ""), ("10,000 sketches, few members each", ", 10,000")):
            peer = "DataSketches HLL_6, lg k 14, the same"
            values = theirs[0]["ours" + suffix], theirs[0]["theirs" + suffix]
            yield Figure("hll", f"add from Python, a call each: {words}", values[0], unit, peer, values[1])
    for size in SIZES:
        name = f"bytes a sketch at {size:,} members"
        if sizes:
            yield Figure("hll", name, own_sizes[size], "bytes", "Redis MEMORY USAGE", sizes[size], less=True)
        if theirs is not None:
            peer = "DataSketches, serialised, updatable"
            yield Figure("hll", name, own_sizes[size], "bytes", peer, theirs[1][size], less=True)


def figures(at: Cores, *, quick: bool) -> list[Figure]:
    sys.stderr.write("hll: adds, and bytes a sketch\n")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {at.load})  # Redis has the other core
    try:
        return list(rows(at, quick))
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats: figures spread more")
    for row in figures(cores(), quick=parser.parse_args().quick):
        beside = f"{row.ratio:8.2f} x {row.against} ({row.against_value:.2f})" if row.ratio else ""
        sys.stdout.write(f"{row.name:64} {row.value:12,.2f} {row.unit:9}{beside}\n")


if __name__ == "__main__":
    main()
