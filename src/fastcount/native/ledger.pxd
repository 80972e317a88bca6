# The loss ledger: per (source, address), what was sent and what came of it.
#
# Every SEQUENCED frame says who sent it (source), its number (seq) and how many records that source had put into all
# earlier frames (sent). So what is missing is known exactly, in records, as soon as a later frame arrives, and a frame
# that comes twice is counted once. A bitmap remembers which of the last WINDOW seqs arrived. docs/wire-format.md
# ("The books") has the rules that clients can rely on.
#
# Owns: a fixed number of sources, chained by hash, and the totals of those that had to give up their place.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastcount.native.atomic cimport pthread_mutex_t

cdef enum:
    WINDOW = 1024          # seqs remembered
    MAX_JUMP = 1 << 20     # seqs further ahead than this need a second frame that agrees
    MAX_RECORDS = 524_288  # records in the largest frame
    MAX_ADDRESS = 23
    IDLE_NS = 1_000_000_000

cdef enum:
    ADMITTED, DUPLICATE, STALE, AHEAD_OF_TIME, INCONSISTENT

cdef struct address_t:
    uint8_t length
    uint8_t bytes[23]      # fastcount.address

cdef struct books_t:       # sums that outlive a source
    uint64_t frames
    uint64_t records
    uint64_t sent
    uint64_t lost
    uint64_t lost_frames
    uint64_t duplicate_frames
    uint64_t duplicate_records
    uint64_t reordered_frames
    uint64_t stale_frames
    uint64_t stale_records
    uint64_t ahead_frames
    uint64_t inconsistent_frames
    uint64_t malformed

cdef struct source_t:
    # key
    uint64_t source
    address_t address
    bint sequenced
    # place
    uint32_t next          # in its chain
    bint used
    # position
    bint joined            # a frame was admitted
    bint settled           # the highest frame had END
    uint64_t joined_seq
    uint64_t next_seq
    uint64_t base_sent
    uint64_t end_max       # records up to and with the highest frame
    uint64_t jump_seq      # a frame too far ahead; a second one within WINDOW after it makes the jump stand
    uint64_t jump_end
    bint jump
    uint64_t heard_ns
    books_t books
    uint64_t window[16]    # bit seq % WINDOW: that frame arrived

cdef struct ledger_t:
    pthread_mutex_t lock
    source_t *items
    uint32_t *heads        # index + 1 of a chain's first item, 0: none
    uint64_t mask
    uint32_t used          # items ever used
    uint32_t maximum
    uint32_t live          # items in use now
    uint32_t hand          # where the search for an idle source goes on
    uint64_t seed
    books_t gone           # of sources that were evicted
    uint64_t evicted
    uint64_t untracked_frames   # counted, but in nobody's books: the table was full
    uint64_t untracked_records
    uint64_t lost          # over all sources, live (atomic)

cdef int ledger_init(ledger_t *l, uint32_t maximum, uint64_t seed) noexcept nogil
cdef void ledger_free(ledger_t *l) noexcept nogil
# Is this frame of a source to be counted? Takes the lock.
cdef int ledger_admit(ledger_t *l, uint64_t source, const address_t *address, uint64_t seq, uint64_t sent,
                      uint32_t records, bint ended, uint64_t now_ns) noexcept nogil
# A frame without SEQUENCED, or one that did not decode.
cdef void ledger_note(ledger_t *l, const address_t *address, uint32_t records, bint malformed,
                      uint64_t now_ns) noexcept nogil
# Copy sources i, i+1, … below `stop` that are in use into `out`; returns how many.
cdef uint32_t ledger_copy(ledger_t *l, uint32_t i, uint32_t stop, source_t *out) noexcept nogil
# Sort pointers to sources: most lost first, then most recently heard.
cdef void ledger_rank(source_t **order, size_t n) noexcept nogil
cdef void books_add(books_t *to, const books_t *what) noexcept nogil
