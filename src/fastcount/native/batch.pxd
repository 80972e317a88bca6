# A drained generation, in columns: what changed between two swaps.
#
# A row a name that changed: its delta (0 when only its sketches did), the items of its uniques (hll.pxd) and the new
# members of its sample (rows of bottomk_drain), which lie one row's behind the other's in `items` and `members`. Beside
# them, a reservoir of events a type.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastcount.native.atomic cimport pthread_mutex_t
from fastcount.native.reservoir cimport reservoir_t
from fastcount.native.shard cimport store_t

cdef struct batch_t:
    uint64_t generation
    # columns
    uint64_t count
    uint16_t *types
    uint16_t *id_lengths
    int64_t *deltas
    uint32_t *item_counts
    uint32_t *member_sizes  # bytes
    # what rows share
    uint8_t *ids
    uint64_t ids_size
    uint32_t *items
    uint64_t items_size     # items
    uint64_t items_room
    uint8_t *members
    uint64_t members_size
    uint64_t members_room
    # a reservoir a type, k = 0: none
    reservoir_t *events
    uint64_t event_types

cdef struct swap_t:
    pthread_mutex_t lock    # one swap at a time
    uint64_t swaps
    bint undrained          # the old generation, or a part of it, still waits for room to be drained into
    batch_t partial         # what was drained of it

cdef void swap_init(swap_t *w) noexcept nogil
cdef void swap_free(swap_t *w) noexcept nogil
# Flip the generation and drain the old one. -1: no memory; nothing is lost, the next call takes up there.
cdef int store_swap(store_t *s, swap_t *w, batch_t *out) noexcept nogil
cdef void batch_free(batch_t *b) noexcept nogil
