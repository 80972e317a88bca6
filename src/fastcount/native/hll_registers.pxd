# 16,384 registers of 6 bits, packed as Redis packs them: register i is bits 6i to 6i + 5, least significant first.
#
# 12,288 bytes; a buffer of them has HLL_SLACK more, so that the last register may be read as a 16-bit word and the last
# vector as a whole one. A byte a register takes a third more memory and adds 1.3 times as fast to one sketch that stays
# in the first-level cache, no faster to many (bench/hll.py), and the packed form is what goes to Redis. The loops over
# all registers (unpack, histogram, merge) have AVX2 versions, chosen at run time.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastcount.native.hll_estimate cimport HLL_P, HLL_REGISTERS

cdef enum:
    HLL_PACKED = 12288           # bytes: 16,384 · 6 / 8
    HLL_SLACK = 8
    HLL_BITMAP = 2048            # bytes of a bit per register


cdef inline uint32_t registers_get(const uint8_t *packed, uint32_t i) noexcept nogil:
    cdef const uint8_t *p = packed + (i * 6 >> 3)
    return ((p[0] | (<uint32_t>p[1] << 8)) >> (i * 6 & 7)) & 63


cdef inline void registers_set(uint8_t *packed, uint32_t i, uint32_t value) noexcept nogil:
    cdef uint8_t *p = packed + (i * 6 >> 3)
    cdef uint32_t shift = i * 6 & 7
    cdef uint32_t word = ((p[0] | (<uint32_t>p[1] << 8)) & ~(<uint32_t>63 << shift)) | (value << shift)
    p[0] = <uint8_t>word
    p[1] = <uint8_t>(word >> 8)


# Packed to a byte a register, and back (which leaves the slack alone).
cdef void registers_unpack(const uint8_t *packed, uint8_t *values) noexcept nogil
cdef void registers_pack(const uint8_t *values, uint8_t *packed) noexcept nogil
# values = max(values, packed)
cdef void registers_fold(const uint8_t *packed, uint8_t *values) noexcept nogil
# packed = max(packed, other); sets the bit of each register that rose, and returns whether one did.
cdef bint registers_merge(uint8_t *packed, const uint8_t *other, uint64_t *rose) noexcept nogil
# How many of 16,384 bytes have each value 0–63.
cdef void registers_histogram(const uint8_t *values, uint32_t *histogram) noexcept nogil
# For tests: use the portable loops, whatever the processor can; returns whether the others were in use.
cdef bint registers_portable(bint on) noexcept nogil
