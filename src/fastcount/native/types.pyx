"""The cold part of types.pxd."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastcount.native.atomic cimport (
    fc_store, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from fastcount.native.hash cimport hash_key_t


cdef int types_init(types_t *t, uint32_t maximum) noexcept nogil:
    cdef uint64_t slots = 16
    memset(t, 0, sizeof(types_t))
    while slots < 2 * <uint64_t>maximum:
        slots *= 2
    t.items = <type_t *>calloc(maximum, sizeof(type_t))
    t.index = <uint64_t *>calloc(slots, sizeof(uint64_t))
    if t.items == NULL or t.index == NULL:
        free(t.items)
        free(t.index)
        return -1
    t.mask = slots - 1
    t.maximum = maximum
    pthread_mutex_init(&t.lock, NULL)
    return 0


cdef void types_free(types_t *t) noexcept nogil:
    if t.items != NULL:
        pthread_mutex_destroy(&t.lock)
    free(t.items)
    free(t.index)
    t.items = NULL
    t.index = NULL


cdef uint32_t types_intern(types_t *t, const hash_key_t *key, const uint8_t *name, uint32_t n) noexcept nogil:
    cdef uint64_t seed, i
    cdef type_t *item
    cdef uint32_t number
    pthread_mutex_lock(&t.lock)
    number = types_find(t, key, name, n, &seed)
    if number == TYPE_UNKNOWN and t.count < t.maximum:
        number = <uint32_t>t.count
        item = &t.items[number]
        memcpy(item.name, name, n)
        item.length = n
        i = seed & t.mask
        while t.index[i] != 0:
            i = (i + 1) & t.mask
        fc_store(&t.index[i], number + 1)
        fc_store(&t.count, number + 1)
    pthread_mutex_unlock(&t.lock)
    return number
