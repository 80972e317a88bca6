# One shard's table: name → entry, open addressing over an arena.
#
# Owns: `index` (8 bytes a slot, at most ⅞ full, linear probing), `arena` (entries one behind the other, only ever
# appended), `bases` (the drained totals, apart: what an increment does not touch need not pass through the caches with
# it, and a short name's entry is half a cache line) and for each of two generations a bitmap of dirty entries, a bit
# per 8 bytes of arena. A bitmap costs 1/64 of the arena, is set once per entry and generation, and is read in address
# order when the generation is drained: a list of pointers would cost 4–8 bytes an entry and random reads.
#
#     slot   tag (bits 24–55 of the hash) << 32 | offset of the entry / 8; 0: empty (offsets start at 32)
#     entry  delta of generation 0, 1 i64 | ref u32 | type u16 | meta u16 | id, padded with zeros to 8
#     meta   length of id (10 bits) | dirty in generation 0, 1 | SKETCHED
#     ref    place of the base in `bases`; of a SKETCHED name place in the shard's sketches, where its base is then
#
# value = sat(sat(base + delta of the older generation) + delta of the newer). Who calls holds the shard's lock; nothing
# here knows of limits other than the room it was given.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastcount.native.atomic cimport fc_assert, fc_prefetch, fc_sat_add
from fastcount.native.hash cimport same_bytes

cdef enum:
    ENTRY_HEADER = 24
    FIRST_ENTRY = 32   # so that entries of 32 bytes never lie across two cache lines
    ID_MASK = 0x3FF
    DIRTY = 0x400  # << generation
    SKETCHED = 0x1000
    MAX_ID = 1023

cdef struct entry_t:
    int64_t delta[2]   # of each generation
    uint32_t ref
    uint16_t type
    uint16_t meta

cdef struct table_t:
    # lookup
    uint64_t *index
    uint64_t mask
    uint8_t *arena
    # room
    uint64_t count       # entries
    uint64_t grow_at     # entries at which the index doubles
    uint64_t arena_used  # bytes, from FIRST_ENTRY
    uint64_t arena_size  # bytes mapped; touched only up to arena_used
    # totals up to the last drained generation
    int64_t *bases
    uint64_t bases_used  # of a sketched name too, and then not read any more
    uint64_t bases_room
    # what a drain will find, per generation
    uint64_t *dirty[2]
    uint64_t dirty_count[2]
    uint64_t dirty_bytes[2]  # of ids


cdef inline uint64_t entry_size(uint32_t id_length) noexcept nogil:
    return ENTRY_HEADER + ((<uint64_t>id_length + 7) & ~<uint64_t>7)


cdef inline const uint8_t *entry_id(const entry_t *e) noexcept nogil:
    return <const uint8_t *>e + ENTRY_HEADER


cdef inline entry_t *table_find(const table_t *t, uint64_t hash, uint32_t type, const uint8_t *id,
                                uint32_t n) noexcept nogil:
    """The entry of a name, or NULL."""
    cdef uint64_t tag = (hash >> 24) & <uint64_t>0xFFFFFFFF
    cdef uint64_t i = hash & t.mask
    cdef uint64_t slot
    cdef entry_t *e
    while True:
        slot = t.index[i]
        if slot == 0:
            return NULL
        if slot >> 32 == tag:
            e = <entry_t *>(t.arena + ((slot & <uint64_t>0xFFFFFFFF) << 3))
            fc_assert(<uint8_t *>e + ENTRY_HEADER < t.arena + t.arena_used)
            if e.type == type and (e.meta & ID_MASK) == n and same_bytes(entry_id(e), id, n):
                return e
        i = (i + 1) & t.mask


cdef inline void table_prefetch_slot(const table_t *t, uint64_t hash) noexcept nogil:
    """Ask for the slot that table_prefetch will read."""
    fc_prefetch(&t.index[hash & t.mask])


cdef inline void table_prefetch(const table_t *t, uint64_t hash) noexcept nogil:
    """Ask for the cache lines of the entry that is probably meant."""
    cdef uint64_t i = hash & t.mask
    cdef uint64_t slot = t.index[i]
    cdef const uint8_t *e
    if slot >> 32 != ((hash >> 24) & <uint64_t>0xFFFFFFFF):
        slot = t.index[(i + 1) & t.mask]
    e = t.arena + ((slot & <uint64_t>0xFFFFFFFF) << 3)
    fc_prefetch(e)
    fc_prefetch(e + 31)


cdef inline void table_mark(table_t *t, entry_t *e, int gen) noexcept nogil:
    cdef uint64_t at
    e.meta |= DIRTY << gen
    at = <uint64_t>(<uint8_t *>e - t.arena) >> 3
    t.dirty[gen][at >> 6] |= <uint64_t>1 << (at & 63)
    t.dirty_count[gen] += 1
    t.dirty_bytes[gen] += e.meta & ID_MASK


cdef inline void table_add(table_t *t, entry_t *e, int64_t delta, int gen, uint64_t *saturated) noexcept nogil:
    """Add to the delta of a generation, and note that the entry has one."""
    if not (e.meta & (DIRTY << gen)):
        table_mark(t, e, gen)
    e.delta[gen] = fc_sat_add(e.delta[gen], delta, saturated)


cdef inline int64_t entry_value(const entry_t *e, int64_t base, int gen) noexcept nogil:
    """The total, where `gen` is the newer generation."""
    cdef uint64_t ignored = 0
    return fc_sat_add(fc_sat_add(base, e.delta[1 - gen], &ignored), e.delta[gen], &ignored)


cdef int table_init(table_t *t) noexcept nogil
cdef void table_free(table_t *t) noexcept nogil
# Bytes held: what entries take, the index, and the part of the bitmaps that covers the entries.
cdef uint64_t table_memory(const table_t *t) noexcept nogil
# Bytes that inserting an id of n bytes will add, while the index is copied included.
cdef uint64_t table_cost(const table_t *t, uint32_t n) noexcept nogil
# Append an entry that table_find did not find. `rehash` gives an entry's hash (the table keeps only a part of it).
# NULL: no memory, and nothing has changed.
ctypedef uint64_t (*rehash_t)(const void *context, const entry_t *e) noexcept nogil
cdef entry_t *table_insert(table_t *t, uint64_t hash, uint32_t type, const uint8_t *id, uint32_t n,
                           rehash_t rehash, const void *context) noexcept nogil
