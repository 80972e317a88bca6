"""The rules of ledger.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, qsort
from libc.string cimport memcmp, memset

from fastcount.native.atomic cimport (
    fc_add, fc_mum, fc_sub, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)

cdef enum:
    PROBE = 8  # sources looked at for one to evict


cdef int ledger_init(ledger_t *l, uint32_t maximum, uint64_t seed) noexcept nogil:
    cdef uint64_t heads = 16
    memset(l, 0, sizeof(ledger_t))
    while heads < maximum:
        heads *= 2
    l.items = <source_t *>calloc(maximum, sizeof(source_t))  # pages come as sources do
    l.heads = <uint32_t *>calloc(heads, sizeof(uint32_t))
    if l.items == NULL or l.heads == NULL:
        free(l.items)
        free(l.heads)
        l.items = NULL
        l.heads = NULL
        return -1
    l.mask = heads - 1
    l.maximum = maximum
    l.seed = seed | 1
    pthread_mutex_init(&l.lock, NULL)
    return 0


cdef void ledger_free(ledger_t *l) noexcept nogil:
    if l.items != NULL:
        pthread_mutex_destroy(&l.lock)
    free(l.items)
    free(l.heads)
    l.items = NULL
    l.heads = NULL


cdef void books_add(books_t *to, const books_t *what) noexcept nogil:
    cdef uint64_t *a = <uint64_t *>to
    cdef const uint64_t *b = <const uint64_t *>what
    for i in range(sizeof(books_t) // sizeof(uint64_t)):
        a[i] += b[i]


cdef uint64_t chain_of(const ledger_t *l, uint64_t source, const address_t *address, bint sequenced) noexcept nogil:
    cdef uint64_t h = fc_mum(source ^ l.seed, <uint64_t>0x9E3779B97F4A7C15 + sequenced)
    for i in range(address.length):
        h = (h ^ address.bytes[i]) * <uint64_t>0x100000001B3
    return fc_mum(h ^ l.seed, <uint64_t>0xD6E8FEB86659FD93) & l.mask


cdef inline bint is_key(const source_t *s, uint64_t source, const address_t *address, bint sequenced) noexcept nogil:
    return (s.source == source and s.sequenced == sequenced and s.address.length == address.length
            and memcmp(s.address.bytes, address.bytes, address.length) == 0)


cdef void recount(ledger_t *l, source_t *s) noexcept nogil:
    """Bring what is derived up to date: what this source lost, and the sum of it."""
    cdef uint64_t before = s.books.lost
    s.books.sent = s.end_max
    s.books.lost = s.end_max - s.base_sent - s.books.records
    s.books.lost_frames = s.next_seq - s.joined_seq - s.books.frames
    if s.books.lost >= before:
        fc_add(&l.lost, s.books.lost - before)
    else:
        fc_sub(&l.lost, before - s.books.lost)


cdef bint evict_one(ledger_t *l, uint32_t *index, uint64_t now_ns) noexcept nogil:
    """Make room: of the next few sources, the longest silent one, if it is idle or was heard only once."""
    cdef uint32_t i, best = 0, at
    cdef bint found = False
    cdef source_t *s
    cdef uint32_t *link
    for i in range(PROBE if PROBE < l.maximum else l.maximum):
        at = (l.hand + i) % l.maximum
        s = &l.items[at]
        # not now - heard: another thread's clock reading may be the later one of the two
        if now_ns < s.heard_ns + IDLE_NS and s.books.frames + s.books.malformed > 1:
            continue
        if not found or s.heard_ns < l.items[best].heard_ns:
            best = at
            found = True
    l.hand = (l.hand + PROBE) % l.maximum
    if not found:
        return False
    s = &l.items[best]
    link = &l.heads[chain_of(l, s.source, &s.address, s.sequenced)]
    while link[0] != best + 1:
        link = &l.items[link[0] - 1].next
    link[0] = s.next
    books_add(&l.gone, &s.books)
    l.evicted += 1
    l.live -= 1
    index[0] = best
    return True


cdef source_t *find(ledger_t *l, uint64_t source, const address_t *address, bint sequenced,
                    uint64_t now_ns) noexcept nogil:
    """The books of a source, opened if it is new; NULL when there is no room."""
    cdef uint64_t chain = chain_of(l, source, address, sequenced)
    cdef uint32_t i = l.heads[chain]
    cdef source_t *s
    while i:
        s = &l.items[i - 1]
        if is_key(s, source, address, sequenced):
            s.heard_ns = now_ns
            return s
        i = s.next
    if l.used < l.maximum:
        i = l.used
        l.used += 1
    elif not evict_one(l, &i, now_ns):
        return NULL
    s = &l.items[i]
    memset(s, 0, sizeof(source_t))
    s.source = source
    s.address = address[0]
    s.sequenced = sequenced
    s.used = True
    s.heard_ns = now_ns
    s.next = l.heads[chain]
    l.heads[chain] = i + 1
    l.live += 1
    return s


cdef inline bint seen(const source_t *s, uint64_t seq) noexcept nogil:
    return s.window[(seq % WINDOW) >> 6] >> (seq & 63) & 1


cdef void advance(source_t *s, uint64_t seq) noexcept nogil:
    """Move the window on so that `seq` is its newest: what falls out of it is forgotten."""
    cdef uint64_t at = s.next_seq
    if seq - at >= WINDOW:
        memset(s.window, 0, sizeof(s.window))
    else:
        while at < seq:
            s.window[(at % WINDOW) >> 6] &= ~(<uint64_t>1 << (at & 63))
            at += 1
    s.next_seq = seq + 1
    s.window[(seq % WINDOW) >> 6] |= <uint64_t>1 << (seq & 63)


cdef int judge(source_t *s, uint64_t seq, uint64_t sent, uint32_t records) noexcept nogil:
    cdef uint64_t end = sent + records
    if seq == ~<uint64_t>0:  # there is no next one, so no source gets there by counting
        return INCONSISTENT
    if not s.joined:
        s.joined = True
        if seq >= WINDOW:
            s.joined_seq = s.next_seq = seq
            s.base_sent = s.end_max = sent
        elif sent > seq * MAX_RECORDS:
            s.joined = False
            return INCONSISTENT
        return ADMITTED
    if seq < s.next_seq:
        if seq < s.joined_seq or s.next_seq - seq > WINDOW:
            return STALE
        if seen(s, seq):
            return DUPLICATE
        # a source that says less in a later frame than it puts into an earlier one would have lost less than nothing
        return (ADMITTED if end <= s.end_max and sent >= s.base_sent
                and s.books.records + records <= s.end_max - s.base_sent else INCONSISTENT)
    if seq == s.next_seq:
        return ADMITTED if sent == s.end_max else INCONSISTENT
    if sent < s.end_max:
        return INCONSISTENT
    if seq - s.next_seq > MAX_JUMP and not (s.jump and s.jump_seq < seq <= s.jump_seq + WINDOW
                                            and sent >= s.jump_end):
        s.jump = True
        s.jump_seq = seq
        s.jump_end = end
        return AHEAD_OF_TIME
    if (sent - s.end_max + MAX_RECORDS - 1) // MAX_RECORDS > seq - s.next_seq:  # a product could overflow
        return INCONSISTENT
    return ADMITTED


cdef int admit(ledger_t *l, source_t *s, uint64_t seq, uint64_t sent, uint32_t records, bint ended) noexcept nogil:
    cdef int verdict = judge(s, seq, sent, records)
    if verdict == ADMITTED:
        s.books.frames += 1
        s.books.records += records
        if seq >= s.next_seq:
            advance(s, seq)
            s.end_max = sent + records
            s.settled = ended
            s.jump = False
        else:
            s.window[(seq % WINDOW) >> 6] |= <uint64_t>1 << (seq & 63)
            s.books.reordered_frames += 1
        recount(l, s)
    elif verdict == DUPLICATE:
        s.books.duplicate_frames += 1
        s.books.duplicate_records += records
    elif verdict == STALE:
        s.books.stale_frames += 1
        s.books.stale_records += records
    elif verdict == AHEAD_OF_TIME:
        s.books.ahead_frames += 1
    else:
        s.books.inconsistent_frames += 1
    return verdict


cdef int ledger_admit(ledger_t *l, uint64_t source, const address_t *address, uint64_t seq, uint64_t sent,
                      uint32_t records, bint ended, uint64_t now_ns) noexcept nogil:
    cdef int verdict = ADMITTED
    cdef source_t *s
    pthread_mutex_lock(&l.lock)
    s = find(l, source, address, True, now_ns)
    if s == NULL:
        l.untracked_frames += 1
        l.untracked_records += records
    else:
        verdict = admit(l, s, seq, sent, records, ended)
    pthread_mutex_unlock(&l.lock)
    return verdict


cdef void ledger_note(ledger_t *l, const address_t *address, uint32_t records, bint malformed,
                      uint64_t now_ns) noexcept nogil:
    cdef source_t *s
    pthread_mutex_lock(&l.lock)
    s = find(l, 0, address, False, now_ns)
    if s == NULL:
        l.untracked_frames += 1
        l.untracked_records += records
    elif malformed:
        s.books.malformed += 1
    else:
        s.books.frames += 1
        s.books.records += records
    pthread_mutex_unlock(&l.lock)


cdef uint32_t ledger_copy(ledger_t *l, uint32_t i, uint32_t stop, source_t *out) noexcept nogil:
    cdef uint32_t n = 0
    pthread_mutex_lock(&l.lock)
    while i < stop and i < l.used:
        if l.items[i].used:
            out[n] = l.items[i]
            n += 1
        i += 1
    pthread_mutex_unlock(&l.lock)
    return n


cdef int rank(const void *a, const void *b) noexcept nogil:
    cdef const source_t *x = (<const source_t **>a)[0]
    cdef const source_t *y = (<const source_t **>b)[0]
    if x.books.lost != y.books.lost:
        return -1 if x.books.lost > y.books.lost else 1
    return (x.heard_ns < y.heard_ns) - (x.heard_ns > y.heard_ns)


cdef void ledger_rank(source_t **order, size_t n) noexcept nogil:
    qsort(order, n, sizeof(source_t *), &rank)
