# xoshiro256**: the random numbers of the reservoirs. Fast and statistically clean, not secret.
#
# Source: D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021; states are
# filled from a 64-bit seed by SplitMix64, as the authors ask for.

from libc.stdint cimport uint64_t

cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void *buffer, size_t size, unsigned int flags) noexcept

cdef struct rng_t:
    uint64_t s0
    uint64_t s1
    uint64_t s2
    uint64_t s3


cdef inline uint64_t rng_rotl(uint64_t x, int n) noexcept nogil:
    return (x << n) | (x >> (64 - n))


cdef inline uint64_t rng_split(uint64_t *seed) noexcept nogil:
    """The next number of SplitMix64."""
    cdef uint64_t z
    seed[0] += <uint64_t>0x9e3779b97f4a7c15
    z = seed[0]
    z = (z ^ (z >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * <uint64_t>0x94d049bb133111eb
    return z ^ (z >> 31)


cdef inline void rng_seed(rng_t *r, uint64_t seed) noexcept nogil:
    r.s0 = rng_split(&seed)
    r.s1 = rng_split(&seed)
    r.s2 = rng_split(&seed)
    r.s3 = rng_split(&seed)


cdef inline int rng_seed_os(rng_t *r) noexcept nogil:
    """0, or -1: the system has no random numbers for us (then `r` is not usable)."""
    if getrandom(r, sizeof(rng_t), 0) != sizeof(rng_t):
        return -1
    r.s0 |= 1       # all zero is the one state that stays
    return 0


cdef inline uint64_t rng_next(rng_t *r) noexcept nogil:
    cdef uint64_t out = rng_rotl(r.s1 * 5, 7) * 9
    cdef uint64_t t = r.s1 << 17
    r.s2 ^= r.s0
    r.s3 ^= r.s1
    r.s1 ^= r.s2
    r.s0 ^= r.s3
    r.s2 ^= t
    r.s3 = rng_rotl(r.s3, 45)
    return out


cdef inline double rng_unit(rng_t *r) noexcept nogil:
    """Uniform in the open interval (0, 1), a multiple of 2^-53: its logarithm is finite and not zero."""
    return (<double>(rng_next(r) >> 12) + 0.5) * (1.0 / 4503599627370496.0)


cdef inline uint64_t rng_below(rng_t *r, uint64_t n) noexcept nogil:
    """Uniform in 0..n-1, n >= 1, without the bias of a plain remainder."""
    cdef uint64_t reject = (0 - n) % n
    cdef uint64_t x = rng_next(r)
    while x < reject:
        x = rng_next(r)
    return x % n
