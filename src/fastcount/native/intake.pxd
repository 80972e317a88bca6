# From bytes to applied: decode a frame, ask the ledger, gather its records, apply what was gathered.
#
# What every door does the same, whether a worker reads datagrams or Python hands over one frame. An intake belongs to
# one thread. All frames between two intake_apply lie in one buffer (`base`) and count under one generation.

from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastcount.native.frame cimport N_ERRORS, frame_t
from fastcount.native.keys cimport keys_t
from fastcount.native.ledger cimport address_t, ledger_t
from fastcount.native.shard cimport scratch_t, store_t

cdef struct tally_t:       # of all doors (atomic)
    uint64_t frames        # applied
    uint64_t bytes         # in them
    uint64_t errors[15]    # N_ERRORS: frames that did not decode, by reason
    uint64_t verdicts[5]   # frames by what the ledger said
    uint64_t records[5]    # records in them

cdef struct intake_t:
    store_t *store
    ledger_t *ledger
    tally_t *tally
    const keys_t *keys
    scratch_t scratch
    uint64_t gathered      # records waiting in scratch
    bint members           # one of them has a member
    int verdict            # of the last frame that decoded

# Decode start[:size], and gather its records if it is to be counted. There must be room for size / 2 more records.
# Returns E_NONE, or the error; the ledger and the tally know of it either way.
cdef int intake_frame(intake_t *in_, const uint8_t *base, const uint8_t *start, uint64_t size,
                      const address_t *address, uint64_t now_ns, frame_t *f) noexcept nogil
# Apply what was gathered; returns how many records were refused.
cdef int64_t intake_apply(intake_t *in_, const uint8_t *base, int gen) noexcept nogil
cdef uint64_t monotonic_ns() noexcept nogil
cdef int64_t unix_ms() noexcept nogil
