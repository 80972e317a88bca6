"""Reading and writing Redis's strings; see hll_codec.pxd."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastcount.native.hll_estimate cimport HLL_RANK_MAX, HLL_REGISTERS
from fastcount.native.hll_registers cimport HLL_PACKED, HLL_SLACK, registers_pack, registers_unpack

cdef enum:
    DENSE = 0
    SPARSE = 1
    VAL = 0x80
    XZERO = 0x40
    VAL_MAX = 32


cdef int hll_decode(const uint8_t *s, uint64_t n, uint8_t *values, uint64_t *cached, uint64_t *at) noexcept nogil:
    cdef uint64_t i
    at[0] = 0
    if memcmp(s, b"HYLL", n if n < 4 else 4) != 0:
        return HLL_MAGIC
    if n < HLL_HEADER:
        at[0] = n
        return HLL_TRUNCATED
    if s[4] > SPARSE:
        at[0] = 4
        return HLL_ENCODING
    for i in range(5, 8):
        if s[i]:
            at[0] = i
            return HLL_RESERVED
    cached[0] = 0
    for i in range(8):
        cached[0] |= <uint64_t>s[8 + i] << (8 * i)
    if cached[0] >> 63:
        cached[0] = HLL_NOT_CACHED
    return (decode_sparse if s[4] == SPARSE else decode_dense)(s, n, values, at)


cdef int decode_dense(const uint8_t *s, uint64_t n, uint8_t *values, uint64_t *at) noexcept nogil:
    cdef uint8_t packed[HLL_PACKED + HLL_SLACK]
    cdef int i
    if n != HLL_DENSE_STRING:
        at[0] = n if n < HLL_DENSE_STRING else HLL_DENSE_STRING
        return HLL_TRUNCATED if n < HLL_DENSE_STRING else HLL_OVERSIZE
    memcpy(packed, s + HLL_HEADER, HLL_PACKED)
    memset(packed + HLL_PACKED, 0, HLL_SLACK)
    registers_unpack(packed, values)
    for i in range(HLL_REGISTERS):
        if values[i] > HLL_RANK_MAX:
            at[0] = HLL_HEADER + (i * 6 >> 3)
            return HLL_REGISTER
    return HLL_OK


cdef int decode_sparse(const uint8_t *s, uint64_t n, uint8_t *values, uint64_t *at) noexcept nogil:
    cdef uint64_t p = HLL_HEADER
    cdef uint32_t i = 0, run, value, length
    while p < n:
        value = 0
        length = 1
        if s[p] & VAL:
            value = ((s[p] >> 2) & 31) + 1
            run = (s[p] & 3) + 1
        elif s[p] & XZERO:
            length = 2
            if p + 1 == n:
                at[0] = n
                return HLL_TRUNCATED
            run = ((s[p] & 63) << 8 | s[p + 1]) + 1
        else:
            run = (s[p] & 63) + 1
        if i + run > HLL_REGISTERS:
            at[0] = p
            return HLL_OVERFLOW
        memset(values + i, value, run)
        i += run
        p += length
    at[0] = n
    return HLL_OK if i == HLL_REGISTERS else HLL_TRUNCATED


cdef void write_header(uint8_t *out, uint8_t encoding, uint64_t cached) noexcept nogil:
    cdef int i
    memcpy(out, b"HYLL", 4)
    out[4] = encoding
    memset(out + 5, 0, 3)
    if cached >> 63:
        cached = <uint64_t>1 << 63  # what Redis leaves is the stale number with this bit set; ours is 0
    for i in range(8):
        out[8 + i] = <uint8_t>(cached >> (8 * i))


cdef uint64_t hll_encode_dense(const uint8_t *values, uint64_t cached, uint8_t *out) noexcept nogil:
    write_header(out, DENSE, cached)
    registers_pack(values, out + HLL_HEADER)
    return HLL_DENSE_STRING


cdef uint64_t hll_encode_sparse(const uint8_t *values, uint64_t cached, uint8_t *out, uint64_t limit) noexcept nogil:
    cdef uint64_t p = HLL_HEADER
    cdef uint32_t i = 0, run, most
    cdef uint8_t value
    if limit < HLL_HEADER:
        return 0
    write_header(out, SPARSE, cached)
    while i < HLL_REGISTERS:
        value = values[i]
        if value > VAL_MAX:
            return 0
        most = 4 if value else HLL_REGISTERS
        run = 1
        while run < most and i + run < HLL_REGISTERS and values[i + run] == value:
            run += 1
        if p + (1 if value or run <= 64 else 2) > limit:
            return 0
        if value:
            out[p] = <uint8_t>(VAL | ((value - 1) << 2) | (run - 1))
        elif run <= 64:
            out[p] = <uint8_t>(run - 1)
        else:
            out[p] = <uint8_t>(XZERO | ((run - 1) >> 8))
            p += 1
            out[p] = <uint8_t>(run - 1)
        p += 1
        i += run
    return p
