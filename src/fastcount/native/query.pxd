# Reading the store: a shard's lock at a time, never all of them.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastcount.native.bottomk cimport bottomk_t
from fastcount.native.hll cimport hll_t
from fastcount.native.shard cimport store_t

# A name as callers have it; valid.
cdef struct name_t:
    const uint8_t *type
    const uint8_t *id
    uint32_t type_length
    uint32_t id_length

cdef struct ranked_t:
    int64_t value
    uint32_t length
    uint8_t id[1023]

cdef enum:
    BY_VALUE, BY_UNIQUE

# The total and the part not yet in a batch; both 0 for a name never counted.
cdef void store_read(store_t *s, const name_t *name, int64_t *value, int64_t *pending) noexcept nogil
# Subtract the observed value; returns it. Uniques and samples stay: nothing can be taken out of a union.
cdef int64_t store_reset(store_t *s, const name_t *name) noexcept nogil
# Distinct members, and one standard error of that, relative.
cdef uint64_t store_unique(store_t *s, const name_t *name, double *error) noexcept nogil
# The union over all names of a type, into `out` (empty before, the caller's to free); -1: no memory.
cdef int store_union(store_t *s, uint32_t type, hll_t *out) noexcept nogil
# A copy of the sample (`out` is initialised here, and the caller's to free); -1: no memory.
cdef int store_sample(store_t *s, const name_t *name, bottomk_t *out) noexcept nogil
# The k largest of a type, as a heap in `heap` (room for k); returns how many.
cdef uint64_t store_top(store_t *s, uint32_t type, int by, ranked_t *heap, uint64_t k) noexcept nogil
cdef uint64_t store_saturated(store_t *s) noexcept nogil
