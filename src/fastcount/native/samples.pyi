"""Python doors to the samples and their hash, for tests, benches and whoever wants to look."""

from typing import Self, final

from typing_extensions import Buffer

def siphash24(secret: bytes, data: bytes) -> int:
    """SipHash-2-4 of `data` under 16 secret bytes: 64 bits. Raises ValueError (length of the secret)."""

def siphash_packed(secret: bytes, packed: Buffer) -> int:
    """The sum (mod 2^64) of the priorities of members packed as (length u8, bytes)*: what the hash alone costs.
    Raises ValueError (length of the secret, or not packed so)."""

def fail_allocation(after: int) -> None:
    """Let the allocation of a sketch or a batch after `after` successful ones fail, once; -1: none. For tests."""

@final
class BottomK:
    """A uniform sample of k distinct members (1..4,096) under a 16-byte secret. Not thread-safe.

    `gen`: 0 or 1, the generation that an entering member is marked with; 2 marks nothing (restoring). Generation g is
    drained after the cut to 1-g and before g is used again.
    """

    secret: bytes
    def __new__(cls, secret: bytes, k: int = 100) -> Self: ...
    def __len__(self) -> int: ...
    @property
    def k(self) -> int: ...
    @property
    def nbytes(self) -> int:
        """Heap bytes and the struct itself."""
    @property
    def ghosts(self) -> int:
        """Members pushed out since the cut that still wait for their drain."""
    def priority(self, member: bytes) -> int:
        """53 bits of the member's SipHash."""
    def offer(self, member: bytes, gen: int = 0) -> bool:
        """Whether it entered. Raises ValueError (a member has 1..255 bytes), MemoryError (nothing changed)."""
    def offer_hashed(self, priority: int, member: bytes, gen: int = 0) -> bool:
        """`offer` with a priority of the caller's, 0..2^53-1."""
    def offer_packed(self, packed: Buffer, gen: int = 0) -> int:
        """Offer members packed as (length u8, bytes)*; how many entered. Raises ValueError where the packing ends,
        MemoryError; members before that were offered."""
    def merge(self, other: BottomK, gen: int = 0) -> int:
        """Take in another sample of the same secret, k becoming the smaller one; how many members entered.
        Raises ValueError (other secret), MemoryError (nothing changed)."""
    def set_k(self, k: int, gen: int = 0) -> int:
        """Change k; what it is then: it cannot grow once a member was turned away."""
    def members(self) -> list[tuple[int, bytes]]:
        """(priority, member), ascending."""
    def distinct(self) -> float:
        """Distinct members seen: exact up to k, then an estimate with standard error 1/sqrt(k-2)."""
    def changed(self, gen: int) -> int:
        """How many members `drain` would give. Raises ValueError."""
    def drain(self, gen: int) -> list[tuple[int, bytes]]:
        """(priority, member) of what entered in generation 0 or 1 and was in the sample at its end; unmarks them."""
    def to_bytes(self) -> bytes:
        """Version u8 = 1 | full u8 | k u16le | n u16le | n rows (priority u64le | length u8 | member), ascending."""
    @classmethod
    def from_bytes(cls, data: bytes, secret: bytes, verify: bool = True) -> BottomK:
        """What `to_bytes` gave. Raises ValueError saying what is wrong; `verify`: also when a priority is not its
        member's hash under `secret`."""
    def check(self) -> str | None:
        """Which invariant is broken, or None."""

@final
class Reservoir:
    """A uniform sample of up to k events (1..65,536). `seed` None: from the system. Not thread-safe."""

    def __new__(cls, k: int = 1000, seed: int | None = None) -> Self: ...
    @staticmethod
    def fit(max_bytes: int) -> int:
        """The largest k that never holds more than `max_bytes` of heap; 0: none."""
    def __len__(self) -> int: ...
    @property
    def k(self) -> int: ...
    @property
    def seen(self) -> int:
        """Events counted since the start or the last `take`."""
    @property
    def weight(self) -> float:
        """Events that each one kept stands for."""
    @property
    def nbytes(self) -> int:
        """Heap bytes and the struct itself."""
    def offer(self, id: bytes, member: bytes = b"", time: int = 0) -> bool:
        """Count an event; whether it was kept. Raises ValueError, MemoryError (then it was not counted)."""
    def offer_run(self, id: bytes, member: bytes, start: int, stop: int, skipping: bool = False) -> int:
        """Offer an event at each time start..stop-1; how many were kept. `skipping`: pass over runs in one step."""
    def events(self) -> list[tuple[bytes, bytes, int]]:
        """(id, member, time) of the events kept, in no particular order."""
    def take(self) -> Reservoir:
        """Hand the interval over and start anew."""
    def merge(self, other: Reservoir) -> None:
        """Take in the events of another stream, k becoming the smaller one. Raises ValueError (itself), MemoryError
        (nothing changed)."""
    def check(self) -> str | None:
        """Which invariant is broken, or None."""
