"""Decoding and applying apart from sockets and ledger: what bench/ measures."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastcount.errors import FrameError
from fastcount.wire import ERRORS

from fastcount._core cimport Store
from fastcount.native.frame cimport E_NONE, frame_header, frame_records, frame_t
from fastcount.native.intake cimport monotonic_ns
from fastcount.native.shard cimport (
    scratch_free, scratch_reserve, scratch_t, store_apply, store_enter, store_leave,
)
from fastcount.native.udp cimport APPLY_AT


def bench_apply(Store store not None, list frames not None, int rounds):
    """Decode and apply frames again and again, without the ledger; the two costs apart, in batches as a worker's."""
    cdef bytes data = b"".join(frames)
    cdef const uint8_t *base = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef const uint8_t *start
    cdef const uint8_t *body = NULL
    cdef scratch_t scratch
    cdef frame_t f
    cdef uint64_t i, n = len(frames), gathered, most = 0, records = 0, t0, decoding = 0, applying = 0
    cdef uint32_t *sizes = <uint32_t *>malloc((n + 1) * sizeof(uint32_t))
    cdef int error = E_NONE, gen
    if sizes == NULL:
        raise MemoryError
    for i in range(n):
        sizes[i] = <uint32_t>len(frames[i])
        if sizes[i] > most:
            most = sizes[i]
    memset(&scratch, 0, sizeof(scratch))
    if scratch_reserve(&scratch, APPLY_AT + most) < 0:
        free(sizes)
        raise MemoryError
    with nogil:
        for _ in range(rounds):
            start = base
            gathered = 0
            t0 = monotonic_ns()
            for i in range(n):
                error = frame_header(start, sizes[i], NULL, &f, &body)
                if error == E_NONE:
                    error = frame_records(base, start, body, start + sizes[i], &store.store.types, &store.store.key,
                                          True, scratch.records + gathered, &f)
                if error != E_NONE:
                    break
                start += sizes[i]
                gathered += f.records
                records += f.records
                if gathered >= APPLY_AT or i == n - 1:
                    decoding += monotonic_ns() - t0
                    t0 = monotonic_ns()
                    gen = store_enter(&store.store)
                    store_apply(&store.store, &scratch, base, scratch.records, gathered, gen)
                    store_leave(&store.store, gen)
                    applying += monotonic_ns() - t0
                    gathered = 0
                    t0 = monotonic_ns()
            if error != E_NONE:
                break
    free(sizes)
    scratch_free(&scratch)
    if error != E_NONE:
        raise FrameError(ERRORS[error - 1], f.error_at)
    return decoding / 1e9, applying / 1e9, records
