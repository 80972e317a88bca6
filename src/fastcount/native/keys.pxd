# The keys that SIGNED frames may be signed with, by key id. Filled before the first frame, then only read.

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from fastcount.native.blake2 cimport blake2b_key_t, blake2b_same, blake2b_sign, blake2b_start

cdef enum:
    TAG = 16
    TRAILER = 17  # key id and tag

cdef struct keys_t:
    blake2b_key_t *of[256]
    bint required  # a frame without a signature is refused


cdef inline int keys_add(keys_t *k, int id, const uint8_t *key, size_t length) noexcept nogil:
    """A key of 16–64 bytes. -1: no memory."""
    if k.of[id] == NULL:
        k.of[id] = <blake2b_key_t *>malloc(sizeof(blake2b_key_t))
        if k.of[id] == NULL:
            return -1
    return blake2b_start(k.of[id], key, length)


cdef inline void keys_free(keys_t *k) noexcept nogil:
    cdef int i
    for i in range(256):
        free(k.of[i])
        k.of[i] = NULL


cdef inline const uint8_t *keys_fault(const keys_t *k, const uint8_t *start, uint64_t size) noexcept nogil:
    """Where the trailer of a SIGNED frame is wrong (the key id, or the tag), or NULL."""
    cdef const uint8_t *trailer = start + size - TRAILER
    cdef uint8_t tag[TAG]
    if k == NULL or k.of[trailer[0]] == NULL:
        return trailer
    blake2b_sign(k.of[trailer[0]], start, size - TAG, tag)
    return NULL if blake2b_same(tag, trailer + 1) else trailer + 1
