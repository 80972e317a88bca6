"""Applying, reading and draining; see shard.pxd for the theory."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from fastcount.native.atomic cimport (
    fc_add, fc_count, fc_peek, fc_sub, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_unlock,
)
from fastcount.native.events cimport events_free, events_init, events_offer_one
from fastcount.native.frame cimport OP_ADD, OP_HIT, OP_SEEN, record_t
from fastcount.native.hash cimport hash_bytes, hash_key_t
from fastcount.native.murmur cimport murmur64a
from fastcount.native.refusals cimport refusals_count, refusals_free, refusals_init
from fastcount.native.siphash cimport siphash53, sipkey_t
from fastcount.native.sketch cimport (
    SKETCH_CHANGED, SKETCH_REFUSED, member_t, sketch_add, sketch_memory, sketch_prefetch, sketch_prefetch_data,
    sketch_prefetch_member, sketch_step, sketch_t, sketches_cost, sketches_free, sketches_new,
)
from fastcount.native.table cimport (
    DIRTY, ID_MASK, SKETCHED, entry_id, entry_t, entry_value, table_add, table_cost, table_find, table_free, table_init,
    table_insert, table_mark, table_memory, table_prefetch, table_prefetch_slot,
)
from fastcount.native.types cimport (
    TYPE_UNKNOWN, type_t, types_find, types_free, types_init, types_intern,
)

cdef enum:
    # how many records before it is applied a record's slot, and then its entry, is asked for (by `bench --only apply`,
    # which tells little between 28/12 and 40/16)
    FAR_AHEAD = 40
    AHEAD = 16
    BLOCK = 32  # records with members that go through the stages of fetching together


# --- making

cdef int store_init(store_t *s, const limits_t *limits, hash_key_t key, sipkey_t secret) noexcept nogil:
    cdef uint64_t i
    memset(s, 0, sizeof(store_t))
    s.key = key
    s.secret = secret
    s.limits = limits[0]
    refusals_init(&s.refusals)
    s.shards = <shard_t *>calloc(limits.n_shards, sizeof(shard_t))
    if s.shards == NULL:
        return -1
    for i in range(limits.n_shards):
        if table_init(&s.shards[i].table) < 0:
            return -1
        pthread_mutex_init(&s.shards[i].lock, NULL)
        s.n_shards = i + 1
        s.memory += table_memory(&s.shards[i].table)
    if events_init(&s.events, limits.max_types, limits.event_size) < 0:
        return -1
    return types_init(&s.types, limits.max_types)


cdef void store_free(store_t *s) noexcept nogil:
    cdef uint64_t i
    for i in range(s.n_shards):
        table_free(&s.shards[i].table)
        sketches_free(&s.shards[i].sketches)
        pthread_mutex_destroy(&s.shards[i].lock)
    free(s.shards)
    s.shards = NULL
    s.n_shards = 0
    types_free(&s.types)
    events_free(&s.events)
    refusals_free(&s.refusals)


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
    if fc_add(&s.counters, 1) >= s.limits.max_counters:
        fc_sub(&s.counters, 1)
        refuse(s, type, id, n, &s.refused_counters)
        outcome[0] = REFUSED_COUNTERS
        return NULL
    if fc_add(&s.memory, cost) + cost <= s.limits.max_memory:
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


cdef sketch_t *make_sketch(store_t *s, shard_t *shard, entry_t *e) noexcept nogil:
    """The sketch of an entry that has none yet, if memory allows; else NULL."""
    cdef uint64_t cost = sketches_cost(&shard.sketches)
    cdef uint32_t place
    if fc_peek(&s.memory) + cost + sketch_step(s.limits.sample_size) > s.limits.max_memory:
        return NULL
    place = sketches_new(&shard.sketches, s.limits.sample_size)
    if place == 0:
        return NULL
    shard.sketches.items[place].base = shard.table.bases[e.ref]
    e.ref = place
    e.meta |= SKETCHED
    fc_add(&s.memory, cost)
    fc_count(&s.sketches, 1)
    return &shard.sketches.items[place]


cdef inline void member_of(store_t *s, member_t *m, int op, const uint8_t *bytes, uint32_t n) noexcept nogil:
    m.bytes = bytes
    m.length = n
    m.op = op
    m.murmur = murmur64a(bytes, n)
    m.priority = siphash53(&s.secret, bytes, n)


cdef inline void apply_member(store_t *s, shard_t *shard, entry_t *e, const member_t *m, int gen) noexcept nogil:
    cdef sketch_t *k = sketch_of(shard, e)
    cdef uint64_t before, after
    cdef int said = SKETCH_REFUSED
    if k == NULL:
        k = make_sketch(s, shard, e)
    if k != NULL:
        before = sketch_memory(k)
        said = sketch_add(k, m, gen,
                          fc_peek(&s.memory) + sketch_step(s.limits.sample_size) <= s.limits.max_memory)
        after = sketch_memory(k)
        if after != before:
            fc_add(&s.memory, after - before)
    if said & SKETCH_CHANGED and not (e.meta & (DIRTY << gen)):
        table_mark(&shard.table, e, gen)
    if said & SKETCH_REFUSED:
        fc_count(&s.refused_members, 1)
        fc_count(&s.types.items[e.type].refused, 1)


cdef inline entry_t *apply_one(store_t *s, shard_t *shard, const uint8_t *base, const record_t *r,
                               int gen) noexcept nogil:
    """Find or make the entry of a record and add the record's delta; NULL when a limit refuses it."""
    cdef uint32_t n = r.op_length & ID_MASK
    cdef int outcome, op
    cdef entry_t *e
    if r.type == TYPE_UNKNOWN:
        fc_count(&s.types.refused, 1)
        return NULL
    e = table_find(&shard.table, r.hash, r.type, base + r.id, n)
    if e == NULL:
        e = insert(s, shard, r.hash, r.type, base + r.id, n, &outcome)
        if e == NULL:
            return NULL
    op = r.op_length >> 10
    if op <= OP_ADD or op == OP_HIT:
        table_add(&shard.table, e, r.delta, gen, &shard.saturated)
    return e


cdef uint64_t apply_plain(store_t *s, shard_t *shard, const uint8_t *base, const record_t *records,
                          const uint32_t *order, uint64_t n, int gen) noexcept nogil:
    """Records of one shard without members; returns how many were refused."""
    cdef uint64_t i, refused = 0
    for i in range(FAR_AHEAD if FAR_AHEAD < n else n):
        table_prefetch_slot(&shard.table, records[order[i]].hash)
    for i in range(AHEAD if AHEAD < n else n):
        table_prefetch(&shard.table, records[order[i]].hash)
    for i in range(n):
        if i + FAR_AHEAD < n:
            table_prefetch_slot(&shard.table, records[order[i + FAR_AHEAD]].hash)
        if i + AHEAD < n:
            table_prefetch(&shard.table, records[order[i + AHEAD]].hash)
        refused += apply_one(s, shard, base, &records[order[i]], gen) == NULL
    return refused


cdef uint64_t apply_members(store_t *s, shard_t *shard, const uint8_t *base, record_t *records,
                            const uint32_t *order, uint64_t n, int gen) noexcept nogil:
    """The same with members among them. Entry, sketch and registers lie in three places that each name the next, so a
    block of records goes through in stages, each of which asks for what the next one reads."""
    cdef member_t members[BLOCK]
    cdef uint32_t places[BLOCK]
    cdef uint64_t i, at = 0, size, refused = 0
    cdef const record_t *r
    cdef entry_t *e
    for i in range(2 * BLOCK if 2 * BLOCK < n else n):
        table_prefetch_slot(&shard.table, records[order[i]].hash)
    for i in range(BLOCK if BLOCK < n else n):
        table_prefetch(&shard.table, records[order[i]].hash)
    while at < n:
        size = n - at if n - at < BLOCK else BLOCK
        for i in range(at + 2 * BLOCK, at + 3 * BLOCK if at + 3 * BLOCK < n else n):
            table_prefetch_slot(&shard.table, records[order[i]].hash)
        for i in range(at + BLOCK, at + 2 * BLOCK if at + 2 * BLOCK < n else n):
            table_prefetch(&shard.table, records[order[i]].hash)
        for i in range(size):
            r = &records[order[at + i]]
            places[i] = 0
            members[i].op = r.op_length >> 10
            if members[i].op < OP_SEEN:
                continue
            member_of(s, &members[i], members[i].op, base + r.member, r.member_length)
            e = table_find(&shard.table, r.hash, r.type, base + r.id, r.op_length & ID_MASK)
            if e != NULL and e.meta & SKETCHED:
                places[i] = e.ref
                sketch_prefetch(&shard.sketches.items[e.ref])
        for i in range(size):
            if places[i]:
                sketch_prefetch_data(&shard.sketches.items[places[i]], &members[i])
        for i in range(size):
            if places[i]:
                sketch_prefetch_member(&shard.sketches.items[places[i]], &members[i])
        for i in range(size):
            e = apply_one(s, shard, base, &records[order[at + i]], gen)
            if e == NULL:
                refused += 1
                records[order[at + i]].type = TYPE_UNKNOWN
            elif members[i].op >= OP_SEEN:
                apply_member(s, shard, e, &members[i], gen)
        at += size
    return refused


cdef int64_t store_apply(store_t *s, scratch_t *c, const uint8_t *base, record_t *records, uint64_t n,
                         int gen) noexcept nogil:
    cdef uint32_t first[MAX_SHARDS + 1]  # of each shard, in `order`
    cdef uint32_t place[MAX_SHARDS]
    cdef uint64_t i, k, refused = 0
    cdef uint64_t shards = s.n_shards
    cdef const record_t *r
    cdef shard_t *shard
    cdef uint32_t *order = c.order
    cdef bint members = False
    if n > c.order_room:
        return -1
    memset(place, 0, shards * sizeof(uint32_t))
    for i in range(n):
        r = &records[i]
        k = shard_of(s, r.hash)
        place[k] += 1
        members |= r.op_length >= OP_SEEN << 10
    first[0] = 0
    for k in range(shards):
        first[k + 1] = first[k] + place[k]
        place[k] = first[k]
    for i in range(n):
        k = shard_of(s, records[i].hash)
        order[place[k]] = <uint32_t>i
        place[k] += 1
    for k in range(shards):
        i = first[k + 1] - first[k]
        if i == 0:
            continue
        shard = &s.shards[k]
        pthread_mutex_lock(&shard.lock)
        if members:
            refused += apply_members(s, shard, base, records, order + first[k], i, gen)
        else:
            refused += apply_plain(s, shard, base, records, order + first[k], i, gen)
        pthread_mutex_unlock(&shard.lock)
    fc_count(&s.records, n)
    return <int64_t>refused


cdef int store_incr(store_t *s, const uint8_t *type, uint32_t type_length, const uint8_t *id, uint32_t n, int op,
                    int64_t delta, const uint8_t *member, uint32_t member_length, int64_t now_ms,
                    int64_t *value) noexcept nogil:
    cdef uint64_t seed, hash, odd = 0
    cdef uint32_t number = types_find(&s.types, &s.key, type, type_length, &seed)
    cdef shard_t *shard
    cdef entry_t *e
    cdef member_t m
    cdef int gen, outcome = APPLIED
    fc_count(&s.records, 1)
    if number == TYPE_UNKNOWN:
        number = types_intern(&s.types, &s.key, type, type_length)
        if number == TYPE_UNKNOWN:
            fc_count(&s.types.refused, 1)
            return REFUSED_TYPES
    hash = hash_bytes(id, n, seed, &s.key, &odd)
    if op >= OP_SEEN:
        member_of(s, &m, op, member, member_length)
    shard = &s.shards[shard_of(s, hash)]
    gen = store_enter(s)
    pthread_mutex_lock(&shard.lock)
    e = table_find(&shard.table, hash, number, id, n)
    if e == NULL:
        e = insert(s, shard, hash, number, id, n, &outcome)
    if e != NULL:
        if op <= OP_ADD or op == OP_HIT:
            table_add(&shard.table, e, delta, gen, &shard.saturated)
        value[0] = entry_value(e, base_of(shard, e)[0], gen)
        if op >= OP_SEEN:
            apply_member(s, shard, e, &m, gen)
    pthread_mutex_unlock(&shard.lock)
    if e != NULL and op == OP_HIT and delta != 0:
        events_offer_one(&s.events, number, id, n, member, member_length, now_ms, gen, &s.memory, s.limits.max_memory)
    store_leave(s, gen)
    return outcome
