# malloc with its true price, and with a way to make it fail: a refusal for want of memory is a path like any other, so
# tests walk it. Cold: nothing here is called per record.

from libc.stddef cimport size_t
from libc.stdlib cimport free


cdef void *heap_alloc(size_t size) noexcept nogil       # NULL: no memory
cdef void *heap_zeroed(size_t size) noexcept nogil
cdef void *heap_resized(void *block, size_t size) noexcept nogil  # NULL: no memory, and the block is as it was
cdef void heap_fail_in(long allocations) noexcept nogil  # the one after so many fails, once; -1: none


cdef inline void heap_free(void *block) noexcept nogil:
    free(block)


cdef inline size_t heap_fit(size_t size) noexcept nogil:
    """`size` raised to what glibc hands out anyway: chunks of 32, 48, 64 … bytes, 8 of each its own."""
    size = ((size + 8 + 15) & ~<size_t>15) - 8
    return size if size > 24 else 24


cdef inline size_t heap_price(size_t size) noexcept nogil:
    """What a block of `size` bytes, as `heap_fit` made it, takes from the process."""
    return size + 8
