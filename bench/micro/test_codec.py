"""The codec in plain Python: what a client pays, and the oracle."""

from pytest_benchmark.fixture import BenchmarkFixture

from bench.apply import PER_FRAME, frames
from fastcount import wire
from fastcount.packer import Packer


def test_decode_in_python(benchmark: BenchmarkFixture) -> None:
    """wire.decode of a frame of 1,400 bytes."""
    frame = frames(1000, PER_FRAME)[0]
    benchmark.extra_info["operations"] = PER_FRAME
    assert len(benchmark(wire.decode, frame).records) == PER_FRAME


def test_encode_in_python(benchmark: BenchmarkFixture) -> None:
    """Packer.add: 10,000 increments into datagrams."""
    ids = [f"{number % 1000:06d}" for number in range(10_000)]

    def pack() -> int:
        packer = Packer(1400)
        packed = [frame for id in ids for frame in packer.add("bench", id)]
        return sum(frame.records for frame in packed + list(packer.finish()))

    benchmark.extra_info["operations"] = len(ids)
    assert benchmark(pack) == len(ids)
