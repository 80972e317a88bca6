# SipHash-2-4: a keyed 64-bit hash that stays unpredictable to who does not have the key, however many outputs they
# see.
#
# Samples order members by it. Were the order known, somebody could make up members that always stay in a sample (or
# push everybody else out of it); priorities are shown in sorted sets, so a hash that leaks its seed through its
# outputs (MurmurHash, xxHash, the seed XORed into a plain hash) will not do.
#
# Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012; 2 rounds a word and 4 at
# the end are what the paper proposes. The test vectors of its appendix A are in the tests.

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "<endian.h>" nogil:
    uint64_t le64toh(uint64_t word) noexcept

cdef struct sipkey_t:
    uint64_t k0
    uint64_t k1

cdef struct sipstate_t:
    uint64_t v0
    uint64_t v1
    uint64_t v2
    uint64_t v3


cdef inline uint64_t sip_load(const uint8_t *p, size_t n) noexcept nogil:
    """`n` <= 8 bytes at `p`, little endian, the rest zero; reads nothing beyond them."""
    cdef uint64_t word = 0
    memcpy(&word, p, n)
    return le64toh(word)


cdef inline uint64_t sip_rotl(uint64_t x, int n) noexcept nogil:
    return (x << n) | (x >> (64 - n))


cdef inline void sip_round(sipstate_t *s) noexcept nogil:
    s.v0 += s.v1
    s.v2 += s.v3
    s.v1 = sip_rotl(s.v1, 13) ^ s.v0
    s.v3 = sip_rotl(s.v3, 16) ^ s.v2
    s.v0 = sip_rotl(s.v0, 32)
    s.v2 += s.v1
    s.v0 += s.v3
    s.v1 = sip_rotl(s.v1, 17) ^ s.v2
    s.v3 = sip_rotl(s.v3, 21) ^ s.v0
    s.v2 = sip_rotl(s.v2, 32)


cdef inline uint64_t sip_tail(const uint8_t *p, size_t n) noexcept nogil:
    """The last `n` % 8 bytes of `p[:n]` as the low bytes of a word: no loop, and no byte outside is read."""
    cdef size_t rest = n & 7
    if rest == 0:
        return 0
    if n >= 8:
        return sip_load(p + n - 8, 8) >> (8 * (8 - rest))
    if n >= 4:
        return sip_load(p, 4) | (sip_load(p + n - 4, 4) << (8 * (n - 4)))
    return p[0] | (<uint64_t>p[n >> 1] << (8 * (n >> 1))) | (<uint64_t>p[n - 1] << (8 * (n - 1)))


cdef inline uint64_t siphash(const sipkey_t *key, const uint8_t *p, size_t n) noexcept nogil:
    """SipHash-2-4 of `p[:n]`, 64 bits."""
    cdef sipstate_t s
    cdef uint64_t word
    cdef const uint8_t *tail = p + (n & ~<size_t>7)
    cdef const uint8_t *at = p
    s.v0 = key.k0 ^ <uint64_t>0x736f6d6570736575
    s.v1 = key.k1 ^ <uint64_t>0x646f72616e646f6d
    s.v2 = key.k0 ^ <uint64_t>0x6c7967656e657261
    s.v3 = key.k1 ^ <uint64_t>0x7465646279746573
    while at != tail:
        word = sip_load(at, 8)
        s.v3 ^= word
        sip_round(&s)
        sip_round(&s)
        s.v0 ^= word
        at += 8
    word = (<uint64_t>n << 56) | sip_tail(p, n)
    s.v3 ^= word
    sip_round(&s)
    sip_round(&s)
    s.v0 ^= word
    s.v2 ^= 0xff
    sip_round(&s)
    sip_round(&s)
    sip_round(&s)
    sip_round(&s)
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3


cdef inline uint64_t siphash53(const sipkey_t *key, const uint8_t *p, size_t n) noexcept nogil:
    """The upper 53 bits of `siphash`: 0..2^53-1, which a double (a sorted set's score) holds exactly."""
    return siphash(key, p, n) >> 11


cdef inline void sipkey_load(sipkey_t *key, const uint8_t *secret) noexcept nogil:
    """A key from 16 secret bytes, as in the paper (two little-endian words)."""
    key.k0 = sip_load(secret, 8)
    key.k1 = sip_load(secret + 8, 8)
