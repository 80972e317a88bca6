# Who is refused: the prefixes of ids that new names beyond a limit begin with, the worst first.
#
# Space-Saving (Metwally, Agrawal, El Abbadi 2005) over 64 prefixes: a prefix with more than 1/64 of all refusals is
# always among them, and its count is too high by at most `error`. A prefix is the type and the id up to its first
# separator (one of / : . - _ ? = &), at most 24 bytes.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastcount.native.atomic cimport pthread_mutex_t

cdef enum:
    N_PREFIXES = 64
    PREFIX_BYTES = 24

cdef struct prefix_t:
    uint64_t count
    uint64_t error
    uint32_t type
    uint32_t length
    uint8_t bytes[24]

cdef struct refusals_t:
    pthread_mutex_t lock
    uint32_t used
    prefix_t items[64]

cdef void refusals_init(refusals_t *r) noexcept nogil
cdef void refusals_free(refusals_t *r) noexcept nogil
cdef void refusals_count(refusals_t *r, uint32_t type, const uint8_t *id, uint32_t n) noexcept nogil
# Copies the items out, `out` of N_PREFIXES; returns how many.
cdef uint32_t refusals_read(refusals_t *r, prefix_t *out) noexcept nogil
