"""The cold part of refusals.pxd; all of it is cold until a limit is reached."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from fastcount.native.atomic cimport (
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)


cdef void refusals_init(refusals_t *r) noexcept nogil:
    memset(r, 0, sizeof(refusals_t))
    pthread_mutex_init(&r.lock, NULL)


cdef void refusals_free(refusals_t *r) noexcept nogil:
    pthread_mutex_destroy(&r.lock)


cdef inline bint separator(uint8_t c) noexcept nogil:
    return c in (b'/', b':', b'.', b'-', b'_', b'?', b'=', b'&')


cdef inline uint32_t prefix_length(const uint8_t *id, uint32_t n) noexcept nogil:
    cdef uint32_t i
    if n > PREFIX_BYTES:
        n = PREFIX_BYTES
        while n > 1 and (id[n] & 0xC0) == 0x80:  # not inside of a character
            n -= 1
    for i in range(1, n):
        if separator(id[i]):
            return i + 1
    return n


cdef void refusals_count(refusals_t *r, uint32_t type, const uint8_t *id, uint32_t n) noexcept nogil:
    cdef uint32_t i, least = 0
    cdef uint32_t length = prefix_length(id, n)
    cdef prefix_t *p
    pthread_mutex_lock(&r.lock)
    for i in range(r.used):
        p = &r.items[i]
        if p.length == length and p.type == type and memcmp(p.bytes, id, length) == 0:
            p.count += 1
            break
        if p.count < r.items[least].count:
            least = i
    else:
        if r.used < N_PREFIXES:
            p = &r.items[r.used]
            r.used += 1
        else:
            p = &r.items[least]
            p.error = p.count
        p.count += 1
        p.type = type
        p.length = length
        memcpy(p.bytes, id, length)
    pthread_mutex_unlock(&r.lock)


cdef uint32_t refusals_read(refusals_t *r, prefix_t *out) noexcept nogil:
    cdef uint32_t used
    pthread_mutex_lock(&r.lock)
    used = r.used
    memcpy(out, r.items, used * sizeof(prefix_t))
    pthread_mutex_unlock(&r.lock)
    return used
