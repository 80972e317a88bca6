# Redis's HyperLogLog strings, read and written from its documented layout.
#
#     header  "HYLL" | encoding u8: 0 dense, 1 sparse | 3 zero bytes | cardinality u64le, bit 63 set: not valid
#     dense   the packed registers of hll_registers.pxd: 12,304 bytes in all
#     sparse  opcodes that together cover registers 0 to 16,383, none beyond:
#               ZERO   00nnnnnn            n + 1 registers are 0 (1–64)
#               XZERO  01nnnnnn nnnnnnnn   n + 1 registers are 0 (1–16,384), high bits first
#               VAL    1vvvvvnn            n + 1 registers (1–4) are v + 1 (1–32)
#
# Reading is strict: a string that Redis would not have written itself is refused, with the offset. The cached
# cardinality is handed over, not believed: Redis before 4 put another estimate there.

from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    HLL_HEADER = 16
    HLL_DENSE_STRING = 16 + 12288
    HLL_SPARSE_LIMIT = 3000      # Redis's default hll-sparse-max-bytes, header included

cdef enum:
    HLL_OK
    HLL_TRUNCATED
    HLL_MAGIC
    HLL_ENCODING
    HLL_RESERVED
    HLL_OVERFLOW
    HLL_OVERSIZE
    HLL_REGISTER

cdef extern from "<stdint.h>" nogil:
    const uint64_t HLL_NOT_CACHED "UINT64_MAX"

# Read s[:n] into a byte a register. `cached` receives the cardinality or HLL_NOT_CACHED. Returns HLL_OK, or what is
# wrong, with its offset in `at`; then `values` is undefined.
cdef int hll_decode(const uint8_t *s, uint64_t n, uint8_t *values, uint64_t *cached, uint64_t *at) noexcept nogil

# Write into `out` (room for HLL_DENSE_STRING bytes); both return the length.
cdef uint64_t hll_encode_dense(const uint8_t *values, uint64_t cached, uint8_t *out) noexcept nogil
# 0 if a register above 32 makes it impossible, or more than `limit` ≤ HLL_DENSE_STRING bytes were needed. Runs are the
# longest possible; Redis's own depend on the order in which members came, but only where equal neighbours meet.
cdef uint64_t hll_encode_sparse(const uint8_t *values, uint64_t cached, uint8_t *out, uint64_t limit) noexcept nogil
