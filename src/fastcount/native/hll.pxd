# HyperLogLog: how many distinct members, in Redis's hash and registers.
#
# P. Flajolet, É. Fusy, O. Gandouet, F. Meunier, "HyperLogLog" (2007). Of a member's 64-bit hash the low 14 bits choose
# a register; the position of the lowest set bit of the other 50 is its rank, 1–51; a register keeps the largest rank.
#
#     EXACT    the members themselves, as items of 31 bits of their hash: counting them is exact but for pairs that
#              share all 31 (a chance of 1 in 4,300 that there is one among 1,000 members, 1 in 1,300 among 1,792)
#     SPARSE   registers that are not 0, as items: what a small sketch is when it was told registers and not members
#     DENSE    all 16,384 registers in 12 KiB, from 1,793 items on (the next table would be nearly as large)
#
# An item is 32 bits, never 0, and says which kind it is, so that a delta is a list of items whatever the form:
#
#     near   bits 0–13 register | 14–30 the hash's same bits, not all 0: the lowest one set gives the rank, 1–17
#     far    bits 0–13 register | 14–19 rank 18–51 | 20–29 the hash's bits 54–63 | bit 31
#     plain  bits 0–13 register | 14–19 rank 1–51 | bits 30, 31: a register without the rest of the hash
#
# EXACT and SPARSE are open-addressing tables in the order of registers: an item's place is register · slots / 16,384,
# or the next free one; behind the slots a bit each and generation.
#
# Generations. hll_add(…, gen) marks what it changes for generation gen (0 or 1), hll_drain(gen) takes the marks. While
# one is drained, adds go to the other. An add under one generation that finds its work already done, but only marked
# for the other one, marks it for its own too: whoever waits for a generation finds in it whatever he added.
#
# Not locked: the holder's shard is. Memory: `bytes` of hll_t, as malloc takes it, changes under hll_add (upwards),
# hll_merge… (upwards) and hll_drain (downwards); compare before and after.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastcount.native.atomic cimport fc_ctz, fc_prefetch
from fastcount.native.hll_estimate cimport HLL_P, HLL_Q, HLL_RANK_MAX, HLL_REGISTERS
from fastcount.native.hll_registers cimport registers_get, registers_set
from fastcount.native.murmur cimport murmur64a_preimage

cdef enum:
    HLL_EMPTY
    HLL_EXACT
    HLL_SPARSE
    HLL_DENSE

cdef enum:
    HLL_SLOTS_MAX = 2048         # of EXACT and SPARSE; ⅞ of them are used
    HLL_ITEMS_MAX = 1792
    HLL_NEAR_MAX = 17            # rank of a near item

cdef extern from *:
    """
    #ifndef FASTCOUNT_HLL_H
    #define FASTCOUNT_HLL_H
    #define FC_HLL_FAR UINT32_C(0x80000000)
    #define FC_HLL_PLAIN UINT32_C(0xC0000000)
    #endif
    """
    const uint32_t HLL_FAR "FC_HLL_FAR"
    const uint32_t HLL_PLAIN "FC_HLL_PLAIN"

ctypedef struct hll_t:           # all zero: empty
    # what it holds
    uint8_t *data                # items and their marks, or packed registers
    uint64_t *marks[2]           # DENSE: a bit a register that changed, per generation; NULL if none did
    uint64_t estimate            # of SPARSE and DENSE
    uint32_t bytes               # allocated
    uint16_t slots               # of EXACT and SPARSE
    uint16_t used
    # what drains will find, per generation
    uint16_t changed[2]
    uint8_t form
    uint8_t estimated            # `estimate` holds


cdef inline uint32_t hll_rank(uint64_t hash) noexcept nogil:
    return fc_ctz((hash >> HLL_P) | (<uint64_t>1 << HLL_Q)) + 1


cdef inline uint32_t hll_item(uint64_t hash) noexcept nogil:
    cdef uint32_t near = <uint32_t>hash & 0x7FFFFFFF
    if near >> HLL_P:
        return near
    return HLL_FAR | near | (hll_rank(hash) << HLL_P) | <uint32_t>(hash >> 54) << 20


cdef inline uint32_t hll_plain_item(uint32_t register, uint32_t rank) noexcept nogil:
    return HLL_PLAIN | register | (rank << HLL_P)


cdef inline uint32_t hll_item_register(uint32_t item) noexcept nogil:
    return item & (HLL_REGISTERS - 1)


cdef inline uint32_t hll_item_rank(uint32_t item) noexcept nogil:
    if item & HLL_FAR:
        return (item >> HLL_P) & 63
    return fc_ctz(item >> HLL_P) + 1


cdef inline bint hll_item_valid(uint32_t item) noexcept nogil:
    """Whether some hash or register gives this item."""
    cdef uint32_t rank = hll_item_rank(item) if item >> HLL_P else 0
    if item >= HLL_PLAIN:
        return 1 <= rank <= HLL_RANK_MAX and not (item >> 20) & 0x3FF
    return 1 <= rank <= HLL_NEAR_MAX if item < HLL_FAR else HLL_NEAR_MAX < rank <= HLL_RANK_MAX


cdef inline uint64_t hll_preimage(uint32_t register, uint32_t rank) noexcept nogil:
    """The 8-byte member (as a little-endian number) that puts `rank`, 1–51, into a register: a delta as a PFADD."""
    cdef uint64_t hash = register
    if rank <= HLL_Q:
        hash |= <uint64_t>1 << (HLL_P + rank - 1)
    return murmur64a_preimage(hash)


cdef inline uint32_t hll_place(const hll_t *h, uint32_t item) noexcept nogil:
    return (item & (HLL_REGISTERS - 1)) * h.slots >> HLL_P


cdef inline int hll_raise(hll_t *h, uint32_t register, uint32_t rank, int gen) noexcept nogil:
    """hll_add of a register, DENSE only."""
    cdef uint64_t bit
    if registers_get(h.data, register) >= rank:
        return hll_touch(h, register, gen) if h.changed[1 - gen] else 0
    if h.marks[gen] == NULL and hll_make_marks(h, gen) < 0:
        return -1
    registers_set(h.data, register, rank)
    bit = <uint64_t>1 << (register & 63)
    if not h.marks[gen][register >> 6] & bit:
        h.marks[gen][register >> 6] |= bit
        h.changed[gen] += 1
    h.estimated = False
    return 1


cdef inline int hll_add(hll_t *h, uint64_t hash, int gen) noexcept nogil:
    """Add the member of this murmur64a under generation 0 or 1.

    1: there is more for hll_drain(gen). 0: there is not. -1: no memory, and nothing changed."""
    cdef uint32_t item, i
    cdef const uint32_t *items
    if h.form == HLL_DENSE:
        return hll_raise(h, <uint32_t>hash & (HLL_REGISTERS - 1), hll_rank(hash), gen)
    item = hll_item(hash)
    if h.form == HLL_EXACT:
        items = <const uint32_t *>h.data
        i = hll_place(h, item)
        while items[i]:
            if items[i] == item:
                return hll_touch(h, i, gen) if h.changed[1 - gen] else 0
            i += 1
            if i == h.slots:
                i = 0
        return hll_insert(h, i, item, gen)
    return hll_put(h, item, gen)


cdef inline bint hll_settled(const hll_t *h, uint64_t hash, int gen) noexcept nogil:
    """Whether hll_add would find its work done, and nothing to mark."""
    cdef uint32_t register = <uint32_t>hash & (HLL_REGISTERS - 1)
    if h.form == HLL_EMPTY or h.changed[1 - gen]:
        return False
    if h.form == HLL_DENSE:
        return registers_get(h.data, register) >= hll_rank(hash)
    return hll_holds(h, hll_item(hash))


cdef inline void hll_prefetch(const hll_t *h, uint64_t hash) noexcept nogil:
    """Ask for the cache line that hll_add will look at (of a table, for what follows as well)."""
    cdef uint32_t register = <uint32_t>hash & (HLL_REGISTERS - 1)
    cdef const uint8_t *p = h.data + (register * 6 >> 3 if h.form == HLL_DENSE else hll_place(h, register) << 2)
    fc_prefetch(p)
    if h.form != HLL_DENSE:
        fc_prefetch(p + 32)


cdef inline uint64_t hll_memory(const hll_t *h) noexcept nogil:
    return sizeof(hll_t) + h.bytes


cdef inline uint32_t hll_changed(const hll_t *h, int gen) noexcept nogil:
    """Items that hll_drain(gen) will give."""
    return h.changed[gen]


cdef void hll_free(hll_t *h) noexcept nogil
# Bytes by which `bytes` may grow in the next hll_add, at most: for a holder who is near his limit.
cdef uint32_t hll_cost(const hll_t *h, int gen) noexcept nogil

# Like hll_add: of an item, from wherever.
cdef int hll_put(hll_t *h, uint32_t item, int gen) noexcept nogil
# Union. Returns like hll_add; on -1 a part may have been added, and doing it again is harmless.
cdef int hll_merge(hll_t *h, const hll_t *other, int gen) noexcept nogil
cdef int hll_merge_items(hll_t *h, const uint32_t *items, uint64_t n, int gen) noexcept nogil
cdef int hll_merge_registers(hll_t *h, const uint8_t *values, int gen) noexcept nogil  # a byte a register, 0–51

# Write the items changed under gen to `out` (room for hll_changed), clear the marks, return how many. A DENSE or SPARSE
# item has the rank of now. `out` NULL: only clear.
cdef uint32_t hll_drain(hll_t *h, int gen, uint32_t *out) noexcept nogil

# Distinct members: exact in EXACT, else as hll_redis_count. Cached until something changes.
cdef uint64_t hll_count(hll_t *h) noexcept nogil
# What PFCOUNT says of these registers. The same as hll_count but in EXACT, where it may be off by a few.
cdef uint64_t hll_redis_count(hll_t *h) noexcept nogil
# One standard error of hll_count, relative: 0 in EXACT.
cdef double hll_error(const hll_t *h) noexcept nogil

# A byte a register.
cdef void hll_registers(const hll_t *h, uint8_t *values) noexcept nogil
# values = max(values, registers): for unions of many sketches.
cdef void hll_fold(const hll_t *h, uint8_t *values) noexcept nogil

# cold halves of the inline functions above
cdef bint hll_holds(const hll_t *h, uint32_t item) noexcept nogil
cdef int hll_insert(hll_t *h, uint32_t i, uint32_t item, int gen) noexcept nogil
cdef int hll_touch(hll_t *h, uint32_t place, int gen) noexcept nogil
cdef int hll_make_marks(hll_t *h, int gen) noexcept nogil
