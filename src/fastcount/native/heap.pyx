"""The one allocation hook of sketches and batches; see heap.pxd."""

from libc.stdlib cimport calloc, malloc, realloc

cdef long fail_in = -1


cdef bint fails() noexcept nogil:
    global fail_in
    if fail_in < 0:
        return False
    fail_in -= 1
    return fail_in < 0


cdef void *heap_alloc(size_t size) noexcept nogil:
    return NULL if fails() else malloc(size)


cdef void *heap_zeroed(size_t size) noexcept nogil:
    return NULL if fails() else calloc(1, size)


cdef void *heap_resized(void *block, size_t size) noexcept nogil:
    return NULL if fails() else realloc(block, size)


cdef void heap_fail_in(long allocations) noexcept nogil:
    global fail_in
    fail_in = allocations
