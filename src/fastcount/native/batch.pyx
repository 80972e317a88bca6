"""See batch.pxd."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from fastcount.native.atomic cimport (
    fc_assert, fc_ctz, fc_load, fc_sat_add, fc_store, fc_sub, pthread_mutex_destroy,
    pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, sched_yield,
)
from fastcount.native.bottomk cimport bottomk_drain, bottomk_drain_size
from fastcount.native.events cimport events_take
from fastcount.native.heap cimport heap_alloc, heap_resized, heap_zeroed
from fastcount.native.hll cimport hll_changed, hll_drain
from fastcount.native.reservoir cimport reservoir_free, reservoir_t
from fastcount.native.shard cimport base_of, shard_t
from fastcount.native.sketch cimport sketch_memory, sketch_t
from fastcount.native.table cimport DIRTY, ID_MASK, SKETCHED, entry_id, entry_t, table_t


cdef void batch_free(batch_t *b) noexcept nogil:
    cdef uint64_t i
    for i in range(b.event_types):
        reservoir_free(&b.events[i])
    free(b.types)
    free(b.id_lengths)
    free(b.deltas)
    free(b.item_counts)
    free(b.member_sizes)
    free(b.ids)
    free(b.items)
    free(b.members)
    free(b.events)
    memset(b, 0, sizeof(batch_t))


cdef void swap_init(swap_t *w) noexcept nogil:
    memset(w, 0, sizeof(swap_t))
    pthread_mutex_init(&w.lock, NULL)


cdef void swap_free(swap_t *w) noexcept nogil:
    batch_free(&w.partial)
    pthread_mutex_destroy(&w.lock)


cdef int reserve_rows(batch_t *b, uint64_t count, uint64_t ids_size, uint64_t types) noexcept nogil:
    """Room for what is known before draining; what sketches add is not."""
    memset(b, 0, sizeof(batch_t))
    b.types = <uint16_t *>heap_alloc(count * sizeof(uint16_t) + 1)
    b.id_lengths = <uint16_t *>heap_alloc(count * sizeof(uint16_t) + 1)
    b.deltas = <int64_t *>heap_alloc(count * sizeof(int64_t) + 1)
    b.item_counts = <uint32_t *>heap_alloc(count * sizeof(uint32_t) + 1)
    b.member_sizes = <uint32_t *>heap_alloc(count * sizeof(uint32_t) + 1)
    b.ids = <uint8_t *>heap_alloc(ids_size + 1)
    b.events = <reservoir_t *>heap_zeroed((types + 1) * sizeof(reservoir_t))
    if (b.types == NULL or b.id_lengths == NULL or b.deltas == NULL or b.item_counts == NULL
            or b.member_sizes == NULL or b.ids == NULL or b.events == NULL):
        batch_free(b)
        return -1
    b.event_types = types
    return 0


cdef int reserve_sketch(batch_t *b, uint64_t items, uint64_t members) noexcept nogil:
    """Room for the changes of one more sketch."""
    cdef uint64_t room
    cdef void *p
    if b.items_size + items > b.items_room:
        room = b.items_room + b.items_room // 2 + items + 1024
        p = heap_resized(b.items, room * sizeof(uint32_t))
        if p == NULL:
            return -1
        b.items = <uint32_t *>p
        b.items_room = room
    if b.members_size + members > b.members_room:
        room = b.members_room + b.members_room // 2 + members + 4096
        p = heap_resized(b.members, room)
        if p == NULL:
            return -1
        b.members = <uint8_t *>p
        b.members_room = room
    return 0


cdef int drain_sketch(store_t *s, sketch_t *k, int gen, batch_t *out) noexcept nogil:
    """Append the changes of a sketch to row out.count. -1: no memory, and nothing has changed."""
    cdef uint32_t items = hll_changed(&k.unique, gen)
    cdef uint64_t members = bottomk_drain_size(&k.sample, gen)
    cdef uint64_t before = sketch_memory(k)
    if reserve_sketch(out, items, members) < 0:
        return -1
    out.item_counts[out.count] = hll_drain(&k.unique, gen, out.items + out.items_size)
    out.member_sizes[out.count] = <uint32_t>bottomk_drain(&k.sample, gen, out.members + out.members_size)
    fc_assert(out.item_counts[out.count] <= items)
    fc_sub(&s.memory, before - sketch_memory(k))
    return 0


cdef int drain_entry(store_t *s, shard_t *shard, entry_t *e, int gen, batch_t *out) noexcept nogil:
    """Fold an entry's delta into its total, and append what changed. -1: no memory, and nothing has changed."""
    cdef int64_t total
    cdef int64_t *base = base_of(shard, e)
    cdef uint32_t n = e.meta & ID_MASK
    fc_assert(e.meta & (DIRTY << gen))
    out.item_counts[out.count] = 0
    out.member_sizes[out.count] = 0
    if e.meta & SKETCHED and drain_sketch(s, &shard.sketches.items[e.ref], gen, out) < 0:
        return -1
    total = fc_sat_add(base[0], e.delta[gen], &shard.saturated)
    e.meta &= ~(DIRTY << gen)
    e.delta[gen] = 0
    if total == base[0] and out.item_counts[out.count] == 0 and out.member_sizes[out.count] == 0:
        return 0
    out.types[out.count] = e.type
    out.id_lengths[out.count] = <uint16_t>n
    out.deltas[out.count] = <int64_t>(<uint64_t>total - <uint64_t>base[0])
    memcpy(out.ids + out.ids_size, entry_id(e), n)
    base[0] = total
    out.ids_size += n
    out.items_size += out.item_counts[out.count]
    out.members_size += out.member_sizes[out.count]
    out.count += 1
    return 0


cdef int drain_shard(store_t *s, shard_t *shard, int gen, batch_t *out) noexcept nogil:
    """Append what a generation that nobody is in any more changed. -1: no memory, and the rest stays where it is."""
    cdef table_t *t = &shard.table
    cdef uint64_t word, words
    cdef entry_t *e
    cdef int outcome = 0
    pthread_mutex_lock(&shard.lock)
    words = (t.arena_used + 511) >> 9 if t.dirty_count[gen] else 0  # the arena may be full to its last byte
    for word in range(words):
        while t.dirty[gen][word]:
            e = <entry_t *>(t.arena + ((word << 6 | <uint64_t>fc_ctz(t.dirty[gen][word])) << 3))
            outcome = drain_entry(s, shard, e, gen, out)
            if outcome < 0:
                break
            t.dirty[gen][word] &= t.dirty[gen][word] - 1
            t.dirty_count[gen] -= 1
            t.dirty_bytes[gen] -= e.meta & ID_MASK
        if outcome < 0:
            break
    fc_assert(outcome < 0 or (t.dirty_count[gen] == 0 and t.dirty_bytes[gen] == 0))
    pthread_mutex_unlock(&shard.lock)
    return outcome


cdef int begin(store_t *s, batch_t *out, int old) noexcept nogil:
    """Room for what the old generation, which is quiet by now, changed."""
    cdef uint64_t i, count = 0, ids_size = 0
    for i in range(s.n_shards):
        pthread_mutex_lock(&s.shards[i].lock)
        count += s.shards[i].table.dirty_count[old]
        ids_size += s.shards[i].table.dirty_bytes[old]
        pthread_mutex_unlock(&s.shards[i].lock)
    return reserve_rows(out, count, ids_size, fc_load(&s.types.count))


cdef int store_swap(store_t *s, swap_t *w, batch_t *out) noexcept nogil:
    cdef uint64_t i
    cdef int old, outcome = 0
    pthread_mutex_lock(&w.lock)
    if w.undrained:
        old = <int>(1 - fc_load(&s.gen))
    else:
        old = <int>fc_load(&s.gen)
        fc_store(&s.gen, 1 - old)
        while fc_load(&s.gates[old].inside):
            sched_yield()
        w.undrained = True
    if w.partial.types == NULL:
        outcome = begin(s, &w.partial, old)
    for i in range(s.n_shards):
        if outcome == 0:
            outcome = drain_shard(s, &s.shards[i], old, &w.partial)
    if outcome == 0:
        for i in range(w.partial.event_types):
            events_take(&s.events, i, old, &w.partial.events[i], &s.memory)
        w.partial.generation = w.swaps
        w.swaps += 1
        out[0] = w.partial
        memset(&w.partial, 0, sizeof(batch_t))
        w.undrained = False
    pthread_mutex_unlock(&w.lock)
    return outcome
