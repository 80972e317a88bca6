from fastcount.native.batch cimport batch_t


cdef class Batch:
    cdef batch_t batch
    cdef readonly tuple types
