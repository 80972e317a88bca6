"""Python doors to the samples (bottomk.pxd, reservoir.pxd) and their hash, for tests, benches and whoever wants to
look. The store uses the C level directly."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastcount.native.bottomk cimport (
    BOTTOMK_BAD_HEADER, BOTTOMK_BAD_KEY, BOTTOMK_BAD_LENGTH, BOTTOMK_BAD_ORDER, BOTTOMK_BAD_VERSION, BOTTOMK_DEFAULT_K,
    BOTTOMK_MAX_K, BOTTOMK_MEMBER_MAX, BOTTOMK_NO_MEMORY, BOTTOMK_QUIET, bottomk_t, bottomk_changed, bottomk_check,
    bottomk_distinct, bottomk_drain, bottomk_drain_size, bottomk_dump, bottomk_dump_size, bottomk_free, bottomk_init,
    bottomk_load, bottomk_member, bottomk_memory, bottomk_merge, bottomk_offer, bottomk_priority, bottomk_set_k,
)
from fastcount.native.heap cimport heap_fail_in
from fastcount.native.reservoir cimport (
    RESERVOIR_DEFAULT_K, RESERVOIR_MAX_K, reservoir_t, reservoir_check, reservoir_event_t, reservoir_fit,
    reservoir_free, reservoir_get, reservoir_init, reservoir_init_seeded, reservoir_memory, reservoir_merge,
    reservoir_offer, reservoir_pass, reservoir_seen, reservoir_take, reservoir_weight,
)
from fastcount.native.siphash cimport siphash, siphash53, sipkey_t, sipkey_load


cdef dict PROBLEMS = {
    BOTTOMK_BAD_VERSION: "a version this build does not know",
    BOTTOMK_BAD_HEADER: "its flags, k or n are impossible",
    BOTTOMK_BAD_LENGTH: "truncated, too long, or an empty member",
    BOTTOMK_BAD_ORDER: "rows not strictly ascending, or a priority beyond 53 bits",
    BOTTOMK_BAD_KEY: "a priority is not its member's hash: corrupt, or from a deployment with another secret",
}


cdef int load_key(sipkey_t *key, bytes secret) except -1:
    if len(secret) != 16:
        raise ValueError(f"a secret has 16 bytes, not {len(secret)}")
    sipkey_load(key, <const uint8_t *>PyBytes_AS_STRING(secret))
    return 0


cdef int check_gen(int gen) except -1:
    if gen < 0 or gen > BOTTOMK_QUIET:
        raise ValueError(f"a generation is 0, 1 or 2 (quiet), not {gen}")
    return 0


cdef str PACKING = "members are packed as length 1..255, then so many bytes"


cdef inline const uint8_t *start_of(const uint8_t[::1] packed) noexcept:
    return &packed[0] if packed.shape[0] > 0 else NULL


cdef inline bint whole(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Whether a packed member lies at `at`."""
    return at < end and at[0] > 0 and end - at > at[0]


def siphash24(secret: bytes, data: bytes) -> int:
    """SipHash-2-4 of `data` under 16 secret bytes: 64 bits."""
    cdef sipkey_t key
    load_key(&key, secret)
    return siphash(&key, <const uint8_t *>PyBytes_AS_STRING(data), len(data))


def siphash_packed(secret: bytes, const uint8_t[::1] packed) -> int:
    """The sum (mod 2^64) of the priorities of members packed as (length u8, bytes)*: what the hash alone costs."""
    cdef sipkey_t key
    cdef uint64_t total = 0
    cdef const uint8_t *at = start_of(packed)
    cdef const uint8_t *end = at + packed.shape[0]
    load_key(&key, secret)
    with nogil:
        while whole(at, end):
            total += siphash53(&key, at + 1, at[0])
            at += 1 + at[0]
    if at != end:
        raise ValueError(PACKING)
    return total


def fail_allocation(after: int) -> None:
    """Let the sketches' allocation after `after` successful ones fail, once; -1: none. For tests."""
    heap_fail_in(after)


@cython.final
cdef class BottomK:
    """A sample of k distinct members under a 16-byte secret; see bottomk.pxd. Not thread-safe."""

    cdef bottomk_t s
    cdef sipkey_t key
    cdef readonly bytes secret

    def __cinit__(self, secret: bytes, k: int = BOTTOMK_DEFAULT_K):
        bottomk_init(&self.s, 1)
        load_key(&self.key, secret)
        if not 1 <= k <= BOTTOMK_MAX_K:
            raise ValueError(f"k must be 1..{BOTTOMK_MAX_K}, not {k}")
        self.secret = secret
        bottomk_init(&self.s, k)

    def __dealloc__(self):
        bottomk_free(&self.s)

    def __len__(self) -> int:
        return self.s.n

    @property
    def k(self) -> int:
        return self.s.k

    @property
    def nbytes(self) -> int:
        """Heap bytes and the struct itself."""
        return bottomk_memory(&self.s) + sizeof(bottomk_t)

    @property
    def ghosts(self) -> int:
        """Members pushed out since the cut that still wait for their drain."""
        return self.s.ghosts

    def priority(self, member: bytes) -> int:
        return siphash53(&self.key, <const uint8_t *>PyBytes_AS_STRING(member), len(member))

    def offer(self, member: bytes, gen: int = 0) -> bool:
        """Whether it entered. Raises ValueError (a member has 1..255 bytes), MemoryError (nothing changed)."""
        return self.offer_hashed(self.priority(member), member, gen)

    def offer_hashed(self, uint64_t priority, member: bytes, int gen = 0) -> bool:
        """`offer` with a priority of the caller's, 0..2^53-1."""
        cdef int entered
        check_gen(gen)
        if priority >> 53 or not 1 <= len(member) <= BOTTOMK_MEMBER_MAX:
            raise ValueError("a member has 1..255 bytes, a priority 53 bits")
        entered = bottomk_offer(&self.s, priority, <const uint8_t *>PyBytes_AS_STRING(member), len(member), gen)
        if entered == BOTTOMK_NO_MEMORY:
            raise MemoryError("no memory for the sample; it is unchanged")
        return entered == 1

    def offer_packed(self, const uint8_t[::1] packed, int gen = 0) -> int:
        """Offer members packed as (length u8, bytes)*; how many entered."""
        cdef const uint8_t *at = start_of(packed)
        cdef const uint8_t *end = at + packed.shape[0]
        cdef int entered = 0
        cdef uint64_t total = 0
        check_gen(gen)
        with nogil:
            while entered >= 0 and whole(at, end):
                entered = bottomk_offer(&self.s, siphash53(&self.key, at + 1, at[0]), at + 1, at[0], gen)
                total += entered > 0
                at += 1 + at[0]
        if entered < 0:
            raise MemoryError("no memory for the sample; members before this one were offered")
        if at != end:
            raise ValueError(PACKING)
        return total

    def merge(self, BottomK other not None, int gen = 0) -> int:
        """Take in another sample of the same secret, k becoming the smaller one; how many members entered.
        Raises ValueError (other secret), MemoryError (nothing changed)."""
        cdef int entered
        check_gen(gen)
        if other.secret != self.secret:
            raise ValueError("samples under different secrets cannot be merged: their orders differ")
        entered = bottomk_merge(&self.s, &other.s, gen)
        if entered == BOTTOMK_NO_MEMORY:
            raise MemoryError("no memory for the merge; the sample is unchanged")
        return entered

    def set_k(self, k: int, int gen = 0) -> int:
        """Change k; what it is then: it cannot grow once a member was turned away."""
        if not 1 <= k <= BOTTOMK_MAX_K:
            raise ValueError(f"k must be 1..{BOTTOMK_MAX_K}, not {k}")
        check_gen(gen)
        bottomk_set_k(&self.s, k, gen)
        return self.s.k

    def members(self) -> list[tuple[int, bytes]]:
        """(priority, member), ascending."""
        cdef size_t i, length
        cdef const uint8_t *member
        out = []
        for i in range(self.s.n):
            member = bottomk_member(&self.s, i, &length)
            out.append((bottomk_priority(&self.s, i), PyBytes_FromStringAndSize(<const char *>member, length)))
        return out

    def distinct(self) -> float:
        """Distinct members seen: exact up to k, then an estimate with standard error 1/sqrt(k-2)."""
        return bottomk_distinct(&self.s)

    def changed(self, int gen) -> int:
        check_gen(gen)
        return bottomk_changed(&self.s, gen)

    def drain(self, int gen) -> list[tuple[int, bytes]]:
        """(priority, member) of what entered in generation 0 or 1 and was in the sample at its end; unmarks them."""
        cdef uint8_t *at
        cdef size_t written
        if gen not in (0, 1):
            raise ValueError(f"generations that can be drained are 0 and 1, not {gen}")
        rows = PyBytes_FromStringAndSize(NULL, bottomk_drain_size(&self.s, gen))
        at = <uint8_t *>PyBytes_AS_STRING(rows)
        written = bottomk_drain(&self.s, gen, at)
        assert written == <size_t>len(rows)
        out = []
        i = 0
        while i < len(rows):
            out.append((int.from_bytes(rows[i:i + 8], "little"), rows[i + 9:i + 9 + rows[i + 8]]))
            i += 9 + rows[i + 8]
        return out

    def to_bytes(self) -> bytes:
        cdef size_t written
        out = PyBytes_FromStringAndSize(NULL, bottomk_dump_size(&self.s))
        written = bottomk_dump(&self.s, <uint8_t *>PyBytes_AS_STRING(out))
        assert written == <size_t>len(out)
        return out

    @classmethod
    def from_bytes(cls, data: bytes, secret: bytes, verify: bool = True) -> BottomK:
        """What `to_bytes` gave. Raises ValueError saying what is wrong; `verify`: also when a priority is not its
        member's hash under `secret`."""
        cdef BottomK out = BottomK(secret)
        cdef int status = bottomk_load(&out.s, <const uint8_t *>PyBytes_AS_STRING(data), len(data),
                                       &out.key if verify else NULL)
        if status == BOTTOMK_NO_MEMORY:
            raise MemoryError("no memory for the sample")
        if status < 0:
            raise ValueError(f"not a sample: {PROBLEMS[status]}")
        return out

    def check(self) -> str | None:
        """Which invariant is broken, or None."""
        cdef const char *broken = bottomk_check(&self.s)
        return None if broken == NULL else (<bytes>broken).decode()


@cython.final
cdef class Reservoir:
    """A uniform sample of up to k events; see reservoir.pxd. `seed` None: from the system. Not thread-safe."""

    cdef reservoir_t r

    def __cinit__(self, k: int = RESERVOIR_DEFAULT_K, seed: int | None = None):
        reservoir_init_seeded(&self.r, 1, 0)
        if not 1 <= k <= RESERVOIR_MAX_K:
            raise ValueError(f"k must be 1..{RESERVOIR_MAX_K}, not {k}")
        if seed is not None:
            reservoir_init_seeded(&self.r, k, seed)
        elif reservoir_init(&self.r, k) < 0:
            raise OSError("the system has no random numbers (getrandom failed)")

    def __dealloc__(self):
        reservoir_free(&self.r)

    @staticmethod
    def fit(max_bytes: int) -> int:
        """The largest k that never holds more than `max_bytes` of heap; 0: none."""
        return reservoir_fit(max_bytes)

    def __len__(self) -> int:
        return self.r.n

    @property
    def k(self) -> int:
        return self.r.k

    @property
    def seen(self) -> int:
        return reservoir_seen(&self.r)

    @property
    def weight(self) -> float:
        """Events that each one kept stands for."""
        return reservoir_weight(&self.r)

    @property
    def nbytes(self) -> int:
        """Heap bytes and the struct itself."""
        return reservoir_memory(&self.r) + sizeof(reservoir_t)

    def offer(self, id: bytes, member: bytes = b"", int64_t time = 0) -> bool:
        """Count an event; whether it was kept. Raises ValueError, MemoryError (then it was not counted)."""
        cdef int kept
        if not 1 <= len(id) <= 1023 or len(member) > 255:
            raise ValueError("an id has 1..1,023 bytes, a member 0..255")
        kept = reservoir_offer(&self.r, <const uint8_t *>PyBytes_AS_STRING(id), len(id),
                               <const uint8_t *>PyBytes_AS_STRING(member), len(member), time)
        if kept < 0:
            raise MemoryError("no memory for the event; it was not counted")
        return kept == 1

    def offer_run(self, id: bytes, member: bytes, int64_t start, int64_t stop, skipping: bool = False) -> int:
        """Offer an event at each time start..stop-1; how many were kept. `skipping`: pass over runs in one step."""
        cdef const uint8_t *i = <const uint8_t *>PyBytes_AS_STRING(id)
        cdef const uint8_t *m = <const uint8_t *>PyBytes_AS_STRING(member)
        cdef size_t ni = len(id), nm = len(member)
        cdef bint jump = skipping
        cdef uint64_t total = 0
        cdef int kept = 0
        if not 1 <= ni <= 1023 or nm > 255:
            raise ValueError("an id has 1..1,023 bytes, a member 0..255")
        with nogil:
            while start < stop and kept >= 0:
                if jump:
                    start += <int64_t>reservoir_pass(&self.r, <uint64_t>(stop - start))
                    if start == stop:
                        break
                kept = reservoir_offer(&self.r, i, ni, m, nm, start)
                total += kept > 0
                start += 1
        if kept < 0:
            raise MemoryError("no memory for an event; those before it were counted")
        return total

    def events(self) -> list[tuple[bytes, bytes, int]]:
        """(id, member, time) of the events kept, in no particular order."""
        cdef reservoir_event_t event
        cdef size_t i
        out = []
        for i in range(self.r.n):
            reservoir_get(&self.r, i, &event)
            out.append((
                PyBytes_FromStringAndSize(<const char *>event.id, event.id_length),
                PyBytes_FromStringAndSize(<const char *>event.member, event.member_length),
                event.time,
            ))
        return out

    def take(self) -> Reservoir:
        """Hand the interval over and start anew."""
        cdef Reservoir out = Reservoir(self.r.k, 0)
        reservoir_take(&self.r, &out.r)
        return out

    def merge(self, Reservoir other not None) -> None:
        """Take in the events of another stream, k becoming the smaller one. Raises ValueError (itself), MemoryError
        (nothing changed)."""
        if other is self:
            raise ValueError("a reservoir merged with itself would count its events twice")
        if reservoir_merge(&self.r, &other.r) < 0:
            raise MemoryError("no memory for the merge; the reservoir is unchanged")

    def check(self) -> str | None:
        """Which invariant is broken, or None."""
        cdef const char *broken = reservoir_check(&self.r)
        return None if broken == NULL else (<bytes>broken).decode()
