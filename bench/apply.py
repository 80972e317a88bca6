"""`apply` alone on decoded frames, beside a plain C loop over a table (bench/native/bound.c), in turns on one core.

Both by processor time, so that what else runs on the core does not count against either.
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


def child(names: int, seconds: float) -> dict[str, Any]:
    """In a process of its own, pinned by who started it: medians are the parent's business."""
    from fastcount._core import Store, bench_apply

    store = Store(max_counters=max(2 * names, 10_000))
    data = frames(names, max(1 << 18, names * 4))
    for number in range(names):
        store.incr(TYPE, b"%06d" % number)
    bench_apply(store, data, 1)
    decode_s = apply_s = 0.0
    records = 0
    while decode_s + apply_s < seconds:
        wall, cpu = time.perf_counter(), time.process_time()
        decoding, applying, count = bench_apply(store, data, 1)
        on_core = min(1.0, (time.process_time() - cpu) / (time.perf_counter() - wall))
        decode_s, apply_s, records = decode_s + decoding * on_core, apply_s + applying * on_core, records + count
    return {
        "names": names,
        "records": records,
        "apply": records / apply_s,
        "decode": records / decode_s,
        "both": records / (decode_s + apply_s),
    }


def measure(cores: Cores, names: int, words: str, *, quick: bool) -> list[Figure]:
    seconds, times = (0.3, 1) if quick else (1.0, 3)
    ours: list[dict[str, Any]] = []
    bounds: list[dict[str, Any]] = []
    sys.stderr.write(f"apply: {words}\n")
    for _ in range(times):
        command = [sys.executable, "-m", "bench.apply", str(names), str(seconds)]
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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(child(int(sys.argv[1]), float(sys.argv[2]))) + "\n")
