"""Applying, reading and draining; see shard.pxd for the theory."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from fastcount.native.atomic cimport (
    fc_add, fc_assert, fc_count, fc_ctz, fc_load, fc_prefetch, fc_sat_add, fc_sat_sub, fc_store, fc_sub,
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, sched_yield,
)
from fastcount.native.frame cimport OP_ADD, OP_HIT, OP_INC, record_t
from fastcount.native.hash cimport hash_bytes, hash_key_t
from fastcount.native.refusals cimport refusals_count, refusals_free, refusals_init
from fastcount.native.table cimport (
    DIRTY, ID_MASK, entry_id, entry_size, entry_t, entry_value, table_add, table_cost, table_find, table_free,
    table_init, table_insert, table_memory, table_prefetch, table_t,
)
from fastcount.native.types cimport (
    TYPE_UNKNOWN, type_t, types_find, types_free, types_init, types_intern,
)

cdef extern from "<stdint.h>" nogil:
    int64_t INT64_MIN, INT64_MAX

cdef enum:
    AHEAD = 12  # records whose entries are prefetched before they are needed (measured: bench/micro)


# --- making

cdef int store_init(store_t *s, uint64_t max_counters, uint64_t max_memory, uint32_t max_types, uint32_t n_shards,
                    hash_key_t key) noexcept nogil:
    cdef uint64_t i
    memset(s, 0, sizeof(store_t))
    s.key = key
    s.max_counters = max_counters
    s.max_memory = max_memory
    pthread_mutex_init(&s.swap_lock, NULL)
    refusals_init(&s.refusals)
    s.shards = <shard_t *>calloc(n_shards, sizeof(shard_t))
    if s.shards == NULL:
        return -1
    for i in range(n_shards):
        if table_init(&s.shards[i].table) < 0:
            return -1
        pthread_mutex_init(&s.shards[i].lock, NULL)
        s.n_shards = i + 1
        s.memory += table_memory(&s.shards[i].table)
    return types_init(&s.types, max_types)


cdef void store_free(store_t *s) noexcept nogil:
    cdef uint64_t i
    for i in range(s.n_shards):
        table_free(&s.shards[i].table)
        pthread_mutex_destroy(&s.shards[i].lock)
    free(s.shards)
    s.shards = NULL
    s.n_shards = 0
    types_free(&s.types)
    refusals_free(&s.refusals)
    pthread_mutex_destroy(&s.swap_lock)


cdef int scratch_reserve(scratch_t *c, uint64_t records) noexcept nogil:
    if records > c.room:
        free(c.records)
        c.room = 0
        c.records = <record_t *>malloc(records * sizeof(record_t))
        if c.records == NULL:
            return -1
        c.room = records
    if records > c.order_room:
        free(c.order)
        c.order_room = 0
        c.order = <uint32_t *>malloc(records * sizeof(uint32_t))
        if c.order == NULL:
            return -1
        c.order_room = records
    return 0


cdef void scratch_free(scratch_t *c) noexcept nogil:
    free(c.records)
    free(c.order)
    memset(c, 0, sizeof(scratch_t))


# --- applying

cdef uint64_t rehash(const void *context, const entry_t *e) noexcept nogil:
    cdef const store_t *s = <const store_t *>context
    cdef const type_t *type = &s.types.items[e.type]
    cdef uint64_t odd = 0
    return hash_bytes(entry_id(e), e.meta & ID_MASK, hash_bytes(type.name, type.length, s.key.s0, &s.key, &odd),
                      &s.key, &odd)


cdef void refuse(store_t *s, uint32_t type, const uint8_t *id, uint32_t n, uint64_t *reason) noexcept nogil:
    fc_count(reason, 1)
    fc_count(&s.types.items[type].refused, 1)
    refusals_count(&s.refusals, type, id, n)


cdef entry_t *insert(store_t *s, shard_t *shard, uint64_t hash, uint32_t type, const uint8_t *id, uint32_t n,
                     int *outcome) noexcept nogil:
    """A new name, if limits allow. The sums of all shards are claimed first and given back when it fails, so that
    they are never passed, whoever else inserts."""
    cdef uint64_t cost = table_cost(&shard.table, n)
    cdef uint64_t before = table_memory(&shard.table)
    cdef entry_t *e = NULL
    if fc_add(&s.counters, 1) >= s.max_counters:
        fc_sub(&s.counters, 1)
        refuse(s, type, id, n, &s.refused_counters)
        outcome[0] = REFUSED_COUNTERS
        return NULL
    if fc_add(&s.memory, cost) + cost <= s.max_memory:
        e = table_insert(&shard.table, hash, type, id, n, rehash, s)
    fc_sub(&s.memory, cost)
    fc_add(&s.memory, table_memory(&shard.table) - before)
    if e == NULL:
        fc_sub(&s.counters, 1)
        refuse(s, type, id, n, &s.refused_memory)
        outcome[0] = REFUSED_MEMORY
        return NULL
    fc_count(&s.types.items[type].names, 1)
    return e


cdef inline bint apply_one(store_t *s, shard_t *shard, const uint8_t *base, const record_t *r,
                           int gen) noexcept nogil:
    cdef uint32_t n = r.op_length & ID_MASK
    cdef int outcome
    cdef entry_t *e = table_find(&shard.table, r.hash, r.type, base + r.id, n)
    if e == NULL:
        e = insert(s, shard, r.hash, r.type, base + r.id, n, &outcome)
        if e == NULL:
            return False
    table_add(&shard.table, e, r.delta, gen, &shard.saturated)
    return True


cdef inline bint counts(const record_t *r) noexcept nogil:
    cdef int op = r.op_length >> 10
    return op == OP_INC or op == OP_ADD or op == OP_HIT


cdef int64_t store_apply(store_t *s, scratch_t *c, const uint8_t *base, const record_t *records, uint64_t n,
                         int gen) noexcept nogil:
    cdef uint32_t first[MAX_SHARDS + 1]  # of each shard, in `order`
    cdef uint32_t place[MAX_SHARDS]
    cdef uint64_t i, k, refused = 0, ignored = 0
    cdef uint64_t shards = s.n_shards
    cdef const record_t *r
    cdef shard_t *shard
    cdef uint32_t *order = c.order
    cdef uint32_t j, stop
    if n > c.order_room:
        return -1
    memset(place, 0, shards * sizeof(uint32_t))
    for i in range(n):
        r = &records[i]
        k = shard_of(s, r.hash)
        # a hint: index and mask may be moving, which a prefetch does not mind
        fc_prefetch(&s.shards[k].table.index[r.hash & s.shards[k].table.mask])
        place[k] += 1
    first[0] = 0
    for k in range(shards):
        first[k + 1] = first[k] + place[k]
        place[k] = first[k]
    for i in range(n):
        k = shard_of(s, records[i].hash)
        order[place[k]] = <uint32_t>i
        place[k] += 1
    for k in range(shards):
        j = first[k]
        stop = first[k + 1]
        if j == stop:
            continue
        shard = &s.shards[k]
        pthread_mutex_lock(&shard.lock)
        for i in range(j, stop if stop - j < AHEAD else j + AHEAD):
            table_prefetch(&shard.table, records[order[i]].hash)
        while j < stop:
            if j + AHEAD < stop:
                table_prefetch(&shard.table, records[order[j + AHEAD]].hash)
            r = &records[order[j]]
            j += 1
            if not counts(r):
                ignored += 1
            elif r.type == TYPE_UNKNOWN:
                fc_count(&s.types.refused, 1)
                refused += 1
            elif not apply_one(s, shard, base, r, gen):
                refused += 1
        pthread_mutex_unlock(&shard.lock)
    fc_count(&s.records, n)
    if ignored:
        fc_count(&s.members_ignored, ignored)
    return <int64_t>refused


cdef int store_incr(store_t *s, const uint8_t *type, uint32_t type_length, const uint8_t *id, uint32_t n,
                    int64_t delta, int64_t *value) noexcept nogil:
    cdef uint64_t seed, hash, odd = 0
    cdef uint32_t number = types_find(&s.types, &s.key, type, type_length, &seed)
    cdef shard_t *shard
    cdef entry_t *e
    cdef int gen, outcome = APPLIED
    fc_count(&s.records, 1)
    if number == TYPE_UNKNOWN:
        number = types_intern(&s.types, &s.key, type, type_length)
        if number == TYPE_UNKNOWN:
            fc_count(&s.types.refused, 1)
            return REFUSED_TYPES
    hash = hash_bytes(id, n, seed, &s.key, &odd)
    shard = &s.shards[shard_of(s, hash)]
    gen = store_enter(s)
    pthread_mutex_lock(&shard.lock)
    e = table_find(&shard.table, hash, number, id, n)
    if e == NULL:
        e = insert(s, shard, hash, number, id, n, &outcome)
    if e != NULL:
        table_add(&shard.table, e, delta, gen, &shard.saturated)
        value[0] = entry_value(e, gen)
    pthread_mutex_unlock(&shard.lock)
    store_leave(s, gen)
    return outcome


# --- reading

cdef entry_t *lock_entry(store_t *s, const uint8_t *type, uint32_t type_length, const uint8_t *id, uint32_t n,
                         shard_t **shard) noexcept nogil:
    """The entry of a name, its shard locked; NULL (and nothing locked) for a name never counted."""
    cdef uint64_t seed, hash, odd = 0
    cdef uint32_t number = types_find(&s.types, &s.key, type, type_length, &seed)
    cdef entry_t *e
    if number == TYPE_UNKNOWN:
        return NULL
    hash = hash_bytes(id, n, seed, &s.key, &odd)
    shard[0] = &s.shards[shard_of(s, hash)]
    pthread_mutex_lock(&shard[0].lock)
    e = table_find(&shard[0].table, hash, number, id, n)
    if e == NULL:
        pthread_mutex_unlock(&shard[0].lock)
    return e


cdef bint store_read(store_t *s, const uint8_t *type, uint32_t type_length, const uint8_t *id, uint32_t n,
                     int64_t *value, int64_t *pending) noexcept nogil:
    cdef shard_t *shard = NULL
    cdef entry_t *e = lock_entry(s, type, type_length, id, n, &shard)
    value[0] = pending[0] = 0
    if e == NULL:
        return False
    value[0] = entry_value(e, <int>fc_load(&s.gen))
    pending[0] = fc_sat_sub(value[0], e.base)
    pthread_mutex_unlock(&shard.lock)
    return True


cdef int64_t store_reset(store_t *s, const uint8_t *type, uint32_t type_length, const uint8_t *id,
                         uint32_t n) noexcept nogil:
    cdef shard_t *shard = NULL
    cdef entry_t *e
    cdef int64_t value = 0, before
    cdef uint64_t ignored = 0
    cdef int gen = store_enter(s)
    e = lock_entry(s, type, type_length, id, n, &shard)
    if e != NULL:
        value = entry_value(e, gen)
        before = fc_sat_add(e.base, e.delta[1 - gen], &ignored)
        table_add(&shard.table, e, 0, gen, &ignored)
        e.delta[gen] = -before if before != INT64_MIN else INT64_MAX
        pthread_mutex_unlock(&shard.lock)
    store_leave(s, gen)
    return value


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


cdef uint64_t store_top(store_t *s, uint32_t type, ranked_t *heap, uint64_t k) noexcept nogil:
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
        at = 8
        while at < t.arena_used:
            e = <entry_t *>(t.arena + at)
            n = e.meta & ID_MASK
            at += entry_size(n)
            if e.type != type:
                continue
            value = entry_value(e, gen)
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


# --- draining

cdef void batch_free(batch_t *b) noexcept nogil:
    free(b.types)
    free(b.id_lengths)
    free(b.deltas)
    free(b.ids)
    memset(b, 0, sizeof(batch_t))


cdef int batch_reserve(batch_t *b, uint64_t count, uint64_t ids_size) noexcept nogil:
    memset(b, 0, sizeof(batch_t))
    b.types = <uint16_t *>malloc(count * sizeof(uint16_t) + 1)
    b.id_lengths = <uint16_t *>malloc(count * sizeof(uint16_t) + 1)
    b.deltas = <int64_t *>malloc(count * sizeof(int64_t) + 1)
    b.ids = <uint8_t *>malloc(ids_size + 1)
    if b.types == NULL or b.id_lengths == NULL or b.deltas == NULL or b.ids == NULL:
        batch_free(b)
        return -1
    return 0


cdef void drain_shard(shard_t *shard, int gen, batch_t *out) noexcept nogil:
    """Fold the deltas of a generation nobody is in any more into the totals, and append them to `out`."""
    cdef table_t *t = &shard.table
    cdef uint64_t word, bits, words, drained = 0
    cdef int64_t total
    cdef entry_t *e
    cdef uint32_t n
    pthread_mutex_lock(&shard.lock)
    words = (t.arena_used >> 9) + 1
    if t.dirty_count[gen] == 0:
        words = 0
    for word in range(words):
        bits = t.dirty[gen][word]
        if bits == 0:
            continue
        t.dirty[gen][word] = 0
        while bits:
            e = <entry_t *>(t.arena + ((word << 6 | <uint64_t>fc_ctz(bits)) << 3))
            bits &= bits - 1
            drained += 1
            fc_assert(e.meta & (DIRTY << gen))
            total = fc_sat_add(e.base, e.delta[gen], &shard.saturated)
            e.meta &= ~(DIRTY << gen)
            e.delta[gen] = 0
            if total != e.base:
                n = e.meta & ID_MASK
                out.types[out.count] = e.type
                out.id_lengths[out.count] = <uint16_t>n
                out.deltas[out.count] = <int64_t>(<uint64_t>total - <uint64_t>e.base)
                memcpy(out.ids + out.ids_size, entry_id(e), n)
                out.count += 1
                out.ids_size += n
                e.base = total
    fc_assert(drained == t.dirty_count[gen])
    t.dirty_count[gen] = 0
    t.dirty_bytes[gen] = 0
    pthread_mutex_unlock(&shard.lock)


cdef int store_swap(store_t *s, batch_t *out) noexcept nogil:
    cdef uint64_t i, count = 0, ids_size = 0
    cdef int old
    pthread_mutex_lock(&s.swap_lock)
    if s.undrained:
        old = <int>(1 - fc_load(&s.gen))
    else:
        old = <int>fc_load(&s.gen)
        fc_store(&s.gen, 1 - old)
        while fc_load(&s.gates[old].inside):
            sched_yield()
    for i in range(s.n_shards):
        # quiet by now: only a drain changes them
        pthread_mutex_lock(&s.shards[i].lock)
        count += s.shards[i].table.dirty_count[old]
        ids_size += s.shards[i].table.dirty_bytes[old]
        pthread_mutex_unlock(&s.shards[i].lock)
    s.undrained = batch_reserve(out, count, ids_size) < 0
    if not s.undrained:
        out.generation = s.swaps
        s.swaps += 1
        for i in range(s.n_shards):
            drain_shard(&s.shards[i], old, out)
    pthread_mutex_unlock(&s.swap_lock)
    return -1 if s.undrained else 0
