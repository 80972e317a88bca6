"""The cold part of sketch.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from fastcount.native.bottomk cimport bottomk_free, bottomk_has, bottomk_init, bottomk_offer
from fastcount.native.frame cimport OP_SAMPLE, OP_SEEN
from fastcount.native.heap cimport heap_resized
from fastcount.native.hll cimport hll_add, hll_cost, hll_free, hll_settled


cdef uint64_t sketches_cost(const sketches_t *t) noexcept nogil:
    if t.used + 1 < t.room:
        return 0
    return <uint64_t>(t.room // 2 + 16) * sizeof(sketch_t)


cdef uint32_t sketches_new(sketches_t *t, uint32_t k) noexcept nogil:
    cdef uint32_t room = t.room
    cdef sketch_t *items
    if t.used + 1 >= room:
        room += room // 2 + 16
        items = <sketch_t *>heap_resized(t.items, room * sizeof(sketch_t))
        if items == NULL:
            return 0
        t.items = items
        t.room = room
    t.used += 1
    memset(&t.items[t.used], 0, sizeof(sketch_t))
    bottomk_init(&t.items[t.used].sample, k)
    return t.used


cdef void sketches_free(sketches_t *t) noexcept nogil:
    cdef uint32_t i
    for i in range(1, t.used + 1):
        hll_free(&t.items[i].unique)
        bottomk_free(&t.items[i].sample)
    free(t.items)
    memset(t, 0, sizeof(sketches_t))


cdef int sketch_add(sketch_t *k, const member_t *m, int gen, bint grow) noexcept nogil:
    cdef int unique = 0, sampled = 0, said = 0
    if m.op != OP_SAMPLE:
        if grow or hll_cost(&k.unique, gen) == 0:
            unique = hll_add(&k.unique, m.murmur, gen)
        elif not hll_settled(&k.unique, m.murmur, gen):
            unique = -1
    if m.op != OP_SEEN:
        if grow or m.priority > k.sample.threshold:
            sampled = bottomk_offer(&k.sample, m.priority, m.bytes, m.length, gen)
        elif not bottomk_has(&k.sample, m.priority, m.bytes, m.length):
            sampled = -1
    if unique > 0 or sampled > 0:
        said |= SKETCH_CHANGED
    if unique < 0 or sampled < 0:
        said |= SKETCH_REFUSED
    return said
