"""The HyperLogLog against a real redis-server: same members, same registers, same answers, in both directions."""

import os
import random
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

import pytest
import redis

from fastcount.errors import SketchError
from fastcount.native.hyperloglog import HyperLogLog, item_register, preimage, read_redis
from redis_server import redis_server
from twin import hll as twin


@pytest.fixture(scope="module")
def server() -> Iterator[redis.Redis]:
    with redis_server() as client:
        yield client


@pytest.fixture
def client(server: redis.Redis) -> redis.Redis:
    server.flushall()
    return server


def pfadd(client: redis.Redis, key: str, members: Iterable[bytes]) -> None:
    rest = iter(members)
    while part := list(islice(rest, 10_000)):
        client.pfadd(key, *part)


def random_members(n: int) -> Iterator[bytes]:
    numbers = random.Random(n)
    return (numbers.randbytes(numbers.randint(1, 24)) for _ in range(n))


def repeated(n: int) -> Iterator[bytes]:
    return (b"user_%d" % (i * i % (n // 3 + 1)) for i in range(n))


def one_register(n: int) -> Iterator[bytes]:
    """All ranks of the same few registers, lowest first: each changes something."""
    return (preimage(16380 + i % 4, i // 4 % 51 + 1) for i in range(n))


def neighbours(n: int) -> Iterator[bytes]:
    """Runs of equal registers side by side, from the top: Redis splits and joins its VAL runs."""
    return (preimage(16383 - i % 16384, 1 + i // 16384) for i in range(n))


def every_other(n: int) -> Iterator[bytes]:
    """The longest sparse string per member."""
    return (preimage(i * 2 % 16384, i % 33 + 1) for i in range(n))


def long_members(n: int) -> Iterator[bytes]:
    return (b"\0" * (i % 4096) + b"%d" % i for i in range(n))


SETS = [random_members, repeated, one_register, neighbours, every_other, long_members]


@pytest.mark.parametrize("members", SETS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 63, 500, 1300, 1800, 3000, 20_000])
def test_registers_and_answers_after_the_same_members(client: redis.Redis, members, n: int) -> None:
    same_as_redis(client, members, n)


def test_a_million_members_and_in_a_soak_ten(client: redis.Redis) -> None:
    soak = os.environ.get("FASTCOUNT_HYPOTHESIS") == "soak"
    same_as_redis(client, random_members, 10_000_000 if soak else 1_000_000)


def same_as_redis(client: redis.Redis, members, n: int) -> None:
    sketch = HyperLogLog()
    for member in members(n):
        sketch.add(member)
    pfadd(client, "theirs", [])
    client.pfadd("theirs")  # creates it, if n is 0
    pfadd(client, "theirs", members(n))

    theirs = client.get("theirs")
    registers, cached = read_redis(theirs)
    assert cached is None or n == 0
    assert registers == sketch.registers()
    assert client.pfcount("theirs") == sketch.redis_count()

    # byte for byte, cached cardinality and all
    theirs = client.get("theirs")
    ours = HyperLogLog.from_redis(theirs)  # knows registers only: its count is PFCOUNT's
    if theirs[4] == 0:
        assert ours.to_redis(encoding="dense") == theirs
    elif all(not a or a != b for a, b in pairwise(registers)):
        assert ours.to_redis(encoding="sparse") == theirs
    else:  # how equal neighbours are joined depends on history
        assert len(ours.to_redis(encoding="sparse")) <= len(theirs)

    # our strings there, with and without the cardinality
    for encoding in ("auto", "dense"):
        client.set("ours", sketch.to_redis(encoding=encoding))
        assert client.pfcount("ours") == sketch.count()
        client.set("ours", sketch.to_redis(encoding=encoding, cached=False))
        assert client.pfcount("ours") == sketch.redis_count()
        if n:
            assert client.pfadd("ours", *islice(members(n), 100)) == 0
        assert client.pfadd("ours", preimage(9, 51)) == 1
        client.pfmerge("ours", "theirs")
        assert read_redis(client.get("ours"))[0] == registers[:9] + b"\x33" + registers[10:]


def test_redis_merges_ours_as_we_do(client: redis.Redis) -> None:
    parts = []
    for i, n in enumerate([0, 5, 900, 1792, 1793, 30_000]):
        part = HyperLogLog()
        for member in random_members(n):
            part.add(member)
        parts.append(part)
        client.set(f"part{i}", part.to_redis())
    keys = [f"part{i}" for i in range(len(parts))]
    for upto in range(1, len(parts) + 1):
        whole = HyperLogLog()
        for part in parts[:upto]:
            whole.merge(part)
        client.delete("whole")
        client.pfmerge("whole", *keys[:upto])
        assert read_redis(client.get("whole"))[0] == whole.registers()
        assert client.pfcount("whole") == client.pfcount(*keys[:upto]) == whole.redis_count()


def test_preimages_reach_every_register_and_rank(client: redis.Redis) -> None:
    """Ascending, so that each is seen to arrive."""
    for rank in range(1, 52):
        members = [preimage(register, rank) for register in range(16384)]
        assert client.pfadd("registers", *members) == 1
        assert read_redis(client.get("registers"))[0] == bytes([rank]) * 16384


def test_a_drain_reaches_redis_as_pfadd(client: redis.Redis) -> None:
    sketch = HyperLogLog()
    numbers = random.Random(8)
    for step in (3, 1000, 2000, 50_000):
        for _ in range(step):
            sketch.add_hash(numbers.getrandbits(64))
        pfadd(client, "delta", (preimage(*item_register(item)) for item in sketch.drain()))
        assert read_redis(client.get("delta"))[0] == sketch.registers()
        assert client.pfcount("delta") == sketch.redis_count()


def test_what_redis_refuses_is_refused_here(client: redis.Redis) -> None:
    """Not the other way round: Redis looks at runs only when it needs them, and never at a dense register's value."""
    sketch = HyperLogLog()
    for member in random_members(800):
        sketch.add(member)
    numbers = random.Random(4)
    refused = 0
    for _ in range(400):
        data = bytearray(sketch.to_redis(encoding=numbers.choice(["sparse", "dense"]), cached=False))
        for _ in range(numbers.randint(1, 3)):
            data[numbers.choice([numbers.randrange(len(data)), numbers.randrange(20)])] = numbers.randrange(256)
        if numbers.random() < 0.3:
            del data[numbers.randrange(len(data)) :]
        if len(data) > 15:
            data[15] |= 0x80  # not cached: it has to look
        client.set("bad", bytes(data))
        try:
            answer = client.pfcount("bad")
        except redis.ResponseError:
            refused += 1
            with pytest.raises(SketchError):
                HyperLogLog.from_redis(data)
            assert twin.parse(bytes(data)) is None
        else:
            if twin.parse(bytes(data)) is not None:
                assert HyperLogLog.from_redis(data).redis_count() == answer
    assert refused > 20
