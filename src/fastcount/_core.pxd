from libc.stdint cimport uint32_t, uint64_t

from fastcount.native.atomic cimport pthread_mutex_t
from fastcount.native.batch cimport swap_t
from fastcount.native.intake cimport intake_t, tally_t
from fastcount.native.keys cimport keys_t
from fastcount.native.ledger cimport ledger_t, source_t
from fastcount.native.shard cimport store_t


cdef class Store:
    cdef store_t store
    cdef swap_t swaps
    cdef keys_t keys
    cdef ledger_t ledger
    cdef tally_t tally
    cdef intake_t intake           # of `apply`, under apply_lock
    cdef pthread_mutex_t apply_lock
    cdef bint ready
    cdef readonly dict limits

    cdef object unique_of_type(self, bytes type)
    cdef source_t *ledger_now(self, uint32_t *n) except NULL
    cdef tuple type_names(self)
    cdef dict source_row(self, const source_t *s, uint64_t now)
