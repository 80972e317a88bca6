# BLAKE2b with a key and a digest of 16 bytes: the tag of a SIGNED frame, checked where frames are read, no GIL held.
#
# Source: RFC 7693 (M-J. Saarinen, J.-P. Aumasson, 2015); names as there. What it says of a key: the padded key is the
# first block, so a tag costs one compression more than the message has blocks of 128 bytes. `blake2b_start` does that
# one in advance, for keys that check many messages.
#
# What is secret does not decide a branch or an address, and `blake2b_same` takes the same time whatever differs.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "<endian.h>" nogil:
    uint64_t le64toh(uint64_t word)
    uint64_t htole64(uint64_t word)

cdef extern from * nogil:
    """
    #ifndef FASTCOUNT_BLAKE2_H
    #define FASTCOUNT_BLAKE2_H
    #include <stdint.h>
    static const uint64_t fc_blake2b_iv[8] = {
        0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
        0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
    };
    /* which word of the block each of the 16 inputs of a round is; rounds 10 and 11 are 0 and 1 again */
    static const uint8_t fc_blake2b_sigma[12][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    };
    #endif
    """
    const uint64_t fc_blake2b_iv[8]
    const uint8_t fc_blake2b_sigma[12][16]

cdef enum:
    BLAKE2B_TAG = 16        # bytes of a tag
    BLAKE2B_KEY_MAX = 64

cdef struct blake2b_key_t:
    uint64_t h[8]           # state after the block of the key
    uint8_t block[128]      # the key itself, padded: an empty message ends with it
    size_t length           # of the key


cdef inline uint64_t blake2b_rotr(uint64_t x, int n) noexcept nogil:
    return (x >> n) | (x << (64 - n))


cdef inline void blake2b_mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y) noexcept nogil:
    """G of RFC 7693, 3.1."""
    v[a] += v[b] + x
    v[d] = blake2b_rotr(v[d] ^ v[a], 32)
    v[c] += v[d]
    v[b] = blake2b_rotr(v[b] ^ v[c], 24)
    v[a] += v[b] + y
    v[d] = blake2b_rotr(v[d] ^ v[a], 16)
    v[c] += v[d]
    v[b] = blake2b_rotr(v[b] ^ v[c], 63)


cdef inline void blake2b_compress(uint64_t *h, const uint8_t *block, uint64_t count, bint final) noexcept nogil:
    """F of RFC 7693, 3.2: one block of 128 bytes into `h`; `count` bytes came so far, this block's included."""
    cdef uint64_t v[16]
    cdef uint64_t m[16]
    cdef const uint8_t *s
    cdef int i
    memcpy(m, block, 128)
    for i in range(16):
        m[i] = le64toh(m[i])
    # written out, since a loop here would keep v in memory through the rounds
    v[0] = h[0]
    v[1] = h[1]
    v[2] = h[2]
    v[3] = h[3]
    v[4] = h[4]
    v[5] = h[5]
    v[6] = h[6]
    v[7] = h[7]
    v[8] = fc_blake2b_iv[0]
    v[9] = fc_blake2b_iv[1]
    v[10] = fc_blake2b_iv[2]
    v[11] = fc_blake2b_iv[3]
    v[12] = fc_blake2b_iv[4]
    v[13] = fc_blake2b_iv[5]
    v[14] = fc_blake2b_iv[6]
    v[15] = fc_blake2b_iv[7]
    v[12] ^= count      # its upper half stays zero: no message here has 2^64 bytes
    if final:
        v[14] = ~v[14]
    for i in range(12):
        s = fc_blake2b_sigma[i]
        blake2b_mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]])
        blake2b_mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]])
        blake2b_mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]])
        blake2b_mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]])
        blake2b_mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]])
        blake2b_mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]])
        blake2b_mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]])
        blake2b_mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]])
    h[0] ^= v[0] ^ v[8]
    h[1] ^= v[1] ^ v[9]
    h[2] ^= v[2] ^ v[10]
    h[3] ^= v[3] ^ v[11]
    h[4] ^= v[4] ^ v[12]
    h[5] ^= v[5] ^ v[13]
    h[6] ^= v[6] ^ v[14]
    h[7] ^= v[7] ^ v[15]


cdef inline int blake2b_start(blake2b_key_t *k, const uint8_t *key, size_t length) noexcept nogil:
    """Prepare a key of 1..64 bytes. 0, or -1: its length is not that."""
    cdef int i
    if length < 1 or length > BLAKE2B_KEY_MAX:
        return -1
    for i in range(8):
        k.h[i] = fc_blake2b_iv[i]
    k.h[0] ^= <uint64_t>0x01010000 ^ (<uint64_t>length << 8) ^ BLAKE2B_TAG
    memset(k.block, 0, 128)
    memcpy(k.block, key, length)
    k.length = length
    blake2b_compress(k.h, k.block, 128, False)
    return 0


cdef inline void blake2b_sign(const blake2b_key_t *k, const uint8_t *message, size_t length,
                              uint8_t *tag) noexcept nogil:
    """The 16-byte tag of `message[:length]` under a prepared key."""
    cdef uint64_t h[8]
    cdef uint8_t last[128]
    cdef size_t left = length
    cdef int i
    if length == 0:     # then the block of the key is the last one
        for i in range(8):
            h[i] = fc_blake2b_iv[i]
        h[0] ^= <uint64_t>0x01010000 ^ (<uint64_t>k.length << 8) ^ BLAKE2B_TAG
        blake2b_compress(h, k.block, 128, True)
    else:
        memcpy(h, k.h, 64)
        while left > 128:
            blake2b_compress(h, message, 128 + (length - left) + 128, False)
            message += 128
            left -= 128
        memset(last, 0, 128)
        memcpy(last, message, left)
        blake2b_compress(h, last, 128 + length, True)
    h[0] = htole64(h[0])
    h[1] = htole64(h[1])
    memcpy(tag, h, BLAKE2B_TAG)


cdef inline int blake2b_tag(const uint8_t *key, size_t key_length, const uint8_t *message, size_t length,
                            uint8_t *tag) noexcept nogil:
    """Both in one: the 16-byte tag under `key[:key_length]`. 0, or -1: a key has 1..64 bytes."""
    cdef blake2b_key_t k
    if blake2b_start(&k, key, key_length) < 0:
        return -1
    blake2b_sign(&k, message, length, tag)
    return 0


cdef inline bint blake2b_same(const uint8_t *a, const uint8_t *b) noexcept nogil:
    """Whether two tags are equal."""
    cdef uint8_t different = 0
    cdef int i
    for i in range(BLAKE2B_TAG):
        different |= a[i] ^ b[i]
    return different == 0
