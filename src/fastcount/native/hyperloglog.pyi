"""A HyperLogLog as a Python object, bit for bit Redis's (see hll.pxd for the theory)."""

from collections.abc import Iterable
from typing import Literal, final

from typing_extensions import Buffer

def murmur64a(data: Buffer) -> int:
    """MurmurHash64A with Redis's seed, of less than 4 GiB: what `HyperLogLog.add_hash` takes."""

def preimage(register: int, rank: int) -> bytes:
    """The 8-byte member that puts `rank` (1-51) into `register` (0-16,383), here and through PFADD.
    Raises ValueError outside of these."""

def item_register(item: int) -> tuple[int, int]:
    """(register, rank) of an item that `drain` gave. Raises ValueError if it is none."""

def portable(on: bool) -> bool:
    """Whether the vector loops were in use so far. With `on` the portable ones are from now on; for tests."""

def read_redis(data: Buffer) -> tuple[bytes, int | None]:
    """(registers, cached cardinality or None) of a Redis string: a byte a register, 16,384 of them.
    Raises SketchError."""

@final
class HyperLogLog:
    """How many distinct members were added. `gen` is the generation (0 or 1) whose `drain` reports a change."""

    @classmethod
    def from_redis(cls, data: Buffer) -> HyperLogLog:
        """From the value of a Redis key, sparse or dense; nothing waits to be drained. Its cached cardinality is not
        believed but computed anew. Raises SketchError, with an offset, for anything Redis would not have written."""

    def add(self, member: Buffer, gen: int = 0) -> bool:
        """Whether there is more for `drain(gen)` than before."""

    def add_hash(self, hash: int, gen: int = 0) -> bool:
        """`add` of the member with this `murmur64a`."""

    def merge(self, other: HyperLogLog, gen: int = 0) -> bool:
        """Union; whether anything changed."""

    def merge_items(self, items: Iterable[int], gen: int = 0) -> bool:
        """Union with what another sketch's `drain` gave. ValueError for what is no item: nothing changed."""

    def merge_registers(self, values: Buffer, gen: int = 0) -> bool:
        """Union with 16,384 bytes, a register (0-51) each. Raises ValueError, with nothing changed."""

    def drain(self, gen: int = 0) -> list[int]:
        """What changed under `gen` since its last drain, as 32-bit items (see `item_register`), each once."""

    def count(self) -> int:
        """Distinct members: exact while `form` is "exact", else Redis's estimate."""

    def redis_count(self) -> int:
        """What PFCOUNT says of these registers."""

    @property
    def error(self) -> float:
        """One relative standard error of `count`: 0.0 while exact, else 0.008125."""

    @property
    def form(self) -> Literal["empty", "exact", "sparse", "dense"]:
        """How it is held in memory; sparse: small, but made from registers instead of members."""

    @property
    def memory(self) -> int:
        """Bytes, with what malloc adds."""

    def cost(self, gen: int = 0) -> int:
        """Bytes by which `memory` may grow with the next `add`, at most."""

    def registers(self) -> bytes:
        """16,384 bytes, a register (0-51) each."""

    def to_redis(self, *, encoding: Literal["auto", "sparse", "dense"] = "auto", cached: bool = True) -> bytes:
        """The value for SET: then PFCOUNT of that key answers `count`. auto: sparse up to Redis's default limit of
        3,000 bytes. cached: with the cardinality in its header; without, PFCOUNT answers `redis_count`.
        Raises ValueError if "sparse" is not possible."""
