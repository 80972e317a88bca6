# A uniform sample of *events* of one type and interval: every event has the same chance, however many there are.
#
# Theory. Algorithm L (Kim-Hung Li, "Reservoir-sampling algorithms of time complexity O(n(1+log(N/n)))", ACM TOMS
# 20(4), 1994): give every event a uniform key and keep the k smallest; then w, the largest key kept, decides how many
# events pass before the next smaller one (geometric), so the keys need never be drawn. An event that is passed over
# costs one decrement; k (1 + ln(N/k)) of N are stored.
#
# Reservoirs of disjoint streams (shards, workers, nodes) merge exactly: how many of the merged sample come from the
# one that saw n1 is hypergeometric in (n1, n2), and which of them is uniform. Who is in a sample says nothing about
# w, the k-th of n uniform numbers, so the merged reservoir draws its w afresh from Beta(k, n-k+1) and may go on.
#
# Ownership. Meant to be embedded; owns one heap block. The caller serialises calls. For a consistent cut keep one per
# generation and `reservoir_take` the old one.
#
# Bytes are bounded by bounding k, by the longest possible event (`reservoir_fit`): leaving out events because they
# are long, or once a budget is used up, would make long ones rarer in the sample than in the stream.
#
# Block:  slot[cap] (16 bytes)  |  bytes: id, member of each slot; holes go when the block is next rebuilt

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastcount.native.heap cimport heap_price
from fastcount.native.rng cimport rng_t

cdef enum:
    RESERVOIR_DEFAULT_K = 1000
    RESERVOIR_MAX_K = 65536
    RESERVOIR_PRICE_MAX = 1456      # of one event in a block: slot 16, id 1,023, member 255, and slack for holes

cdef struct reservoir_slot_t:
    int64_t time
    uint32_t offset
    uint16_t id_length
    uint8_t member_length

cdef struct reservoir_t:
    uint64_t skip       # events to pass over before the next one is kept
    uint64_t next       # number of events before that one, so next - skip were seen
    double log_w        # ln of the largest key kept (once full)
    uint8_t *block      # NULL: nothing yet
    uint32_t k
    uint32_t n          # events kept
    uint32_t cap        # slots the block has room for
    uint32_t size       # of the block
    uint32_t used       # of its bytes behind the slots
    uint32_t live       # of those, belonging to a slot
    rng_t random

cdef struct reservoir_event_t:
    int64_t time            # as offered: Unix milliseconds
    const uint8_t *id       # both hold until the reservoir changes
    const uint8_t *member   # length 0: an event without a member
    size_t id_length
    size_t member_length


# cold, in reservoir.pyx
cdef int reservoir_init(reservoir_t *r, size_t k) noexcept nogil
cdef void reservoir_init_seeded(reservoir_t *r, size_t k, uint64_t seed) noexcept nogil
cdef void reservoir_free(reservoir_t *r) noexcept nogil
cdef int reservoir_keep(reservoir_t *r, const uint8_t *id, size_t id_length, const uint8_t *member,
                        size_t member_length, int64_t time) noexcept nogil
cdef size_t reservoir_cost(const reservoir_t *r, size_t length) noexcept nogil
cdef void reservoir_take(reservoir_t *r, reservoir_t *out) noexcept nogil
cdef int reservoir_merge(reservoir_t *r, const reservoir_t *other) noexcept nogil
cdef const char *reservoir_check(const reservoir_t *r) noexcept nogil


cdef inline int reservoir_offer(reservoir_t *r, const uint8_t *id, size_t id_length, const uint8_t *member,
                                size_t member_length, int64_t time) noexcept nogil:
    """Count one event (id 1..1,023 bytes, member 0..255) and perhaps keep it.

    1: kept; 0: passed over; -1: no memory to keep it, and nothing has changed (it does not count as seen).
    """
    if r.skip != 0:
        r.skip -= 1
        return 0
    return reservoir_keep(r, id, id_length, member, member_length, time)


cdef inline uint64_t reservoir_pass(reservoir_t *r, uint64_t events) noexcept nogil:
    """Count as many of `events` coming ones as would be passed over anyway; how many that is. The one after them, if
    there is one, will be kept: for a batch whose events of this type are known."""
    cdef uint64_t n = events if events < r.skip else r.skip
    r.skip -= n
    return n


cdef inline uint64_t reservoir_seen(const reservoir_t *r) noexcept nogil:
    """Events counted since the start or the last `reservoir_take`."""
    return r.next - r.skip


cdef inline double reservoir_weight(const reservoir_t *r) noexcept nogil:
    """How many events each one kept stands for; 0 when there are none."""
    return <double>reservoir_seen(r) / r.n if r.n else 0.0


cdef inline uint8_t *reservoir_bytes(const reservoir_t *r) noexcept nogil:
    return r.block + sizeof(reservoir_slot_t) * <size_t>r.cap


cdef inline void reservoir_get(const reservoir_t *r, size_t i, reservoir_event_t *out) noexcept nogil:
    """Event `i` < n, in no particular order."""
    cdef const reservoir_slot_t *slot = <const reservoir_slot_t *>r.block + i
    out.time = slot.time
    out.id = reservoir_bytes(r) + slot.offset
    out.id_length = slot.id_length
    out.member = out.id + slot.id_length
    out.member_length = slot.member_length


cdef inline size_t reservoir_memory(const reservoir_t *r) noexcept nogil:
    """Heap bytes held, malloc's own header included; the embedded struct is the caller's to count."""
    return heap_price(r.size) if r.block != NULL else 0


cdef inline size_t reservoir_fit(size_t max_bytes) noexcept nogil:
    """The largest k whose reservoir never holds more than `max_bytes`, whatever the events; 0: none does."""
    cdef size_t k = (max_bytes - 32) // RESERVOIR_PRICE_MAX if max_bytes > 32 else 0
    return k if k < RESERVOIR_MAX_K else RESERVOIR_MAX_K
