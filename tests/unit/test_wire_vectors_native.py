"""The native decoder against the same hand-written vectors as the codec in Python."""

import json
from pathlib import Path

import pytest

from fastcount import wire
from fastcount._core import Store
from fastcount.errors import FrameError

DATA = json.loads((Path(__file__).parents[1] / "data/wire-vectors.json").read_text())
KEYS = {int(key_id): bytes.fromhex(key) for key_id, key in DATA["keys"].items()}
# a smaller limit is a matter of the door, and the store's is the largest there is
VECTORS = [v for v in DATA["vectors"] if v.get("max_size", wire.MAX_FRAME) == wire.MAX_FRAME]


def store_for(vector):
    keys = {i: KEYS[i] for i in vector["keys"]} if "keys" in vector else None
    if vector.get("require_signature") and not keys:
        keys = {255: b"a key of nobody's"}
    return Store(keys=keys, require_signature=vector.get("require_signature", False))


def test_most_vectors_are_for_the_native_decoder_too():
    assert len(VECTORS) > 0.9 * len(DATA["vectors"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if "frame" in v], ids=lambda v: v["name"])
def test_legal_frame_is_applied(vector):
    store, records = store_for(vector), vector["frame"]["records"]
    frame = bytes.fromhex(vector["hex"])
    want = vector["frame"]
    plausible = want["source"] is None or int(want["sent"]) <= int(want["seq"]) * 524_288 or int(want["seq"]) >= 1024
    applied = store.apply(frame)
    if not plausible or (want["seq"] is not None and int(want["seq"]) == wire.U64_MAX):
        assert applied.status == "inconsistent"  # legal as a frame; the ledger does not believe it
        return
    assert applied == ("applied", len(records), 0)
    totals: dict[tuple[bytes, bytes], int] = {}
    members: dict[tuple[bytes, bytes], set[bytes]] = {}
    for r in records:
        name = r["type"].encode(), r["id"].encode()
        totals[name] = max(wire.I64_MIN, min(wire.I64_MAX, totals.get(name, 0) + int(r["delta"])))
        if r["member"] is not None and r["op"] != "SAMPLE":
            members.setdefault(name, set()).add(r["member"].encode())
    for name, total in totals.items():
        assert store.read(*name).value == total
        assert store.unique(*name).distinct == len(members.get(name, ()))
    if want["source"] is not None:
        (row,) = store.sources()
        assert row["settled"] == want["end"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "error" in v], ids=lambda v: v["name"])
def test_malformed_frame_is_refused(vector):
    store = store_for(vector)
    with pytest.raises(FrameError) as caught:
        store.apply(bytes.fromhex(vector["hex"]))
    assert {"code": caught.value.code, "offset": caught.value.offset} == vector["error"]
    assert store.stats()["malformed"][vector["error"]["code"]] == 1
    assert store.stats()["counters"] == 0
    assert store.stats()["types"] == {}
