# MurmurHash64A, the hash that places a member in a HyperLogLog, and its inverse.
#
# Austin Appleby's MurmurHash2, 64-bit version for 64-bit machines (public domain, SMHasher repository). Redis uses it
# with the seed below and reads its input as little-endian everywhere; so do we, and equal members meet equal registers.
# Seed and hash are public: whoever chooses members freely can choose registers, here as in Redis.
#
# Of exactly 8 bytes every step (multiply by an odd number, xor with a word shifted by more than half of its width) is a
# bijection on 64-bit words, so each hash has one 8-byte preimage.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #ifndef FASTCOUNT_MURMUR_H
    #define FASTCOUNT_MURMUR_H
    #include <stdint.h>
    #include <string.h>

    #define FC_MURMUR_SEED UINT64_C(0xadc83b19)
    #define FC_MURMUR_M UINT64_C(0xc6a4a7935bd1e995)
    #define FC_MURMUR_M_INVERSE UINT64_C(0x5f7a0ea7e59b19bd)  /* modulo 2^64 */

    static inline uint64_t fc_load64le(const uint8_t *p) {
        uint64_t v;
        memcpy(&v, p, 8);
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        v = __builtin_bswap64(v);
    #endif
        return v;
    }
    static inline uint32_t fc_load32le(const uint8_t *p) {
        uint32_t v;
        memcpy(&v, p, 4);
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        v = __builtin_bswap32(v);
    #endif
        return v;
    }
    #endif
    """
    const uint64_t SEED "FC_MURMUR_SEED"
    const uint64_t M "FC_MURMUR_M"
    const uint64_t M_INVERSE "FC_MURMUR_M_INVERSE"
    uint64_t fc_load64le(const uint8_t *p)
    uint32_t fc_load32le(const uint8_t *p)


cdef inline uint64_t murmur_mix(uint64_t k) noexcept nogil:
    k *= M
    k ^= k >> 47
    return k * M


cdef inline uint64_t murmur64a(const uint8_t *p, uint32_t n) noexcept nogil:
    """The hash of p[:n], without reading past it."""
    cdef uint64_t h = SEED ^ (n * M)
    cdef uint64_t tail
    cdef uint32_t left = n
    while left >= 8:
        h = (h ^ murmur_mix(fc_load64le(p))) * M
        p += 8
        left -= 8
    if left:
        # the last bytes as a little-endian number: from words that overlap what was read, where there are any
        if n >= 8:
            tail = fc_load64le(p + left - 8) >> (64 - 8 * left)
        elif n >= 4:
            tail = fc_load32le(p) | (<uint64_t>fc_load32le(p + n - 4) << (8 * (n - 4)))
        else:
            tail = p[0] | (<uint64_t>p[n >> 1] << (8 * (n >> 1))) | (<uint64_t>p[n - 1] << (8 * (n - 1)))
        h = (h ^ tail) * M
    h ^= h >> 47
    h *= M
    return h ^ (h >> 47)


cdef inline uint64_t murmur64a_preimage(uint64_t hash) noexcept nogil:
    """The 8 bytes, as a little-endian number, whose hash this is."""
    cdef uint64_t h = hash
    h ^= h >> 47
    h *= M_INVERSE
    h ^= h >> 47
    h *= M_INVERSE
    h ^= SEED ^ (<uint64_t>8 * M)
    h *= M_INVERSE
    h ^= h >> 47
    return h * M_INVERSE
