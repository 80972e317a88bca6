# The hash of a name, keyed so that nobody outside can make names collide.
#
# The construction is that of wyhash (Wang Yi, public domain): words folded by a 64×64→128-bit multiply. An id of up
# to 16 bytes, which is most of them, is two overlapping loads and two multiplies.
#
#     bits 56–63   shard        bits 24–55   tag in the index        bits 0–…   home slot
#
# While the words are in registers they are checked: `suspect` gets bits when some byte is a control character or not
# ASCII, and only then text.pxd looks byte by byte.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastcount.native.atomic cimport fc_load32, fc_load64, fc_mum

cdef struct hash_key_t:
    uint64_t s0
    uint64_t s1


cdef inline uint64_t suspicious(uint64_t x) noexcept nogil:
    """Non-zero if a byte of x is below 0x20, 0x7f, or above (Bit Twiddling Hacks: hasless, haszero)."""
    return (x | (x - <uint64_t>0x2020202020202020) | ((x ^ <uint64_t>0x7F7F7F7F7F7F7F7F)
            - <uint64_t>0x0101010101010101)) & <uint64_t>0x8080808080808080


cdef inline uint64_t hash_bytes(const uint8_t *p, uint32_t n, uint64_t seed, const hash_key_t *key,
                                uint64_t *suspect) noexcept nogil:
    """64 bits of p[:n], n ≥ 1."""
    cdef uint64_t a, b, odd = 0
    cdef uint32_t left, half
    cdef const uint8_t *q
    if n <= 16:
        if n >= 4:
            half = (n >> 3) << 2
            a = (<uint64_t>fc_load32(p) << 32) | fc_load32(p + half)
            b = (<uint64_t>fc_load32(p + n - 4) << 32) | fc_load32(p + n - 4 - half)
            odd = suspicious(a) | suspicious(b)
        else:
            a = (<uint64_t>p[0] << 16) | (<uint64_t>p[n >> 1] << 8) | p[n - 1]
            b = 0
            odd = suspicious(a | <uint64_t>0x2020202020000000)
    else:
        q = p
        left = n
        while left > 16:
            a = fc_load64(q)
            b = fc_load64(q + 8)
            odd |= suspicious(a) | suspicious(b)
            seed = fc_mum(a ^ key.s1, b ^ seed)
            q += 16
            left -= 16
        a = fc_load64(p + n - 16)
        b = fc_load64(p + n - 8)
        odd |= suspicious(a) | suspicious(b)
    suspect[0] |= odd
    return fc_mum(fc_mum(a ^ key.s1, b ^ seed) ^ key.s0 ^ n, seed ^ key.s1)


cdef inline uint64_t text_suspicious(const uint8_t *p, uint32_t n) noexcept nogil:
    """Non-zero if p[:n], n ≥ 1, has a control character or one that is not ASCII."""
    cdef uint32_t i = 0
    cdef uint64_t odd
    if n >= 8:
        odd = suspicious(fc_load64(p + n - 8))
        while i + 8 < n:
            odd |= suspicious(fc_load64(p + i))
            i += 8
        return odd
    if n >= 4:
        return suspicious(<uint64_t>fc_load32(p) << 32 | fc_load32(p + n - 4))
    return suspicious(<uint64_t>0x2020202020000000 | <uint64_t>p[0] << 16 | <uint64_t>p[n >> 1] << 8 | p[n - 1])


cdef inline bint same_bytes(const uint8_t *a, const uint8_t *b, uint32_t n) noexcept nogil:
    """a[:n] == b[:n] without reading past either, n ≥ 1."""
    cdef uint32_t i
    if n >= 8:
        i = 0
        while i + 8 < n:
            if fc_load64(a + i) != fc_load64(b + i):
                return False
            i += 8
        return fc_load64(a + n - 8) == fc_load64(b + n - 8)
    if n >= 4:
        return fc_load32(a) == fc_load32(b) and fc_load32(a + n - 4) == fc_load32(b + n - 4)
    return a[0] == b[0] and a[n >> 1] == b[n >> 1] and a[n - 1] == b[n - 1]
