"""The cold part of table.pxd: making, growing, inserting."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *, size_t, int, int, int, long)
    void *mremap(void *, size_t, size_t, int, ...)
    int munmap(void *, size_t)
    int madvise(void *, size_t, int)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MREMAP_MAYMOVE, MADV_HUGEPAGE
    void *MAP_FAILED

cdef enum:
    FIRST_ARENA = 1 << 16
    FIRST_SLOTS = 1 << 10
    HUGE = 1 << 21


cdef inline uint64_t bitmap_bytes(uint64_t arena_bytes) noexcept nogil:
    return arena_bytes >> 6


cdef void *map_zeroed(uint64_t size) noexcept nogil:
    """Zeroed pages, huge ones where that does not waste memory: random reads of a large table are TLB misses."""
    cdef void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if p == MAP_FAILED:
        return NULL
    if size >= HUGE:
        madvise(p, size, MADV_HUGEPAGE)
    return p


cdef int table_init(table_t *t) noexcept nogil:
    memset(t, 0, sizeof(table_t))
    t.index = <uint64_t *>map_zeroed(FIRST_SLOTS * 8)
    t.arena = <uint8_t *>map_zeroed(FIRST_ARENA)
    t.dirty[0] = <uint64_t *>calloc(1, bitmap_bytes(FIRST_ARENA))
    t.dirty[1] = <uint64_t *>calloc(1, bitmap_bytes(FIRST_ARENA))
    t.mask = FIRST_SLOTS - 1
    t.grow_at = FIRST_SLOTS * 7 // 8
    t.arena_used = 8
    t.arena_size = FIRST_ARENA
    if t.index == NULL or t.arena == NULL or t.dirty[0] == NULL or t.dirty[1] == NULL:
        table_free(t)
        return -1
    return 0


cdef void table_free(table_t *t) noexcept nogil:
    if t.index != NULL:
        munmap(t.index, (t.mask + 1) * 8)
    free(t.dirty[0])
    free(t.dirty[1])
    if t.arena != NULL:
        munmap(t.arena, t.arena_size)
    memset(t, 0, sizeof(table_t))


cdef uint64_t table_memory(const table_t *t) noexcept nogil:
    return t.arena_used + 2 * bitmap_bytes(t.arena_used) + (t.mask + 1) * 8


cdef uint64_t table_cost(const table_t *t, uint32_t n) noexcept nogil:
    cdef uint64_t size = entry_size(n)
    cdef uint64_t cost = size + 2 * (bitmap_bytes(size) + 1)  # rounded up
    if t.count + 1 > t.grow_at:
        cost += (t.mask + 1) * 16
    return cost


cdef int grow_arena(table_t *t) noexcept nogil:
    """Twice the room. Pages move, their content is not copied; what was not touched takes no memory."""
    cdef uint64_t size = t.arena_size * 2
    cdef uint64_t old = bitmap_bytes(t.arena_size)
    cdef uint64_t *bits[2]
    cdef void *p
    if size >> 3 > <uint64_t>0xFFFFFFFF:
        return -1
    bits[0] = <uint64_t *>calloc(1, bitmap_bytes(size))
    bits[1] = <uint64_t *>calloc(1, bitmap_bytes(size))
    p = MAP_FAILED
    if bits[0] != NULL and bits[1] != NULL:
        p = mremap(t.arena, t.arena_size, size, MREMAP_MAYMOVE)
    if p == MAP_FAILED:
        free(bits[0])
        free(bits[1])
        return -1
    for g in range(2):
        memcpy(bits[g], t.dirty[g], old)
        free(t.dirty[g])
        t.dirty[g] = bits[g]
    t.arena = <uint8_t *>p
    t.arena_size = size
    if size >= 4 * HUGE:  # half of it is in use: at most one huge page of many is touched early
        madvise(p, size, MADV_HUGEPAGE)
    return 0


cdef int grow_index(table_t *t, rehash_t rehash, const void *context) noexcept nogil:
    cdef uint64_t slots = (t.mask + 1) * 2
    cdef uint64_t mask = slots - 1
    cdef uint64_t *index = <uint64_t *>map_zeroed(slots * 8)
    cdef uint64_t at = 8, hash, i
    cdef entry_t *e
    if index == NULL:
        return -1
    while at < t.arena_used:  # in arena order: the reads are sequential
        e = <entry_t *>(t.arena + at)
        hash = rehash(context, e)
        i = hash & mask
        while index[i] != 0:
            i = (i + 1) & mask
        index[i] = ((hash >> 24) & <uint64_t>0xFFFFFFFF) << 32 | at >> 3
        at += entry_size(e.meta & ID_MASK)
    munmap(t.index, (t.mask + 1) * 8)
    t.index = index
    t.mask = mask
    t.grow_at = slots // 8 * 7
    return 0


cdef entry_t *table_insert(table_t *t, uint64_t hash, uint32_t type, const uint8_t *id, uint32_t n,
                           rehash_t rehash, const void *context) noexcept nogil:
    cdef uint64_t size = entry_size(n)
    cdef uint64_t i
    cdef entry_t *e
    if t.count + 1 > t.grow_at and grow_index(t, rehash, context) < 0:
        return NULL
    while t.arena_used + size > t.arena_size:
        if grow_arena(t) < 0:
            return NULL
    e = <entry_t *>(t.arena + t.arena_used)
    e.type = <uint16_t>type
    e.meta = <uint16_t>n
    memcpy(<uint8_t *>e + ENTRY_HEADER, id, n)
    i = hash & t.mask
    while t.index[i] != 0:
        i = (i + 1) & t.mask
    t.index[i] = ((hash >> 24) & <uint64_t>0xFFFFFFFF) << 32 | t.arena_used >> 3
    t.arena_used += size
    t.count += 1
    return e
