"""The one allocation hook of the sketches; see heap.pxd."""

from libc.stdlib cimport malloc

cdef long fail_in = -1


cdef void *heap_alloc(size_t size) noexcept nogil:
    global fail_in
    if fail_in >= 0:
        fail_in -= 1
        if fail_in < 0:
            return NULL
    return malloc(size)


cdef void heap_fail_in(long allocations) noexcept nogil:
    global fail_in
    fail_in = allocations
