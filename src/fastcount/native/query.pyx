"""See query.pxd."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from fastcount.native.atomic cimport fc_load, fc_sat_add, fc_sat_sub, pthread_mutex_lock, pthread_mutex_unlock
from fastcount.native.bottomk cimport BOTTOMK_QUIET, bottomk_init, bottomk_merge, bottomk_t
from fastcount.native.hash cimport hash_bytes
from fastcount.native.hll cimport hll_count, hll_error, hll_merge, hll_t
from fastcount.native.shard cimport base_of, shard_of, shard_t, sketch_of, store_enter, store_leave
from fastcount.native.sketch cimport sketch_t
from fastcount.native.table cimport (
    FIRST_ENTRY, ID_MASK, SKETCHED, entry_id, entry_size, entry_t, entry_value, table_add, table_find, table_t,
)
from fastcount.native.types cimport TYPE_UNKNOWN, types_find

cdef extern from "<stdint.h>" nogil:
    int64_t INT64_MIN, INT64_MAX

cdef enum:
    UNION_SLICE = 256  # sketches merged before the shard's lock is given up for a moment


cdef entry_t *lock_entry(store_t *s, const name_t *name, shard_t **shard) noexcept nogil:
    """The entry of a name, its shard locked; NULL (and nothing locked) for a name never counted."""
    cdef uint64_t seed, hash, odd = 0
    cdef uint32_t number = types_find(&s.types, &s.key, name.type, name.type_length, &seed)
    cdef entry_t *e
    if number == TYPE_UNKNOWN:
        return NULL
    hash = hash_bytes(name.id, name.id_length, seed, &s.key, &odd)
    shard[0] = &s.shards[shard_of(s, hash)]
    pthread_mutex_lock(&shard[0].lock)
    e = table_find(&shard[0].table, hash, number, name.id, name.id_length)
    if e == NULL:
        pthread_mutex_unlock(&shard[0].lock)
    return e


cdef void store_read(store_t *s, const name_t *name, int64_t *value, int64_t *pending) noexcept nogil:
    cdef shard_t *shard = NULL
    cdef entry_t *e = lock_entry(s, name, &shard)
    value[0] = pending[0] = 0
    if e == NULL:
        return
    value[0] = entry_value(e, base_of(shard, e)[0], <int>fc_load(&s.gen))
    pending[0] = fc_sat_sub(value[0], base_of(shard, e)[0])
    pthread_mutex_unlock(&shard.lock)


cdef int64_t store_reset(store_t *s, const name_t *name) noexcept nogil:
    cdef shard_t *shard = NULL
    cdef entry_t *e
    cdef int64_t value = 0, before
    cdef uint64_t ignored = 0
    cdef int gen = store_enter(s)
    e = lock_entry(s, name, &shard)
    if e != NULL:
        value = entry_value(e, base_of(shard, e)[0], gen)
        before = fc_sat_add(base_of(shard, e)[0], e.delta[1 - gen], &ignored)
        table_add(&shard.table, e, 0, gen, &ignored)
        e.delta[gen] = -before if before != INT64_MIN else INT64_MAX
        pthread_mutex_unlock(&shard.lock)
    store_leave(s, gen)
    return value


cdef uint64_t store_unique(store_t *s, const name_t *name, double *error) noexcept nogil:
    cdef shard_t *shard = NULL
    cdef entry_t *e = lock_entry(s, name, &shard)
    cdef uint64_t count = 0
    cdef sketch_t *k
    error[0] = 0
    if e == NULL:
        return 0
    k = sketch_of(shard, e)
    if k != NULL:
        count = hll_count(&k.unique)
        error[0] = hll_error(&k.unique)
    pthread_mutex_unlock(&shard.lock)
    return count


cdef int store_union(store_t *s, uint32_t type, hll_t *out) noexcept nogil:
    cdef uint64_t i, at, merged
    cdef int outcome
    cdef shard_t *shard
    cdef entry_t *e
    for i in range(s.n_shards):
        shard = &s.shards[i]
        at = FIRST_ENTRY
        merged = 0
        pthread_mutex_lock(&shard.lock)
        while at < shard.table.arena_used:
            e = <entry_t *>(shard.table.arena + at)
            at += entry_size(e.meta & ID_MASK)
            if e.type != type or not e.meta & SKETCHED:
                continue
            outcome = hll_merge(out, &shard.sketches.items[e.ref].unique, 0)
            merged += 1
            if outcome < 0 or merged % UNION_SLICE == 0:
                pthread_mutex_unlock(&shard.lock)
                if outcome < 0:
                    return -1
                pthread_mutex_lock(&shard.lock)
        pthread_mutex_unlock(&shard.lock)
    return 0


cdef int store_sample(store_t *s, const name_t *name, bottomk_t *out) noexcept nogil:
    cdef shard_t *shard = NULL
    cdef entry_t *e = lock_entry(s, name, &shard)
    cdef int outcome = 0
    bottomk_init(out, s.limits.sample_size)
    if e == NULL:
        return 0
    if e.meta & SKETCHED:
        outcome = bottomk_merge(out, &shard.sketches.items[e.ref].sample, BOTTOMK_QUIET)
    pthread_mutex_unlock(&shard.lock)
    return outcome


cdef inline bint worse(int64_t value, const uint8_t *id, uint32_t n, const ranked_t *than) noexcept nogil:
    """Ranks below: a smaller total, or the same and an id further down the alphabet."""
    cdef int order
    if value != than.value:
        return value < than.value
    order = memcmp(id, than.id, n if n < than.length else than.length)
    return order > 0 or (order == 0 and n > than.length)


cdef inline void place(ranked_t *at, int64_t value, const uint8_t *id, uint32_t n) noexcept nogil:
    at.value = value
    at.length = n
    memcpy(at.id, id, n)


cdef void sift_up(ranked_t *heap, uint64_t i) noexcept nogil:
    cdef ranked_t item = heap[i]
    cdef uint64_t parent
    while i > 0:
        parent = (i - 1) // 2
        if not worse(item.value, item.id, item.length, &heap[parent]):
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = item


cdef void sift_down(ranked_t *heap, uint64_t count) noexcept nogil:
    cdef ranked_t item = heap[0]
    cdef uint64_t i = 0, child
    while True:
        child = 2 * i + 1
        if child >= count:
            break
        if child + 1 < count and worse(heap[child + 1].value, heap[child + 1].id, heap[child + 1].length,
                                       &heap[child]):
            child += 1
        if not worse(heap[child].value, heap[child].id, heap[child].length, &item):
            break
        heap[i] = heap[child]
        i = child
    heap[i] = item


cdef uint64_t store_top(store_t *s, uint32_t type, int by, ranked_t *heap, uint64_t k) noexcept nogil:
    cdef uint64_t shard, at, count = 0
    cdef table_t *t
    cdef entry_t *e
    cdef int64_t value
    cdef uint32_t n
    cdef int gen
    for shard in range(s.n_shards):
        t = &s.shards[shard].table
        pthread_mutex_lock(&s.shards[shard].lock)
        gen = <int>fc_load(&s.gen)
        at = FIRST_ENTRY
        while at < t.arena_used:
            e = <entry_t *>(t.arena + at)
            n = e.meta & ID_MASK
            at += entry_size(n)
            if e.type != type:
                continue
            if by == BY_VALUE:
                value = entry_value(e, base_of(&s.shards[shard], e)[0], gen)
            elif e.meta & SKETCHED:
                value = <int64_t>hll_count(&s.shards[shard].sketches.items[e.ref].unique)
            else:
                continue
            if count < k:
                place(&heap[count], value, entry_id(e), n)
                sift_up(heap, count)
                count += 1
            elif not worse(value, entry_id(e), n, &heap[0]):
                place(&heap[0], value, entry_id(e), n)
                sift_down(heap, count)
        pthread_mutex_unlock(&s.shards[shard].lock)
    return count


cdef uint64_t store_saturated(store_t *s) noexcept nogil:
    cdef uint64_t i, total = 0
    for i in range(s.n_shards):
        pthread_mutex_lock(&s.shards[i].lock)
        total += s.shards[i].saturated
        pthread_mutex_unlock(&s.shards[i].lock)
    return total
