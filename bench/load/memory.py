"""Bytes a counter takes, at a million counters: by the process's resident memory and by the store's own count."""

from bench.figures import Figure
from bench.load.server import Server
from bench.load.traffic import Traffic, fill, send
from bench.load.udp import say
from bench.machine import Cores

NAMES = 1_000_000
ID_BYTES = 6
TARGET = 64.0  # bytes a counter, without its key
REDIS = 72.0 - len("counter:content:1234567")  # of a counter in Redis 7.0, less its key: a peer, measured elsewhere


def figures(cores: Cores) -> list[Figure]:
    say(f"memory: {NAMES:,} counters")
    with Server(cores.server) as server:
        # what a busy server needs anyway (buffers, a page of everything) is there before the first look
        send(server, cores.load, Traffic(1), 5e6, seconds=0.3)
        server.get("/v1/counter/bench/000000")
        before, stats_before = server.rss_bytes(), server.get("/v1/stats")["store"]
        outcome = fill(server, cores.load, Traffic(NAMES))
        after, stats = server.rss_bytes(), server.get("/v1/stats")["store"]
    counters = stats["counters"] - stats_before["counters"]
    if not NAMES - 1 <= counters <= NAMES:
        raise RuntimeError(f"{NAMES:,} names were sent and {counters:,} are new")
    resident = (after - before) / counters - ID_BYTES
    counted = (stats["memory_bytes"] - stats_before["memory_bytes"]) / counters - ID_BYTES
    say(f"  {resident:.1f} bytes resident, {counted:.1f} by the store's count")
    detail = {
        "counters": counters,
        "id_bytes": ID_BYTES,
        "rss_before": before,
        "rss_after": after,
        "store_before": stats_before["memory_bytes"],
        "store_after": stats["memory_bytes"],
        "fill": outcome.to_json(),
    }
    peer = ("Redis, its key off, elsewhere", REDIS)
    return [
        Figure("memory", "resident a counter, key off", resident, "bytes", *peer, TARGET, less=True, detail=detail),
        Figure("memory", "store's count, key off", counted, "bytes", *peer, TARGET, less=True, detail=detail),
    ]
