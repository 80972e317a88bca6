# Sampled events: of the HITs of each type, a uniform sample per generation (reservoir.pxd), for counter_buffer.
#
# Owns: two reservoirs a type, made with its first HIT. `lock` guards them all; a batch takes it once, and walks over
# its records only if one of them is a HIT. An event that would be kept while max_memory is reached is left out and
# counted.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastcount.native.atomic cimport pthread_mutex_t
from fastcount.native.frame cimport record_t
from fastcount.native.reservoir cimport reservoir_t

cdef struct pair_t:
    reservoir_t of[2]      # by generation

cdef struct events_t:
    pthread_mutex_t lock
    pair_t **types         # NULL: no HIT yet
    uint64_t maximum
    uint64_t size          # events a reservoir keeps; 0: none are kept
    uint64_t seen          # HITs
    uint64_t refused       # left out for want of memory

cdef int events_init(events_t *e, uint64_t max_types, uint64_t size) noexcept nogil
cdef void events_free(events_t *e) noexcept nogil
# Offer the HITs among the records. `memory` (atomic) is what the store holds, `most` its bound.
cdef void events_offer(events_t *e, const uint8_t *base, const record_t *records, uint64_t n, int64_t now_ms, int gen,
                       uint64_t *memory, uint64_t most) noexcept nogil
# The same of one HIT.
cdef void events_offer_one(events_t *e, uint32_t type, const uint8_t *id, uint32_t id_length, const uint8_t *member,
                           uint32_t member_length, int64_t now_ms, int gen, uint64_t *memory,
                           uint64_t most) noexcept nogil
# Hand over a type's reservoir of a generation, if it has seen anything; else `out` stays as it is.
cdef void events_take(events_t *e, uint64_t type, int gen, reservoir_t *out, uint64_t *memory) noexcept nogil
