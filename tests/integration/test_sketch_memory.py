"""What the store says its sketches take is what the process takes: resident memory of a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastcount

PROGRAM = """
import json, random, sys
from pathlib import Path
from fastcount._core import Store
from twin import frames

def rss():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024

op, names, each, member_bytes, most = map(int, sys.argv[1:6])
store = Store(event_size=0, max_memory=most)
draw = random.Random(1)
ids = [b"name-%07d" % i for i in range(names)]

def frame(round):
    out = []
    for id in ids:
        out.append(frames.record(op, id, member=b"%0*d" % (member_bytes, draw.randrange(10**7))))
        if len(out) == 5000:
            yield frames.header() + frames.type_record(b"t") + b"".join(out)
            out.clear()
    yield frames.header() + frames.type_record(b"t") + b"".join(out)

for one in frame(0):
    pass
before, counted = rss(), store.stats()["memory_bytes"]
for round in range(each):
    for one in frame(round):
        store.apply(one)
store.swap()
stats = store.stats()
assert stats["memory_bytes"] <= most
print(json.dumps([rss() - before, stats["memory_bytes"] - counted, stats["members_refused"], stats["sketches"]]))
"""
MIB = 1 << 20


@pytest.mark.parametrize(
    ("op", "names", "each", "member_bytes", "most"),
    [
        (5, 50_000, 8, 8, 1024 * MIB),  # HIT: small sketches
        (3, 500, 2500, 8, 1024 * MIB),  # SEEN: dense ones
        (4, 5_000, 150, 40, 1024 * MIB),  # SAMPLE: full samples
        (5, 20_000, 40, 8, 16 * MIB),  # HIT, more than there is room for
    ],
)
def test_resident_memory_is_near_what_the_store_counts(
    op: int, names: int, each: int, member_bytes: int, most: int
) -> None:
    command = [sys.executable, "-c", PROGRAM, *map(str, (op, names, each, member_bytes, most))]
    paths = [str(Path(fastcount.__file__).parents[1]), str(Path(__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr
    resident, counted, refused, sketches = json.loads(done.stdout)
    assert sketches > 0
    assert (refused > 0) == (most < 1024 * MIB)
    print(op, names, resident, counted, resident / counted)
    # beside it: what malloc keeps of blocks that grew away, and a few MiB of the interpreter's
    assert 0.7 * counted < resident < 1.5 * counted + 4 * MIB
