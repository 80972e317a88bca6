"""See intake.pxd."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

from fastcount.native.atomic cimport fc_count
from fastcount.native.events cimport events_offer
from fastcount.native.frame cimport (
    E_NONE, SEQUENCED, SIGNED, frame_header, frame_records, record_t,
)
from fastcount.native.keys cimport TRAILER
from fastcount.native.ledger cimport ADMITTED, ledger_admit, ledger_note
from fastcount.native.shard cimport store_apply


cdef uint64_t monotonic_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <uint64_t>t.tv_sec * 1_000_000_000 + <uint64_t>t.tv_nsec


cdef int64_t unix_ms() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_REALTIME, &t)
    return <int64_t>t.tv_sec * 1000 + t.tv_nsec // 1_000_000


cdef int intake_frame(intake_t *in_, const uint8_t *base, const uint8_t *start, uint64_t size,
                      const address_t *address, uint64_t now_ns, frame_t *f) noexcept nogil:
    cdef const uint8_t *body = NULL
    cdef const uint8_t *end = start + size
    cdef record_t *out = in_.scratch.records + in_.gathered
    cdef store_t *s = in_.store
    cdef int error = frame_header(start, size, in_.keys, f, &body)
    if error == E_NONE:
        if f.flags & SIGNED:
            end -= TRAILER
        error = frame_records(base, start, body, end, &s.types, &s.key, False, out, f)
    if error != E_NONE:
        fc_count(&in_.tally.errors[error], 1)
        ledger_note(in_.ledger, address, 0, True, now_ns)
        return error
    in_.verdict = ADMITTED
    if f.flags & SEQUENCED:
        in_.verdict = ledger_admit(in_.ledger, f.source, address, f.seq, f.sent, f.records, f.ended, now_ns)
    else:
        ledger_note(in_.ledger, address, f.records, False, now_ns)
    fc_count(&in_.tally.verdicts[in_.verdict], 1)
    fc_count(&in_.tally.records[in_.verdict], f.records)
    if in_.verdict == ADMITTED:
        if f.unknown_type:  # only a frame that counts may add a type
            frame_records(base, start, body, end, &s.types, &s.key, True, out, f)
        in_.gathered += f.records
        in_.members |= f.members
        fc_count(&in_.tally.frames, 1)
        fc_count(&in_.tally.bytes, size)
    return E_NONE


cdef int64_t intake_apply(intake_t *in_, const uint8_t *base, int gen) noexcept nogil:
    cdef uint64_t n = in_.gathered
    cdef int64_t refused
    in_.gathered = 0
    if n == 0:
        return 0
    refused = store_apply(in_.store, &in_.scratch, base, in_.scratch.records, n, gen)
    if in_.members:  # after it, for what was refused is no event
        in_.members = False
        events_offer(&in_.store.events, base, in_.scratch.records, n, unix_ms(), gen, &in_.store.memory,
                     in_.store.limits.max_memory)
    return refused
