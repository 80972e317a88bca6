"""The codec against test vectors that were written by hand, and the documentation against both."""

import json
import re
from pathlib import Path

import pytest

from fastcount import wire
from fastcount.errors import FrameError

ROOT = Path(__file__).parents[2]
DATA = json.loads((ROOT / "tests/data/wire-vectors.json").read_text())
KEYS = {int(key_id): bytes.fromhex(key) for key_id, key in DATA["keys"].items()}
LEGAL = [v for v in DATA["vectors"] if "frame" in v]
MALFORMED = [v for v in DATA["vectors"] if "error" in v]
DOC = (ROOT / "docs/wire-format.md").read_text()


def by_name(vectors):
    return pytest.mark.parametrize("vector", vectors, ids=[v["name"] for v in vectors])


def decode(vector):
    return wire.decode(
        bytes.fromhex(vector["hex"]),
        max_size=vector.get("max_size", wire.MAX_FRAME),
        keys={i: KEYS[i] for i in vector["keys"]} if "keys" in vector else None,
        require_signature=vector.get("require_signature", False),
    )


def number(text):
    return None if text is None else int(text)


def expected_records(vector):
    return tuple(
        wire.Record(
            getattr(wire, r["op"]),
            r["type"].encode(),
            r["id"].encode(),
            int(r["delta"]),
            None if r["member"] is None else r["member"].encode(),
            number(r["time"]),
        )
        for r in vector["frame"]["records"]
    )


@by_name(LEGAL)
def test_legal_frame_decodes(vector):
    want, got = vector["frame"], decode(vector)
    assert got.version == 1
    assert got.source == (None if want["source"] is None else int(want["source"], 16))
    assert (got.seq, got.sent, got.key_id, got.end) == (
        number(want["seq"]),
        number(want["sent"]),
        want["key_id"],
        want["end"],
    )
    assert got.records == expected_records(vector)


@by_name(LEGAL)
def test_legal_frame_is_encoded_to_the_same_bytes(vector):
    assert wire.encode(decode(vector), keys=KEYS) == bytes.fromhex(vector["hex"])


@by_name([v for v in LEGAL if not v.get("redundant")])
def test_encoding_afresh_gives_the_vector(vector):
    want = vector["frame"]
    key_id = want["key_id"]
    data = wire.build(
        expected_records(vector),
        source=None if want["source"] is None else int(want["source"], 16),
        seq=number(want["seq"]) or 0,
        sent=number(want["sent"]) or 0,
        end=want["end"],
        key=None if key_id is None else (key_id, KEYS[key_id]),
    )
    assert data.hex(" ") == vector["hex"]


@by_name(MALFORMED)
def test_malformed_frame_is_refused_with_code_and_offset(vector):
    with pytest.raises(FrameError) as info:
        decode(vector)
    assert (info.value.code, info.value.offset) == (vector["error"]["code"], vector["error"]["offset"])


def test_every_code_has_a_vector_and_a_description():
    assert {v["error"]["code"] for v in MALFORMED} == set(wire.ERRORS)
    table = re.findall(r"^\| `([a-z_]+)` \|", DOC, re.M)
    assert [code for code in table if code in wire.ERRORS] == list(wire.ERRORS)


def refusal(data):
    try:
        wire.decode(data)
    except FrameError as error:
        return error.code, error.offset
    return None


@by_name([v for v in LEGAL if v["frame"]["key_id"] is None])
def test_a_prefix_is_legal_or_truncated(vector):
    data = bytes.fromhex(vector["hex"])
    for size in range(len(data)):
        code, offset = refusal(data[:size]) or ("truncated", 0)
        assert code == "truncated"
        assert offset <= size


def documented_frames():
    """Blocks of the documentation that look like ``fc 01 …   text``, each named by the vector it shows."""
    for block in re.findall(r"```hex (\S+)\n(.*?)```", DOC, re.S):
        name, body = block
        yield name, "".join(re.match(r"((?:[0-9a-f]{2} ?)*)", line).group(1) for line in body.splitlines())


def test_examples_of_the_documentation_are_vectors():
    hexes = {v["name"]: bytes.fromhex(v["hex"]) for v in DATA["vectors"]}
    examples = list(documented_frames())
    assert len(examples) >= 6
    for name, text in examples:
        assert bytes.fromhex(text) == hexes[name], name


def test_error_examples_of_the_documentation_are_vectors():
    errors = {v["name"]: v["error"] for v in MALFORMED}
    rows = re.findall(r"^\| ([a-z0-9-]+) \| `([0-9a-f ]*)` \| `([a-z_]+)` \| (\d+) \|", DOC, re.M)
    assert len(rows) >= 8
    hexes = {v["name"]: v["hex"] for v in MALFORMED}
    for name, text, code, offset in rows:
        assert text == hexes[name]
        assert {"code": code, "offset": int(offset)} == errors[name]
