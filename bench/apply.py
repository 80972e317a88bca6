"""`apply` alone on decoded frames, beside a plain C loop over a table (bench/native/bound.c), in turns on one core.

Both by processor time, so that what else runs on the core does not count against either. And of HITs, whose members
also go into uniques, sample and events: a first time, while sketches grow, and when every pair was seen before.
"""

import json
import random
import sys
import time
from typing import Any

from bench.build import program
from bench.figures import Figure, middle, spread
from bench.load import process
from bench.machine import Cores

TYPE = b"bench"
PER_FRAME = 195  # INC records of 7 bytes in a datagram of 1,400
SOURCE = 0x6265_6E63_6821
PART = 0.5  # of the bound: the target
CASES = ((1_000, "1 k names"), (1_000_000, "1 M names"))
HITS_PER_FRAME = 86  # of 16 bytes
PAIRS = 3_000_000  # (id, member), drawn uniformly: 3,000 members a name of 1,000 (dense), 30 of 100,000 (exact)
MEMBERS = 2_000_000  # of 8 bytes
HIT_CASES = ((1_000, "1 k names"), (100_000, "100 k names"))


def frames(names: int, records: int, seed: int = 1, *, sequenced: bool = True) -> list[bytes]:
    """Frames of INC records over ids of 6 digits drawn uniformly, numbered as one source would send them; without
    `sequenced` they can be applied again and again."""
    from fastcount import wire

    each = [wire.encode_record(wire.INC, b"%06d" % number) for number in range(names)]
    draw = random.Random(seed)
    head = wire.encode_type(TYPE)
    out = []
    for seq in range(-(-records // PER_FRAME)):
        header = wire.encode_header(SOURCE, seq, seq * PER_FRAME) if sequenced else wire.encode_header()
        out.append(header + head + b"".join(draw.choices(each, k=PER_FRAME)))
    return out


def hit_frames(names: int, pairs: int, seed: int = 1) -> list[bytes]:
    """Frames of HIT records over ids of 6 digits and members of 8 bytes, for `bench_apply`."""
    from fastcount import wire

    draw = random.Random(seed)
    ids = [wire.encode_record(wire.INC, b"%06d" % number)[1:] for number in range(names)]
    op = wire.encode_record(wire.HIT, b"000000", member=b"u0000000")[:1]
    head = wire.encode_header() + wire.encode_type(TYPE)
    out = []
    for _ in range(-(-pairs // HITS_PER_FRAME)):
        who = draw.choices(range(MEMBERS), k=HITS_PER_FRAME)
        body = (b"%b%b\x08u%07d" % (op, id, m) for id, m in zip(draw.choices(ids, k=HITS_PER_FRAME), who, strict=True))
        out.append(head + b"".join(body))
    return out


def rates(store: Any, data: list[bytes], seconds: float) -> dict[str, float]:
    """Records a second of processor time, over as many rounds as fit into `seconds`, one at least."""
    from fastcount._replay import bench_apply

    decode_s = apply_s = 0.0
    records = 0
    while not records or decode_s + apply_s < seconds:
        wall, cpu = time.perf_counter(), time.process_time()
        decoding, applying, count = bench_apply(store, data, 1)
        on_core = min(1.0, (time.process_time() - cpu) / (time.perf_counter() - wall))
        decode_s, apply_s, records = decode_s + decoding * on_core, apply_s + applying * on_core, records + count
    return {
        "records": records,
        "apply": records / apply_s,
        "decode": records / decode_s,
        "both": records / (decode_s + apply_s),
    }


def child(names: int, seconds: float, kind: str) -> dict[str, Any]:
    """In a process of its own, pinned by who started it: medians are the parent's business."""
    from fastcount._core import Store

    store = Store(max_counters=max(2 * names, 10_000), max_memory=4 << 30)
    for number in range(names):
        store.incr(TYPE, b"%06d" % number)
    if kind == "inc":
        data = frames(names, max(1 << 18, names * 4))
        rates(store, data, 0)
        return {"names": names, **rates(store, data, seconds)}
    data = hit_frames(names, PAIRS)
    first = rates(store, data, 0)
    again = rates(store, data, seconds)
    if store.stats()["members_refused"]:
        raise RuntimeError("members were refused for want of memory")
    held = sorted(store.unique(TYPE, b"%06d" % number).distinct for number in range(0, names, names // 100))
    return {"names": names, **again, "first": first, "members_a_name": held[len(held) // 2]}


def measure(cores: Cores, names: int, words: str, *, quick: bool) -> list[Figure]:
    seconds, times = (0.3, 1) if quick else (1.0, 3)
    ours: list[dict[str, Any]] = []
    bounds: list[dict[str, Any]] = []
    sys.stderr.write(f"apply: {words}\n")
    for _ in range(times):
        command = [sys.executable, "-m", "bench.apply", str(names), str(seconds), "inc"]
        ours.append(json.loads(process.run(command, cores.server, 120)))
        command = [str(program("bound")), "--names", str(names), "--seconds", str(seconds), "--core", str(cores.server)]
        bound = json.loads(process.run(command, cores.server, 120))
        bound["best"] = max(bound["one_by_one"], bound["prefetch_16"], bound["prefetch_32"])
        bounds.append(bound)
        sys.stderr.write(f"  {ours[-1]['apply'] / 1e6:.1f} M/s, bound {bound['best'] / 1e6:.1f} M/s\n")
    bound = middle(bounds, "best")
    run = middle(ours, "apply")
    detail = {"run": run, "bound": bound, "runs": ours, "bounds": bounds, "spread": spread([r["apply"] for r in ours])}
    best, unit = bound["best"] / 1e6, "M records/s"
    decode, both = (middle(ours, key)[key] / 1e6 for key in ("decode", "both"))
    against = "plain C table loop"
    return [
        Figure("apply", f"apply alone, {words}", run["apply"] / 1e6, unit, against, best, PART * best, detail=detail),
        Figure("apply", f"decode alone, {words}", decode, unit),
        Figure("apply", f"decode and apply, {words}", both, unit, against, best),
    ]


def measure_hits(cores: Cores, names: int, words: str, *, quick: bool) -> list[Figure]:
    seconds, times = (0.5, 1) if quick else (1.5, 3)
    runs: list[dict[str, Any]] = []
    sys.stderr.write(f"apply: HIT, {words}\n")
    for _ in range(times):
        command = [sys.executable, "-m", "bench.apply", str(names), str(seconds), "hit"]
        runs.append(json.loads(process.run(command, cores.server, 180)))
        sys.stderr.write(
            f"  {runs[-1]['apply'] / 1e6:.1f} M/s, the first time {runs[-1]['first']['apply'] / 1e6:.1f} M/s\n"
        )
    run = middle(runs, "apply")
    unit = "M records/s"
    first = middle([each["first"] for each in runs], "apply")["apply"]
    detail = {"run": run, "runs": runs, "spread": spread([each["apply"] for each in runs])}
    return [
        Figure("apply", f"HIT, apply alone, {words}, pairs seen before", run["apply"] / 1e6, unit, detail=detail),
        Figure("apply", f"HIT, apply alone, {words}, new pairs, sketches growing", first / 1e6, unit),
        Figure("apply", f"HIT, decode and apply, {words}, pairs seen before", middle(runs, "both")["both"] / 1e6, unit),
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(child(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])) + "\n")
