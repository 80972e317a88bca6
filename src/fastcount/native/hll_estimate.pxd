# From how often each register value occurs to how many distinct members there were.
#
# The improved raw estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017,
# arXiv:1702.01284), algorithm 6 with sigma and tau of sections 2.4 and 2.5: no bias correction tables, no threshold
# between ranges. Redis ≥ 4 uses it, rounding with llroundl; done in the same order of operations in double precision,
# so that both say the same number. Registers beyond what 63 bits can count (made-up ones only: Redis overflows to a
# negative number there) are held at 2^63 - 1.

from libc.math cimport INFINITY, sqrt
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "<math.h>" nogil:
    long long llroundl(long double)

cdef extern from "<stdint.h>" nogil:
    const uint64_t HLL_ESTIMATE_MAX "INT64_MAX"

cdef enum:
    HLL_P = 14
    HLL_REGISTERS = 1 << 14
    HLL_Q = 64 - 14              # bits of the hash that a rank is taken from
    HLL_RANK_MAX = 64 - 14 + 1
    HLL_VALUES = 64              # what 6 bits can hold; above HLL_RANK_MAX is malformed


cdef inline double hll_sigma(double x) noexcept nogil:
    """x + Σ 2^(k-1) · x^(2^k): the share of registers still 0."""
    cdef double y = 1, z = x, before
    if x == 1:
        return INFINITY
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if z == before:
            return z


cdef inline double hll_tau(double x) noexcept nogil:
    """(1 - x - Σ 2^-k · (1 - x^(2^-k))²) / 3: the share of registers at their end."""
    cdef double y = 1, z = 1 - x, before
    if x == 0 or x == 1:
        return 0
    while True:
        x = sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) * (1 - x) * y
        if z == before:
            return z / 3


cdef inline uint64_t hll_estimate(const uint32_t *histogram) noexcept nogil:
    """Distinct members, from the number of registers of each value 0–HLL_RANK_MAX."""
    cdef double m = HLL_REGISTERS
    cdef double z = m * hll_tau((m - histogram[HLL_RANK_MAX]) / m)
    cdef int value
    for value in range(HLL_Q, 0, -1):
        z += histogram[value]
        z *= 0.5
    z += m * hll_sigma(histogram[0] / m)
    if z == 0:
        return HLL_ESTIMATE_MAX
    z = 0.721347520444481703680 * m * m / z  # 1 / (2 ln 2)
    return HLL_ESTIMATE_MAX if z >= 9223372036854775808.0 else <uint64_t>llroundl(z)
