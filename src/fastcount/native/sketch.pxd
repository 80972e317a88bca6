# What a name has beside its total: its uniques and the sample of its members.
#
# Owns: a shard's sketches in one growing array. The `ref` of a sketched entry is its place in it. The shard's lock
# guards them. Past max_memory no sketch grows any more and no new one is made: the members that this concerns are
# refused and counted, the increment of their HIT stands.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastcount.native.bottomk cimport (
    bottomk_memory, bottomk_prefetch_bytes, bottomk_prefetch_members, bottomk_t,
)
from fastcount.native.atomic cimport fc_prefetch
from fastcount.native.frame cimport OP_SAMPLE, OP_SEEN
from fastcount.native.hll cimport hll_prefetch, hll_t

cdef enum:
    # what sketch_add says, together
    SKETCH_CHANGED = 1     # a drain of the generation will find something
    SKETCH_REFUSED = 2     # uniques, sample or both are without the member, for want of memory

cdef struct sketch_t:
    hll_t unique
    bottomk_t sample
    int64_t base           # of the name: see table.pxd

cdef struct sketches_t:
    sketch_t *items
    uint32_t used          # from 1
    uint32_t room

# A member and its hashes.
cdef struct member_t:
    const uint8_t *bytes
    uint32_t length
    int op
    uint64_t murmur        # for uniques
    uint64_t priority      # for the sample


cdef inline uint64_t sketch_step(uint32_t k) noexcept nogil:
    """The most that one member can add to a sketch with a sample of k, by far: going dense, and a sample of the longest
    members with as many ghosts that grows by half."""
    return (1 << 16) + <uint64_t>1024 * k


cdef inline uint64_t sketch_memory(const sketch_t *k) noexcept nogil:
    """Bytes beside the struct itself."""
    return k.unique.bytes + bottomk_memory(&k.sample)


cdef inline void sketch_prefetch(const sketch_t *k) noexcept nogil:
    fc_prefetch(k)
    fc_prefetch(<const uint8_t *>k + sizeof(sketch_t) - 1)


cdef inline void sketch_prefetch_data(const sketch_t *k, const member_t *m) noexcept nogil:
    """Ask for what sketch_add will look at; the struct itself should be near by now."""
    if m.op != OP_SAMPLE and k.unique.data != NULL:
        hll_prefetch(&k.unique, m.murmur)
    if m.op != OP_SEEN:
        bottomk_prefetch_members(&k.sample, m.priority)


cdef inline void sketch_prefetch_member(const sketch_t *k, const member_t *m) noexcept nogil:
    """The last of three steps."""
    if m.op != OP_SEEN:
        bottomk_prefetch_bytes(&k.sample, m.priority)


# A new, empty sketch for samples of k members: its place, or 0 without memory.
cdef uint32_t sketches_new(sketches_t *t, uint32_t k) noexcept nogil
# Bytes that sketches_new will allocate.
cdef uint64_t sketches_cost(const sketches_t *t) noexcept nogil
cdef void sketches_free(sketches_t *t) noexcept nogil
# SKETCH_CHANGED and SKETCH_REFUSED, or 0. `grow` False: only what takes no memory; what is there already is not
# refused.
cdef int sketch_add(sketch_t *k, const member_t *m, int gen, bint grow) noexcept nogil
