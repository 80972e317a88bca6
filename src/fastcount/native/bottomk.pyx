"""Bottom-k samples: everything but the offer that changes nothing. Theory, layout and ownership: bottomk.pxd.

Whatever can run out of memory allocates first and changes afterwards, so that a refusal leaves the sample as it was.
"""

from libc.string cimport memcmp, memcpy, memmove

from fastcount.native.heap cimport heap_alloc, heap_fit, heap_free
from fastcount.native.siphash cimport siphash53, sipkey_t


cdef enum:
    VERSION = 1
    MARKS = 3


cdef inline uint64_t mark_of(int gen) noexcept nogil:
    return (<uint64_t>1 << gen) & MARKS


cdef inline size_t length_of(uint64_t key) noexcept nogil:
    return (key >> 3) & 255


cdef inline size_t entries(const bottomk_t *s) noexcept nogil:
    return <size_t>s.n + s.ghosts


cdef inline void count_marks(bottomk_t *s, uint64_t key, int by) noexcept nogil:
    s.dirty[0] = <uint16_t>(s.dirty[0] + (by if key & 1 else 0))
    s.dirty[1] = <uint16_t>(s.dirty[1] + (by if key & 2 else 0))


cdef inline void forget(bottomk_t *s, uint64_t key) noexcept nogil:
    """Books of an entry that goes."""
    s.live -= <uint32_t>length_of(key)
    count_marks(s, key, -1)


cdef void set_threshold(bottomk_t *s) noexcept nogil:
    """After a member was turned away or went: n is k."""
    s.threshold = bottomk_priority(s, s.n - 1)


cdef int new_block(bottomk_t *s, size_t cap, size_t room) noexcept nogil:
    """Give `s` an empty block; the old one stays the caller's. -1: no memory, nothing changed."""
    cdef size_t size = heap_fit(12 * cap + room)
    cdef uint8_t *block = <uint8_t *>heap_alloc(size)
    if block == NULL:
        return BOTTOMK_NO_MEMORY
    s.block = block
    s.size = <uint32_t>size
    s.cap = <uint16_t>cap
    s.used = s.live = 0
    s.dirty[0] = s.dirty[1] = 0
    return 0


cdef void put(bottomk_t *s, size_t i, uint64_t key, const uint8_t *member) noexcept nogil:
    """Write entry `i`, its bytes behind the others'; there is room."""
    cdef size_t length = length_of(key)
    bottomk_keys(s)[i] = key
    bottomk_offsets(s)[i] = s.used
    memcpy(bottomk_bytes(s) + s.used, member, length)
    s.used += <uint32_t>length
    s.live += <uint32_t>length
    count_marks(s, key, 1)


cdef int rebuild(bottomk_t *s, size_t extra, size_t extra_bytes) noexcept nogil:
    """Move into a block with room for `extra` more entries and `extra_bytes` more of members, without holes."""
    cdef bottomk_t to = s[0]
    cdef size_t want = entries(s) + extra
    cdef size_t need = s.live + extra_bytes
    cdef size_t cap = s.cap
    cdef size_t i
    if want > cap:
        cap = want + (want >> 1) + 1
    if want <= s.k and cap > s.k:
        cap = s.k
    # while filling: room for as many as there are entries, at the length seen so far; then an eighth of slack for holes
    if new_block(&to, cap, need * cap // want if want < s.k else need + (need >> 3)) < 0:
        return BOTTOMK_NO_MEMORY
    for i in range(entries(s)):
        put(&to, i, bottomk_keys(s)[i], bottomk_bytes(s) + bottomk_offsets(s)[i])
    heap_free(s.block)
    s[0] = to
    return 0


cdef void open_gap(bottomk_t *s, size_t at, size_t end) noexcept nogil:
    """Move entries [at, end) up by one."""
    cdef uint64_t *keys = bottomk_keys(s)
    cdef uint32_t *offsets = bottomk_offsets(s)
    memmove(keys + at + 1, keys + at, (end - at) * sizeof(uint64_t))
    memmove(offsets + at + 1, offsets + at, (end - at) * sizeof(uint32_t))


cdef int bottomk_insert(bottomk_t *s, size_t at, uint64_t priority, const uint8_t *member, size_t length,
                        int gen) noexcept nogil:
    """What `bottomk_offer` does with a member that is not there and belongs at index `at`."""
    cdef uint64_t mark = mark_of(gen)
    cdef uint64_t last = 0
    cdef bint full = s.n == s.k
    cdef bint stays = not full      # no entry goes: the block must take one more
    cdef size_t end = entries(s)
    cdef size_t hole
    if at == s.k:
        set_threshold(s)
        return 0
    if full:
        last = bottomk_keys(s)[s.n - 1]
        stays = last & MARKS & ~mark != 0
    if s.block == NULL or (stays and end == s.cap) or 12 * <size_t>s.cap + s.used + length > s.size:
        if not stays and length <= length_of(last):
            pass    # goes into the hole of the one that leaves
        elif rebuild(s, stays, length) < 0:
            return BOTTOMK_NO_MEMORY
    if stays:
        open_gap(s, at, end)
        if full:
            s.ghosts += 1
        else:
            s.n += 1
        put(s, at, priority << 11 | length << 3 | mark, member)
    else:
        hole = bottomk_offsets(s)[s.n - 1]
        forget(s, last)
        open_gap(s, at, s.n - 1)
        if length <= length_of(last):
            bottomk_keys(s)[at] = priority << 11 | length << 3 | mark
            bottomk_offsets(s)[at] = <uint32_t>hole
            memcpy(bottomk_bytes(s) + hole, member, length)
            s.live += <uint32_t>length
            count_marks(s, mark, 1)
        else:
            put(s, at, priority << 11 | length << 3 | mark, member)
    if full:
        set_threshold(s)
    return 1


cdef void bottomk_free(bottomk_t *s) noexcept nogil:
    """Give the block back; `s` is then an empty sample of the same k."""
    heap_free(s.block)
    bottomk_init(s, s.k)


cdef void bottomk_set_k(bottomk_t *s, size_t k, int gen) noexcept nogil:
    """Change k. Smaller: the k smallest stay. Larger: only where nothing was turned away yet (what went cannot come
    back), else k stays as it is."""
    cdef uint64_t *keys = bottomk_keys(s)
    cdef uint32_t *offsets = bottomk_offsets(s)
    cdef size_t i, end = entries(s), to = k
    if k > s.k:
        if not bottomk_full(s):
            s.k = <uint16_t>k
        return
    s.k = <uint16_t>k
    if s.n <= k:
        return
    for i in range(k, end):
        if i < s.n and keys[i] & MARKS & ~mark_of(gen) == 0:
            forget(s, keys[i])
        else:
            keys[to] = keys[i]
            offsets[to] = offsets[i]
            to += 1
    s.n = <uint16_t>k
    s.ghosts = <uint16_t>(to - k)
    set_threshold(s)


cdef inline int order_of(const bottomk_t *a, size_t i, const bottomk_t *b, size_t j) noexcept nogil:
    """Of member i of a and member j of b; 1 past the end of `a`, -1 past the end of `b`."""
    cdef uint64_t p, q
    cdef size_t length
    cdef const uint8_t *member
    if i >= a.n:
        return 1
    if j >= b.n:
        return -1
    p = bottomk_priority(a, i)
    q = bottomk_priority(b, j)
    if p != q:
        return -1 if p < q else 1
    member = bottomk_member(b, j, &length)
    return bottomk_compare(a, i, member, length)


cdef int bottomk_merge(bottomk_t *s, const bottomk_t *other, int gen) noexcept nogil:
    """Make `s` the sample of the union, with the smaller k of both. What comes from `other` is marked with `gen`.

    Members that entered, or -1: no memory, nothing changed. Commutative, associative, idempotent (marks aside).
    """
    cdef bottomk_t to = s[0]
    cdef size_t k = s.k if s.k < other.k else other.k
    cdef size_t i = 0, j = 0, total = 0, news = 0, room = s.live
    cdef size_t at, left
    cdef int order
    cdef uint64_t key
    cdef bint over
    while total < k and (i < s.n or j < other.n):
        order = order_of(s, i, other, j)
        if order > 0:
            news += 1
            room += length_of(bottomk_keys(other)[j])
        i += order <= 0
        j += order >= 0
        total += 1
    # what is left over belongs to the union, so it has more than k members
    over = bottomk_full(s) or bottomk_full(other) or i < s.n or j < other.n
    if news == 0:
        bottomk_set_k(s, k, gen)
        if over:
            set_threshold(s)
        return 0
    left = i
    if new_block(&to, total + (s.n - left) + s.ghosts, room) < 0:
        return BOTTOMK_NO_MEMORY
    i = j = 0
    to.n = <uint16_t>total
    to.k = <uint16_t>k
    for at in range(total):
        order = order_of(s, i, other, j)
        if order > 0:
            key = bottomk_keys(other)[j]
            put(&to, at, (key & ~<uint64_t>MARKS) | mark_of(gen), bottomk_bytes(other) + bottomk_offsets(other)[j])
        else:
            put(&to, at, bottomk_keys(s)[i], bottomk_bytes(s) + bottomk_offsets(s)[i])
        i += order <= 0
        j += order >= 0
    to.ghosts = 0
    for i in range(left, entries(s)):
        key = bottomk_keys(s)[i]
        if i >= s.n or key & MARKS & ~mark_of(gen):
            put(&to, entries(&to), key, bottomk_bytes(s) + bottomk_offsets(s)[i])
            to.ghosts += 1
    if over:
        set_threshold(&to)
    heap_free(s.block)
    s[0] = to
    return <int>news


cdef inline size_t write_row(uint8_t *out, const bottomk_t *s, size_t i) noexcept nogil:
    cdef uint64_t key = bottomk_keys(s)[i]
    cdef size_t b
    for b in range(8):
        out[b] = <uint8_t>(key >> 11 >> (8 * b))
    out[8] = <uint8_t>length_of(key)
    memcpy(out + BOTTOMK_ROW, bottomk_bytes(s) + bottomk_offsets(s)[i], length_of(key))
    return BOTTOMK_ROW + length_of(key)


cdef size_t bottomk_drain_size(const bottomk_t *s, int gen) noexcept nogil:
    """Bytes that `bottomk_drain` of this generation will write."""
    cdef size_t i, size = 0
    if s.dirty[gen] == 0:
        return 0
    for i in range(entries(s)):
        if bottomk_keys(s)[i] & mark_of(gen):
            size += BOTTOMK_ROW + length_of(bottomk_keys(s)[i])
    return size


cdef size_t bottomk_drain(bottomk_t *s, int gen, uint8_t *out) noexcept nogil:
    """Write the members that entered in generation `gen` and were in the sample at its end, as rows
    (priority u64le | length u8 | bytes) ascending, and unmark them. Bytes written; it cannot fail."""
    cdef uint64_t *keys = bottomk_keys(s)
    cdef uint32_t *offsets = bottomk_offsets(s)
    cdef size_t i, end = entries(s), to = 0
    cdef uint8_t *at = out
    if s.dirty[gen] == 0:
        return 0
    for i in range(end):
        if keys[i] & mark_of(gen):
            at += write_row(at, s, i)
            keys[i] ^= mark_of(gen)
        if i < s.n or keys[i] & MARKS:
            keys[to] = keys[i]
            offsets[to] = offsets[i]
            to += 1
        else:
            s.live -= <uint32_t>length_of(keys[i])
    s.ghosts = <uint16_t>(to - s.n)
    s.dirty[gen] = 0
    return <size_t>(at - out)


cdef size_t bottomk_dump_size(const bottomk_t *s) noexcept nogil:
    cdef size_t i, size = BOTTOMK_HEADER
    for i in range(s.n):
        size += BOTTOMK_ROW + length_of(bottomk_keys(s)[i])
    return size


cdef size_t bottomk_dump(const bottomk_t *s, uint8_t *out) noexcept nogil:
    """Write the sample (members, k, whether anything was turned away; no marks, no ghosts): version u8 = 1 | full u8 |
    k u16le | n u16le | n rows as in `bottomk_drain`. One encoding per sample. Bytes written, `bottomk_dump_size`."""
    cdef size_t i, at = BOTTOMK_HEADER
    out[0] = VERSION
    out[1] = bottomk_full(s)
    out[2] = <uint8_t>(s.k & 255)
    out[3] = <uint8_t>(s.k >> 8)
    out[4] = <uint8_t>(s.n & 255)
    out[5] = <uint8_t>(s.n >> 8)
    for i in range(s.n):
        at += write_row(out + at, s, i)
    return at


cdef inline bint ascending(const uint8_t *a, const uint8_t *b) noexcept nogil:
    """Whether a < b, both length u8 | bytes."""
    cdef int order = memcmp(a + 1, b + 1, a[0] if a[0] < b[0] else b[0])
    return order < 0 or (order == 0 and a[0] < b[0])


cdef int bottomk_load(bottomk_t *s, const uint8_t *data, size_t length, const sipkey_t *key) noexcept nogil:
    """Replace `s` by what `bottomk_dump` wrote, unmarked. With `key`, every priority must be its member's hash.

    0, or BOTTOMK_NO_MEMORY, BOTTOMK_BAD_*: then `s` is as it was.
    """
    cdef bottomk_t to
    cdef size_t n, i, b, at = BOTTOMK_HEADER
    cdef size_t size, before = 0
    cdef uint64_t priority, previous = 0
    if length < 1:
        return BOTTOMK_BAD_LENGTH
    if data[0] != VERSION:
        return BOTTOMK_BAD_VERSION
    if length < BOTTOMK_HEADER:
        return BOTTOMK_BAD_LENGTH
    bottomk_init(&to, data[2] | <size_t>data[3] << 8)
    n = data[4] | <size_t>data[5] << 8
    if data[1] > 1 or to.k < 1 or to.k > BOTTOMK_MAX_K or n > to.k or (data[1] and n < to.k):
        return BOTTOMK_BAD_HEADER
    for i in range(n):
        if length - at < BOTTOMK_ROW or data[at + 8] == 0 or length - at - BOTTOMK_ROW < data[at + 8]:
            return BOTTOMK_BAD_LENGTH
        size = data[at + 8]
        priority = 0
        for b in range(8):
            priority |= <uint64_t>data[at + b] << (8 * b)
        if priority >> 53 or (i > 0 and priority < previous):
            return BOTTOMK_BAD_ORDER
        if i > 0 and priority == previous and not ascending(data + before + 8, data + at + 8):
            return BOTTOMK_BAD_ORDER
        if key != NULL and siphash53(key, data + at + BOTTOMK_ROW, size) != priority:
            return BOTTOMK_BAD_KEY
        previous = priority
        before = at
        at += BOTTOMK_ROW + size
    if at != length:
        return BOTTOMK_BAD_LENGTH
    if n > 0:
        if new_block(&to, n, length - BOTTOMK_HEADER - n * BOTTOMK_ROW) < 0:
            return BOTTOMK_NO_MEMORY
        at = BOTTOMK_HEADER
        for i in range(n):
            priority = 0
            for b in range(8):
                priority |= <uint64_t>data[at + b] << (8 * b)
            put(&to, i, priority << 11 | <uint64_t>data[at + 8] << 3, data + at + BOTTOMK_ROW)
            at += BOTTOMK_ROW + data[at + 8]
        to.n = <uint16_t>n
        if data[1]:
            set_threshold(&to)
    heap_free(s.block)
    s[0] = to
    return 0


cdef double bottomk_distinct(const bottomk_t *s) noexcept nogil:
    """Distinct members seen: exact up to k, then (k-1) / U(k), and never less than the k + 1 it must be."""
    cdef double estimate
    if not bottomk_full(s):
        return s.n
    estimate = (s.k - 1) * 9007199254740992.0 / (<double>s.threshold + 1)
    return estimate if estimate > s.k + 1 else s.k + 1


cdef const char *bottomk_check(const bottomk_t *s) noexcept nogil:
    """NULL, or which invariant of bottomk.pxd does not hold. For tests and debug builds."""
    cdef size_t i, length, live = 0
    cdef size_t dirty[2]
    cdef uint64_t key
    dirty[0] = dirty[1] = 0
    if s.n > s.k or s.k < 1 or s.k > BOTTOMK_MAX_K:
        return b"n or k out of range"
    if entries(s) > s.cap or 12 * <size_t>s.cap + s.used > s.size:
        return b"the block is too small for its entries"
    for i in range(entries(s)):
        key = bottomk_keys(s)[i]
        length = length_of(key)
        live += length
        dirty[0] += key & 1
        dirty[1] += (key >> 1) & 1
        if length == 0 or bottomk_offsets(s)[i] + length > s.used:
            return b"a member lies outside of the block"
        if i >= s.n and key & MARKS == 0:
            return b"a ghost without a mark"
        if i > 0:
            if key >> 11 < bottomk_priority(s, i - 1):
                return b"keys are not ascending"
            if key >> 11 == bottomk_priority(s, i - 1) and bottomk_compare(
                    s, i - 1, bottomk_bytes(s) + bottomk_offsets(s)[i], length) >= 0:
                return b"members of equal priority are not ascending"
    if live != s.live or dirty[0] != s.dirty[0] or dirty[1] != s.dirty[1]:
        return b"the books do not add up"
    if bottomk_full(s) and s.n < s.k:
        return b"turned members away with room left"
    if bottomk_full(s) and s.threshold != bottomk_priority(s, s.n - 1):
        return b"the threshold is not the k-th priority"
    return NULL
