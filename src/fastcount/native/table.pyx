"""The cold part of table.pxd: making, growing, inserting."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *, size_t, int, int, int, long)
    void *mremap(void *, size_t, size_t, int, ...)
    int munmap(void *, size_t)
    int madvise(void *, size_t, int)
    int PROT_NONE, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MADV_HUGEPAGE
    int MREMAP_MAYMOVE, MREMAP_FIXED
    void *MAP_FAILED

cdef enum:
    FIRST_ARENA = 1 << 16
    FIRST_SLOTS = 1 << 10
    FIRST_BASES = 1 << 10
    HUGE = 1 << 21


cdef inline uint64_t bitmap_bytes(uint64_t arena_bytes) noexcept nogil:
    return arena_bytes >> 6


cdef void *map_aligned(uint64_t size, int protection) noexcept nogil:
    """Zeroed pages. From 2 MiB on they begin at a multiple of it, so that they can be huge: random reads of a large
    table miss the TLB. What it gains on its own was not told from noise so far."""
    cdef uint64_t slack = HUGE if size >= HUGE else 0
    cdef uint64_t head
    cdef uint8_t *p = <uint8_t *>mmap(NULL, size + slack, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                      -1, 0)
    if p == MAP_FAILED:
        return NULL
    if slack:
        head = (HUGE - (<uint64_t>p & (HUGE - 1))) & (HUGE - 1)
        if head:
            munmap(p, head)
        if slack > head:
            munmap(p + head + size, slack - head)
        p += head
        madvise(p, size, MADV_HUGEPAGE)
    return p


cdef void *map_zeroed(uint64_t size) noexcept nogil:
    return map_aligned(size, PROT_READ | PROT_WRITE)


cdef void *map_grown(void *old, uint64_t old_size, uint64_t size) noexcept nogil:
    """The same pages with more behind them, perhaps elsewhere; NULL, and `old` as it was. Nothing is copied."""
    cdef void *to
    cdef void *p
    if size < HUGE:
        p = mremap(old, old_size, size, MREMAP_MAYMOVE)
        return NULL if p == MAP_FAILED else p
    to = map_aligned(size, PROT_NONE)  # a place that the move may overwrite
    if to == NULL:
        return NULL
    p = mremap(old, old_size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to)
    if p == MAP_FAILED:
        munmap(to, size)
        return NULL
    madvise(p, size, MADV_HUGEPAGE)
    return p


cdef int table_init(table_t *t) noexcept nogil:
    memset(t, 0, sizeof(table_t))
    t.index = <uint64_t *>map_zeroed(FIRST_SLOTS * 8)
    t.arena = <uint8_t *>map_zeroed(FIRST_ARENA)
    t.bases = <int64_t *>map_zeroed(FIRST_BASES * 8)
    t.dirty[0] = <uint64_t *>calloc(1, bitmap_bytes(FIRST_ARENA))
    t.dirty[1] = <uint64_t *>calloc(1, bitmap_bytes(FIRST_ARENA))
    t.mask = FIRST_SLOTS - 1
    t.grow_at = FIRST_SLOTS * 7 // 8
    t.arena_used = FIRST_ENTRY
    t.arena_size = FIRST_ARENA
    t.bases_room = FIRST_BASES
    if t.index == NULL or t.arena == NULL or t.bases == NULL or t.dirty[0] == NULL or t.dirty[1] == NULL:
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
    if t.bases != NULL:
        munmap(t.bases, t.bases_room * 8)
    memset(t, 0, sizeof(table_t))


cdef uint64_t table_memory(const table_t *t) noexcept nogil:
    return t.arena_used + 2 * bitmap_bytes(t.arena_used) + (t.mask + 1 + t.bases_used) * 8


cdef uint64_t table_cost(const table_t *t, uint32_t n) noexcept nogil:
    cdef uint64_t size = entry_size(n)
    cdef uint64_t cost = 8 + size + 2 * (bitmap_bytes(size) + 1)  # rounded up
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
    p = NULL
    if bits[0] != NULL and bits[1] != NULL:
        p = map_grown(t.arena, t.arena_size, size)
    if p == NULL:
        free(bits[0])
        free(bits[1])
        return -1
    for g in range(2):
        memcpy(bits[g], t.dirty[g], old)
        free(t.dirty[g])
        t.dirty[g] = bits[g]
    t.arena = <uint8_t *>p
    t.arena_size = size
    return 0


cdef int grow_bases(table_t *t) noexcept nogil:
    cdef void *p
    if t.bases_room * 2 > <uint64_t>0xFFFFFFFF:
        return -1
    p = map_grown(t.bases, t.bases_room * 8, t.bases_room * 16)
    if p == NULL:
        return -1
    t.bases = <int64_t *>p
    t.bases_room *= 2
    return 0


cdef int grow_index(table_t *t, rehash_t rehash, const void *context) noexcept nogil:
    cdef uint64_t slots = (t.mask + 1) * 2
    cdef uint64_t mask = slots - 1
    cdef uint64_t *index = <uint64_t *>map_zeroed(slots * 8)
    cdef uint64_t at = FIRST_ENTRY, hash, i
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
    if t.bases_used == t.bases_room and grow_bases(t) < 0:
        return NULL
    while t.arena_used + size > t.arena_size:
        if grow_arena(t) < 0:
            return NULL
    e = <entry_t *>(t.arena + t.arena_used)
    e.ref = <uint32_t>t.bases_used
    t.bases_used += 1
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
