"""The bench's generator speaks wire version 1: every frame it sends decodes, and its books are right."""

import json
import socket
import subprocess
from collections import Counter

import pytest
from bench.build import program

from fastcount import wire
from fastcount.wire import Frame

SOURCE = 0x0123456789ABCDEF


def generate(frames: int, per_frame: int, *options: str) -> tuple[dict[str, float], list[bytes]]:
    """Run the generator against a socket of ours; what it printed at its end, and the datagrams it sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        door.bind(("127.0.0.1", 0))
        door.settimeout(20)
        command = [str(program("udpgen")), "--port", str(door.getsockname()[1]), "--source", f"{SOURCE:016x}"]
        command += ["--records", str(frames * per_frame), *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            datagrams = []
            while len(datagrams) < frames or not wire.decode(datagrams[-1]).end:
                datagrams.append(door.recv(65535))
            output, _ = process.communicate(timeout=20)
        assert process.returncode == 0
    return json.loads(output.splitlines()[-1]), datagrams


def decoded(datagrams: list[bytes]) -> list[Frame]:
    frames = [wire.decode(datagram) for datagram in datagrams]
    assert all(frame.source == SOURCE for frame in frames)
    sent = 0
    for seq, frame in enumerate(frames):
        assert (frame.seq, frame.sent) == (seq, sent)
        sent += len(frame.records)
    return frames


@pytest.mark.parametrize("gso", [[], ["--no-gso"]], ids=["gso", "plain"])
@pytest.mark.parametrize("size", [300, 1400])
def test_frames_decode_and_their_books_add_up(gso: list[str], size: int) -> None:
    frames, per_frame = 2000, 20
    rate = ["--rate", str(per_frame * 20_000), "--per-frame", str(per_frame), "--datagram", str(size), "--names", "37"]
    done, datagrams = generate(frames, per_frame, *rate, *gso)
    assert done["frames"] == frames
    assert done["records"] == frames * per_frame
    assert done["bytes"] == sum(map(len, datagrams[:frames]))
    seen = decoded(datagrams)
    assert sum(len(frame.records) for frame in seen) == done["records"]
    names = Counter((record.op, record.type, record.id) for frame in seen for record in frame.records)
    assert set(names) == {(wire.INC, b"bench", b"%06d" % i) for i in range(37)}


def test_datagrams_are_filled_and_no_larger_than_asked_for() -> None:
    done, datagrams = generate(100, 195, "--rate", "2e6", "--datagram", "1400")
    frames = decoded(datagrams)
    assert max(map(len, datagrams)) <= 1400
    assert min(map(len, datagrams[:100])) > 1400 - 2 * 7 - 12
    assert done["records"] == sum(len(frame.records) for frame in frames) == 100 * 195


def test_each_counts_every_name_once_and_hits_carry_members() -> None:
    done, datagrams = generate(500, 4, "--each", "--names", "2000", "--per-frame", "4", "--hit", "--rate", "2e5")
    records = [record for frame in decoded(datagrams) for record in frame.records]
    assert done["records"] == 2000
    assert Counter(record.id for record in records) == Counter(b"%06d" % i for i in range(2000))
    assert all(record.op == wire.HIT and record.member[:1] == b"u" and len(record.member) == 7 for record in records)


def test_a_pool_smaller_than_a_burst_is_not_overwritten_before_it_is_sent() -> None:
    _, datagrams = generate(300, 1, "--each", "--names", "7", "--per-frame", "1")
    names = Counter(record.id for frame in decoded(datagrams) for record in frame.records)
    assert sorted(names.values()) == [42, 43, 43, 43, 43, 43, 43]


def test_zipf_prefers_the_first_names() -> None:
    options = ("--zipf", "1", "--names", "1000", "--per-frame", "100", "--rate", "4e6")
    _, datagrams = generate(1000, 100, *options)
    names = Counter(record.id for frame in decoded(datagrams) for record in frame.records)
    total, harmonic = names.total(), sum(1 / rank for rank in range(1, 1001))
    for rank in (1, 2, 4):
        assert names[b"%06d" % (rank - 1)] == pytest.approx(total / rank / harmonic, rel=0.15)


def test_an_unknown_option_is_an_error_that_names_it() -> None:
    done = subprocess.run([program("udpgen"), "--port", "9", "--recrods", "5"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--recrods" in done.stderr


def test_pairs_go_round() -> None:
    """--pairs: so many HITs are made ahead, members of 8 bytes among them, and sent again in the same order."""
    per_frame = 20
    options = ["--hit", "--members", "2000000", "--pairs", "200", "--names", "1000", "--per-frame", str(per_frame)]
    _, datagrams = generate(30, per_frame, "--rate", "4e5", *options)
    records = [record for frame in decoded(datagrams) for record in frame.records]
    pairs = [(record.op, record.id, record.member) for record in records]
    assert len(pairs) == 600
    assert len(set(pairs)) > 190
    assert pairs[:200] == pairs[200:400] == pairs[400:]
    assert {(op, len(id), len(member or b"")) for op, id, member in pairs} == {(wire.HIT, 6, 8)}
