"""Reservoirs of events: what happens when an event is kept, and at the end of an interval. Theory: reservoir.pxd."""

from libc.math cimport M_PI, cos, exp, log, log1p, sqrt
from libc.string cimport memcpy

from fastcount.native.heap cimport heap_alloc, heap_fit, heap_free, heap_price
from fastcount.native.rng cimport rng_below, rng_next, rng_seed, rng_seed_os, rng_unit


cdef inline reservoir_slot_t *slots(const reservoir_t *r) noexcept nogil:
    return <reservoir_slot_t *>r.block


cdef inline size_t length_of(const reservoir_slot_t *slot) noexcept nogil:
    return <size_t>slot.id_length + slot.member_length


cdef void empty(reservoir_t *r) noexcept nogil:
    """No events, nothing seen; k and the random state stay."""
    r.skip = r.next = 0
    r.log_w = 0
    r.block = NULL
    r.n = r.cap = r.size = r.used = r.live = 0


cdef int reservoir_init(reservoir_t *r, size_t k) noexcept nogil:
    """An empty reservoir of at most `k` events, 1..RESERVOIR_MAX_K, seeded by the system. Allocates nothing.
    0, or -1: the system has no random numbers."""
    r.k = <uint32_t>k
    empty(r)
    return rng_seed_os(&r.random)


cdef void reservoir_init_seeded(reservoir_t *r, size_t k, uint64_t seed) noexcept nogil:
    """The same with a seed of the caller's, for what must be repeatable."""
    r.k = <uint32_t>k
    empty(r)
    rng_seed(&r.random, seed)


cdef void reservoir_free(reservoir_t *r) noexcept nogil:
    """Give the block back; `r` is then empty."""
    heap_free(r.block)
    empty(r)


cdef int new_block(reservoir_t *r, size_t cap, size_t room) noexcept nogil:
    """Give `r` an empty block; the old one stays the caller's. -1: no memory, nothing changed."""
    cdef size_t size = heap_fit(cap * sizeof(reservoir_slot_t) + room)
    cdef uint8_t *block = <uint8_t *>heap_alloc(size)
    if block == NULL:
        return -1
    r.block = block
    r.cap = <uint32_t>cap
    r.size = <uint32_t>size
    r.used = r.live = 0
    return 0


cdef inline bint has_room(const reservoir_t *r, size_t length) noexcept nogil:
    return r.block != NULL and sizeof(reservoir_slot_t) * <size_t>r.cap + r.used + length <= r.size


cdef void copy_slot(reservoir_t *to, size_t i, const reservoir_t *source, size_t j) noexcept nogil:
    """Event j of `source` as event i of `to`, which has room."""
    cdef reservoir_slot_t slot = slots(source)[j]
    memcpy(reservoir_bytes(to) + to.used, reservoir_bytes(source) + slot.offset, length_of(&slot))
    slot.offset = to.used
    slots(to)[i] = slot
    to.used += <uint32_t>length_of(&slot)
    to.live += <uint32_t>length_of(&slot)


cdef size_t next_room(const reservoir_t *r, size_t want, size_t need, size_t *cap) noexcept nogil:
    """Slots and bytes behind them of a block for `want` events with `need` bytes. While filling: room for as many as
    there are slots, at the length seen so far; then an eighth of slack for holes."""
    cap[0] = r.cap
    if want > cap[0]:
        cap[0] = want + want // 2 + 1
        if cap[0] > r.k:
            cap[0] = r.k
    return need * cap[0] // want if want < r.k else need + need // 8


cdef size_t reservoir_cost(const reservoir_t *r, size_t length) noexcept nogil:
    """Heap bytes that keeping an event whose id and member have `length` bytes allocates before it frees the old
    block, at most; 0: it fits where it is."""
    cdef bint filling = r.n < r.k
    cdef size_t cap
    cdef size_t room
    if (not filling or r.n < r.cap) and has_room(r, length):
        return 0
    room = next_room(r, <size_t>r.n + filling, r.live + length, &cap)
    return heap_price(heap_fit(cap * sizeof(reservoir_slot_t) + room))


cdef int rebuild(reservoir_t *r, size_t want, size_t leaving, size_t extra) noexcept nogil:
    """Move into a block with `want` slots at least and room for `extra` bytes, without holes; event `leaving` keeps its
    slot, its bytes stay behind."""
    cdef reservoir_t to = r[0]
    cdef size_t gone = length_of(slots(r) + leaving) if leaving < r.n else 0
    cdef size_t cap
    cdef size_t room = next_room(r, want, r.live - gone + extra, &cap)
    cdef size_t i
    if new_block(&to, cap, room) < 0:
        return -1
    for i in range(r.n):
        if i != leaving:
            copy_slot(&to, i, r, i)
    if leaving < r.n:
        slots(&to)[leaving].id_length = slots(&to)[leaving].member_length = 0
    heap_free(r.block)
    r[0] = to
    return 0


cdef void draw_skip(reservoir_t *r) noexcept nogil:
    """How many events pass before the next one with a key below w."""
    cdef double skip = log(rng_unit(&r.random)) / log1p(-exp(r.log_w))
    # beyond 2^62 (or no number at all, once w is 0) is never, for any interval
    r.skip = <uint64_t>skip if skip < 4611686018427387904.0 else <uint64_t>1 << 62
    r.next += r.skip


cdef int reservoir_keep(reservoir_t *r, const uint8_t *id, size_t id_length, const uint8_t *member,
                        size_t member_length, int64_t time) noexcept nogil:
    """What `reservoir_offer` does with an event whose turn it is."""
    cdef rng_t before = r.random
    cdef bint filling = r.n < r.k
    cdef size_t length = id_length + member_length
    cdef size_t i = r.n if filling else rng_below(&r.random, r.k)
    cdef size_t want = <size_t>r.n + filling
    cdef reservoir_slot_t *slot
    cdef uint8_t *at
    if not filling and length <= length_of(slots(r) + i):
        slot = slots(r) + i
        r.live -= <uint32_t>length_of(slot)
    else:
        if (filling and r.n == r.cap) or not has_room(r, length):
            if rebuild(r, want, i, length) < 0:
                r.random = before
                return -1
        slot = slots(r) + i
        if not filling:
            r.live -= <uint32_t>length_of(slot)
        slot.offset = r.used
        r.used += <uint32_t>length
    slot.time = time
    slot.id_length = <uint16_t>id_length
    slot.member_length = <uint8_t>member_length
    at = reservoir_bytes(r) + slot.offset
    memcpy(at, id, id_length)
    if member_length > 0:       # its pointer may be NULL without one
        memcpy(at + id_length, member, member_length)
    r.live += <uint32_t>length
    r.n += filling
    r.next += 1
    if r.n == r.k:
        r.log_w += log(rng_unit(&r.random)) / r.k
        draw_skip(r)
    return 1


cdef void reservoir_take(reservoir_t *r, reservoir_t *out) noexcept nogil:
    """Hand the interval over to `out` (overwritten, and then the caller's to free); `r` starts anew."""
    out[0] = r[0]
    rng_seed(&out.random, rng_next(&r.random))
    empty(r)


cdef double draw_gamma(rng_t *random, double shape) noexcept nogil:
    """Gamma(shape >= 1, 1): G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM TOMS
    26(3), 2000; the normal number by Box and Muller."""
    cdef double d = shape - 1.0 / 3.0
    cdef double c = 1.0 / sqrt(9.0 * d)
    cdef double x, v
    while True:
        x = sqrt(-2.0 * log(rng_unit(random))) * cos(2.0 * M_PI * rng_unit(random))
        v = 1.0 + c * x
        if v > 0.0:
            v = v * v * v
            if log(rng_unit(random)) < 0.5 * x * x + d - d * v + d * log(v):
                return d * v


cdef inline bint picks(rng_t *random, uint64_t *wanted, uint64_t *left) noexcept nogil:
    """Whether the next of `left` is one of the `wanted`: selection sampling (Knuth, TAOCP 2, 3.4.2, Algorithm S)."""
    cdef bint picked = rng_below(random, left[0]) < wanted[0]
    left[0] -= 1
    wanted[0] -= picked
    return picked


cdef size_t pick(reservoir_t *to, rng_t *random, const reservoir_t *source, uint64_t wanted, size_t at,
                 bint copying) noexcept nogil:
    """Choose `wanted` events of `source`; copy them to `to` from index `at` on, or only add up their bytes."""
    cdef uint64_t left = source.n
    cdef size_t i, size = 0
    for i in range(source.n):
        if picks(random, &wanted, &left):
            size += length_of(slots(source) + i)
            if copying:
                copy_slot(to, at, source, i)
                at += 1
    return size


cdef int reservoir_merge(reservoir_t *r, const reservoir_t *other) noexcept nogil:
    """Make `r` the reservoir of both streams together, with the smaller k of both; `other` stays as it is.

    The streams must be disjoint: merging the same events twice counts them twice. 0, or -1: no memory, nothing changed.
    """
    cdef reservoir_t to = r[0]
    cdef rng_t replay
    cdef uint64_t mine = reservoir_seen(r), left = mine, theirs = reservoir_seen(other)
    cdef uint64_t k = r.k if r.k < other.k else other.k
    cdef uint64_t total = k if k < mine + theirs else mine + theirs
    cdef uint64_t i, from_r = 0
    cdef size_t size
    cdef double a, b
    for i in range(total):
        if rng_below(&to.random, left + theirs - (i - from_r)) < left:
            left -= 1
            from_r += 1
    replay = to.random
    size = pick(NULL, &replay, r, from_r, 0, False)
    size += pick(NULL, &replay, other, total - from_r, 0, False)
    if total > 0:
        if new_block(&to, total, size) < 0:
            return -1
        pick(&to, &to.random, r, from_r, 0, True)
        pick(&to, &to.random, other, total - from_r, from_r, True)
        heap_free(r.block)
    to.k = <uint32_t>k
    to.n = <uint32_t>total
    to.next = mine + theirs
    to.skip = 0
    to.log_w = 0
    if total == k:
        a = draw_gamma(&to.random, k)
        b = draw_gamma(&to.random, <double>(to.next - k) + 1.0)
        to.log_w = log(a / (a + b))
        draw_skip(&to)
    r[0] = to
    return 0


cdef const char *reservoir_check(const reservoir_t *r) noexcept nogil:
    """NULL, or which invariant does not hold. For tests and debug builds."""
    cdef size_t i, live = 0
    cdef uint64_t seen = reservoir_seen(r)
    if r.n != (seen if seen < r.k else r.k):
        return b"n is not min(k, seen)"
    if r.n > r.cap or sizeof(reservoir_slot_t) * <size_t>r.cap + r.used > r.size:
        return b"the block is too small for its events"
    if reservoir_memory(r) > <size_t>r.k * RESERVOIR_PRICE_MAX + 32:
        return b"the block is larger than promised"
    for i in range(r.n):
        live += length_of(slots(r) + i)
        if slots(r)[i].offset + length_of(slots(r) + i) > r.used:
            return b"an event lies outside of the block"
    if live != r.live:
        return b"the books do not add up"
    if r.n < r.k and r.skip != 0:
        return b"passes events over while there is room"
    return NULL
