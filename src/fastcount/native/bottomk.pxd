# A uniform sample of the *distinct* members a name has seen: bottom-k by a keyed hash.
#
# Theory. Every member has a fixed priority, the upper 53 bits of its SipHash under the deployment's secret
# (siphash.pxd), and the sample is the k members with the smallest (priority, bytes). How often or in which order they
# were offered does not matter, and the sample of a union is the k smallest of the union of samples: a CRDT.
# Priorities of distinct members are independent uniform numbers, so the k-th smallest tells how many there are: D ~
# (k-1) / U(k), unbiased, standard error 1/sqrt(k-2) (K. Beyer, P. Haas, B. Reinwald, Y. Sismanis, R. Gemulla, "On
# synopses for distinct-value estimation under multiset operations", SIGMOD 2007; the sketch is E. Cohen's,
# "Size-estimation framework", JCSS 1997).
#
# Ownership. A `bottomk` is meant to be embedded; it owns one heap block that grows with its members. The caller
# serialises all calls on one sample (the shard's lock). Zeroed memory is not a sample: `bottomk_init` first.
#
# Block, sorted by (priority, bytes):
#     u64 key[cap]      priority << 11 | member length << 3 | marks   (mark bit g: entered in generation g, not drained)
#     u32 offset[cap]   of the member in
#     u8  bytes[room]   filled from the front; holes go when the block is next rebuilt
#
# Generations. What enters is marked with the caller's generation, 0 or 1; `bottomk_drain` of the other one gives what
# entered before the cut *and was in the sample at the cut*. A member that the next generation pushes out between the
# cut and its drain stays as a ghost behind the n members (key[n : n + ghosts]), because the batch that its
# acknowledgement stands for must hold it. Each generation is drained before it is used again.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from fastcount.native.atomic cimport fc_prefetch
from fastcount.native.heap cimport heap_price
from fastcount.native.siphash cimport sipkey_t

cdef enum:
    BOTTOMK_DEFAULT_K = 100
    BOTTOMK_MAX_K = 4096
    BOTTOMK_MEMBER_MAX = 255
    BOTTOMK_QUIET = 2       # a generation that marks nothing: for restoring what is durable already
    BOTTOMK_ROW = 9         # bytes of a row beside its member: priority u64le | length u8
    BOTTOMK_HEADER = 6      # version u8 | full u8 | k u16le | n u16le

cdef enum:
    BOTTOMK_NO_MEMORY = -1
    BOTTOMK_BAD_VERSION = -2
    BOTTOMK_BAD_HEADER = -3     # unknown flags, k outside of 1..4096, n > k, or "full" with n < k
    BOTTOMK_BAD_LENGTH = -4     # truncated, bytes left over, or an empty member
    BOTTOMK_BAD_ORDER = -5      # rows not strictly ascending, or a priority beyond 53 bits
    BOTTOMK_BAD_KEY = -6        # a priority that is not its member's hash: corrupt, or another deployment's secret

cdef struct bottomk_t:
    # read by every offer
    uint64_t threshold      # priorities above it will not be kept; all ones until a member was turned away or went
    uint8_t *block          # NULL: nothing yet
    uint16_t n              # members
    uint16_t k
    # the block
    uint16_t cap            # entries it has room for
    uint16_t ghosts         # entries behind the n members that only wait for their drain
    uint32_t size           # bytes
    uint32_t used           # of its member bytes, from the front
    uint32_t live           # of those, belonging to an entry
    # books
    uint16_t dirty[2]       # entries marked, by generation


# cold, in bottomk.pyx
cdef int bottomk_insert(bottomk_t *s, size_t at, uint64_t priority, const uint8_t *member, size_t length,
                        int gen) noexcept nogil
cdef void bottomk_free(bottomk_t *s) noexcept nogil
cdef void bottomk_set_k(bottomk_t *s, size_t k, int gen) noexcept nogil
cdef int bottomk_merge(bottomk_t *s, const bottomk_t *other, int gen) noexcept nogil
cdef size_t bottomk_drain_size(const bottomk_t *s, int gen) noexcept nogil
cdef size_t bottomk_drain(bottomk_t *s, int gen, uint8_t *out) noexcept nogil
cdef size_t bottomk_dump_size(const bottomk_t *s) noexcept nogil
cdef size_t bottomk_dump(const bottomk_t *s, uint8_t *out) noexcept nogil
cdef int bottomk_load(bottomk_t *s, const uint8_t *data, size_t length, const sipkey_t *key) noexcept nogil
cdef double bottomk_distinct(const bottomk_t *s) noexcept nogil
cdef const char *bottomk_check(const bottomk_t *s) noexcept nogil

cdef inline void bottomk_init(bottomk_t *s, size_t k) noexcept nogil:
    """An empty sample of at most `k` members, 1..BOTTOMK_MAX_K. Allocates nothing."""
    s.threshold = ~<uint64_t>0
    s.block = NULL
    s.n = s.cap = s.ghosts = s.dirty[0] = s.dirty[1] = 0
    s.size = s.used = s.live = 0
    s.k = <uint16_t>k


cdef inline bint bottomk_full(const bottomk_t *s) noexcept nogil:
    """Whether more than k distinct members were seen."""
    return s.threshold != ~<uint64_t>0


cdef inline uint64_t *bottomk_keys(const bottomk_t *s) noexcept nogil:
    return <uint64_t *>s.block


cdef inline uint32_t *bottomk_offsets(const bottomk_t *s) noexcept nogil:
    return <uint32_t *>(s.block + 8 * <size_t>s.cap)


cdef inline uint8_t *bottomk_bytes(const bottomk_t *s) noexcept nogil:
    return s.block + 12 * <size_t>s.cap


cdef inline size_t bottomk_memory(const bottomk_t *s) noexcept nogil:
    """Heap bytes held, malloc's own header included; the embedded struct is the caller's to count."""
    return heap_price(s.size) if s.block != NULL else 0


cdef inline uint64_t bottomk_priority(const bottomk_t *s, size_t i) noexcept nogil:
    return bottomk_keys(s)[i] >> 11


cdef inline const uint8_t *bottomk_member(const bottomk_t *s, size_t i, size_t *length) noexcept nogil:
    """Member `i` < n in ascending order of priority; the pointer holds until the sample changes."""
    length[0] = (bottomk_keys(s)[i] >> 3) & 255
    return bottomk_bytes(s) + bottomk_offsets(s)[i]


cdef inline int bottomk_compare(const bottomk_t *s, size_t i, const uint8_t *member, size_t length) noexcept nogil:
    """< 0, 0, > 0: order of entry `i` and a member of equal priority, as bytes."""
    cdef size_t have
    cdef const uint8_t *mine = bottomk_member(s, i, &have)     # apart: the order of a call's arguments is C's choice
    cdef int order = memcmp(mine, member, have if have < length else length)
    return order if order != 0 else <int>have - <int>length


cdef inline size_t bottomk_guess(const bottomk_t *s, uint64_t priority) noexcept nogil:
    """About where a priority belongs, 0..n - 1 of n > 0: they are uniform up to the threshold, so off by about √n."""
    cdef uint64_t end = s.threshold if s.threshold < <uint64_t>1 << 53 else <uint64_t>1 << 53
    cdef size_t at = <size_t>(<double>priority / (<double>end + 1.0) * s.n)
    return at if at < s.n else s.n - 1


cdef inline size_t bottomk_search(const bottomk_t *s, uint64_t key) noexcept nogil:
    """Index of the first member whose key is >= `key`: interpolated, for a binary search reads five cache lines of a
    full sample and this one or two."""
    cdef const uint64_t *keys = bottomk_keys(s)
    cdef size_t at
    if s.n == 0:
        return 0
    at = bottomk_guess(s, key >> 11)
    while at < s.n and keys[at] < key:
        at += 1
    while at > 0 and keys[at - 1] >= key:
        at -= 1
    return at


cdef inline int bottomk_offer(bottomk_t *s, uint64_t priority, const uint8_t *member, size_t length,
                              int gen) noexcept nogil:
    """Offer a member (1..255 bytes) with its `siphash53` in generation `gen`.

    1: it entered; 0: it was there already or does not belong; -1: no memory, and nothing has changed.
    """
    cdef size_t at
    cdef int order
    if priority > s.threshold:
        return 0
    at = bottomk_search(s, priority << 11)
    while at < s.n and bottomk_priority(s, at) == priority:     # all but always at most one round
        order = bottomk_compare(s, at, member, length)
        if order == 0:
            return 0
        if order > 0:
            break
        at += 1
    return bottomk_insert(s, at, priority, member, length, gen)


cdef inline bint bottomk_has(const bottomk_t *s, uint64_t priority, const uint8_t *member,
                             size_t length) noexcept nogil:
    cdef size_t at = bottomk_search(s, priority << 11)
    while at < s.n and bottomk_priority(s, at) == priority:
        if bottomk_compare(s, at, member, length) == 0:
            return True
        at += 1
    return False


cdef inline void bottomk_prefetch_members(const bottomk_t *s, uint64_t priority) noexcept nogil:
    """Ask for what an offer reads that is not turned away by the threshold; `s` itself should be near."""
    cdef size_t at
    if priority <= s.threshold and s.n:
        at = bottomk_guess(s, priority)
        fc_prefetch(bottomk_keys(s) + at)
        fc_prefetch(bottomk_offsets(s) + at)


cdef inline void bottomk_prefetch_bytes(const bottomk_t *s, uint64_t priority) noexcept nogil:
    """Then for the bytes of a member that is there already, which an offer compares."""
    cdef size_t at
    if priority <= s.threshold and s.n:
        at = bottomk_search(s, priority << 11)
        if at < s.n and bottomk_priority(s, at) == priority:
            fc_prefetch(bottomk_bytes(s) + bottomk_offsets(s)[at])


cdef inline int bottomk_changed(const bottomk_t *s, int gen) noexcept nogil:
    """How many members `bottomk_drain` of this generation would yield."""
    return s.dirty[gen & 1]
