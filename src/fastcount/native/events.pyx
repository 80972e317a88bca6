"""See events.pxd."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastcount.native.atomic cimport (
    fc_add, fc_assert, fc_sub, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from fastcount.native.frame cimport OP_HIT, record_t
from fastcount.native.heap cimport heap_zeroed
from fastcount.native.reservoir cimport (
    reservoir_cost, reservoir_free, reservoir_init, reservoir_memory, reservoir_offer, reservoir_pass,
    reservoir_seen, reservoir_take, reservoir_t,
)
from fastcount.native.table cimport ID_MASK
from fastcount.native.types cimport TYPE_UNKNOWN


cdef int events_init(events_t *e, uint64_t max_types, uint64_t size) noexcept nogil:
    memset(e, 0, sizeof(events_t))
    e.types = <pair_t **>calloc(max_types, sizeof(pair_t *))
    if e.types == NULL:
        return -1
    e.maximum = max_types
    e.size = size
    pthread_mutex_init(&e.lock, NULL)
    return 0


cdef void events_free(events_t *e) noexcept nogil:
    cdef uint64_t i
    if e.types == NULL:
        return
    for i in range(e.maximum):
        if e.types[i] != NULL:
            reservoir_free(&e.types[i].of[0])
            reservoir_free(&e.types[i].of[1])
            free(e.types[i])
    free(e.types)
    e.types = NULL
    pthread_mutex_destroy(&e.lock)


cdef inline bint claim(uint64_t *memory, uint64_t bytes, uint64_t most) noexcept nogil:
    """Claimed first and given back where it is too much, so that the bound is never passed, whoever else adds."""
    if bytes == 0 or fc_add(memory, bytes) + bytes <= most:
        return True
    fc_sub(memory, bytes)
    return False


cdef pair_t *pair_of(events_t *e, uint32_t type, uint64_t *memory, uint64_t most) noexcept nogil:
    cdef pair_t *pair = e.types[type]
    if pair != NULL or not claim(memory, sizeof(pair_t), most):
        return pair
    pair = <pair_t *>heap_zeroed(sizeof(pair_t))
    if pair == NULL or reservoir_init(&pair.of[0], e.size) < 0 or reservoir_init(&pair.of[1], e.size) < 0:
        free(pair)
        fc_sub(memory, sizeof(pair_t))
        return NULL
    e.types[type] = pair
    return pair


cdef void offer(events_t *e, reservoir_t *r, const uint8_t *id, uint32_t id_length, const uint8_t *member,
                uint32_t member_length, int64_t now_ms, uint64_t *memory, uint64_t most) noexcept nogil:
    """An event whose turn it is to be kept."""
    cdef uint64_t before = reservoir_memory(r)
    cdef uint64_t cost = reservoir_cost(r, id_length + member_length)
    if not claim(memory, cost, most):
        e.refused += 1
        return
    if reservoir_offer(r, id, id_length, member, member_length, now_ms) < 0:
        e.refused += 1
    fc_assert(reservoir_memory(r) <= (cost if cost > before else before))
    fc_add(memory, reservoir_memory(r) - before)
    fc_sub(memory, cost)


cdef void events_offer(events_t *e, const uint8_t *base, const record_t *records, uint64_t n, int64_t now_ms, int gen,
                       uint64_t *memory, uint64_t most) noexcept nogil:
    cdef const record_t *r
    cdef pair_t *pair = NULL
    cdef uint64_t i
    cdef uint32_t type = TYPE_UNKNOWN
    if e.size == 0:
        return
    pthread_mutex_lock(&e.lock)
    for i in range(n):
        r = &records[i]
        if r.op_length >> 10 != OP_HIT or r.type == TYPE_UNKNOWN:
            continue
        e.seen += 1
        if r.type != type:
            type = r.type
            pair = pair_of(e, type, memory, most)
        if pair == NULL:
            e.refused += 1
        elif reservoir_pass(&pair.of[gen], 1) == 0:
            offer(e, &pair.of[gen], base + r.id, r.op_length & ID_MASK, base + r.member, r.member_length, now_ms,
                  memory, most)
    pthread_mutex_unlock(&e.lock)


cdef void events_offer_one(events_t *e, uint32_t type, const uint8_t *id, uint32_t id_length, const uint8_t *member,
                           uint32_t member_length, int64_t now_ms, int gen, uint64_t *memory,
                           uint64_t most) noexcept nogil:
    cdef pair_t *pair
    if e.size == 0:
        return
    pthread_mutex_lock(&e.lock)
    e.seen += 1
    pair = pair_of(e, type, memory, most)
    if pair == NULL:
        e.refused += 1
    elif reservoir_pass(&pair.of[gen], 1) == 0:
        offer(e, &pair.of[gen], id, id_length, member, member_length, now_ms, memory, most)
    pthread_mutex_unlock(&e.lock)


cdef void events_take(events_t *e, uint64_t type, int gen, reservoir_t *out, uint64_t *memory) noexcept nogil:
    pthread_mutex_lock(&e.lock)
    if e.types[type] != NULL and reservoir_seen(&e.types[type].of[gen]):
        fc_sub(memory, reservoir_memory(&e.types[type].of[gen]))
        reservoir_take(&e.types[type].of[gen], out)
    pthread_mutex_unlock(&e.lock)
