# The store: shards, generations, limits.
#
# A shard is a table and its lock. Which shard a name is in follows from its hash. Records are applied a receive batch
# at a time: grouped by shard, so that a lock is taken once a batch, with table slots prefetched ahead.
#
# Generations make a swap (batch.pxd) a consistent cut at frame boundaries. Whoever applies calls store_enter, applies
# any number of whole frames under the generation it got, then store_leave. A swap flips the generation and waits until
# nobody is in the old one; from then on what the old one changed is changed only by being drained.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastcount.native.atomic cimport fc_add, fc_load, fc_sub, pthread_mutex_t, sched_yield
from fastcount.native.events cimport events_t
from fastcount.native.frame cimport record_t
from fastcount.native.hash cimport hash_key_t
from fastcount.native.refusals cimport refusals_t
from fastcount.native.siphash cimport sipkey_t
from fastcount.native.sketch cimport sketch_t, sketches_t
from fastcount.native.table cimport SKETCHED, entry_t, table_t
from fastcount.native.types cimport types_t

cdef enum:
    MAX_SHARDS = 256

cdef struct shard_t:
    pthread_mutex_t lock
    table_t table
    sketches_t sketches
    uint64_t saturated      # sums that were held at ±2^63
    uint8_t padding[64]     # neighbours' locks stay off this cache line

cdef struct gate_t:         # who is in a generation (atomic)
    uint64_t inside
    uint8_t padding[120]

cdef struct limits_t:
    uint64_t max_counters
    uint64_t max_memory     # bytes of tables, sketches and events
    uint32_t max_types
    uint32_t n_shards       # a power of two
    uint32_t sample_size    # members a sample keeps
    uint32_t event_size     # events a reservoir keeps

cdef struct store_t:
    # what never changes
    shard_t *shards
    uint64_t n_shards
    hash_key_t key          # of the tables: new with every process
    sipkey_t secret         # of the samples: the deployment's
    limits_t limits
    # generations
    uint64_t gen            # 0 or 1 (atomic)
    gate_t gates[2]
    # tables that shards share
    types_t types
    events_t events
    refusals_t refusals
    # statistics (atomic)
    uint64_t counters
    uint64_t sketches
    uint64_t memory         # bytes of tables, sketches and events
    uint64_t records        # applied or refused
    uint64_t refused_counters
    uint64_t refused_memory
    uint64_t refused_members    # not added to a sketch: max_memory; the increment of a HIT stands

# Room to sort a batch in; one a thread.
cdef struct scratch_t:
    record_t *records
    uint64_t room           # records
    uint32_t *order
    uint64_t order_room


cdef inline int64_t *base_of(const shard_t *shard, const entry_t *e) noexcept nogil:
    """Where the drained total of a name is."""
    return &shard.sketches.items[e.ref].base if e.meta & SKETCHED else &shard.table.bases[e.ref]


cdef inline sketch_t *sketch_of(const shard_t *shard, const entry_t *e) noexcept nogil:
    """The sketch of a name, or NULL."""
    return &shard.sketches.items[e.ref] if e.meta & SKETCHED else NULL


cdef inline uint64_t shard_of(const store_t *s, uint64_t hash) noexcept nogil:
    return (hash >> 56) & (s.n_shards - 1)


cdef inline int store_enter(store_t *s) noexcept nogil:
    """The generation to apply under, until store_leave; not to be entered twice by one thread.

    Waits, a receive batch at most, until nobody is in the other one: a member that the new generation adds to a sample
    before the old one is complete would keep members of the old one out of its batch."""
    cdef uint64_t gen
    while True:
        gen = fc_load(&s.gen)
        fc_add(&s.gates[gen].inside, 1)
        if fc_load(&s.gen) == gen and fc_load(&s.gates[1 - gen].inside) == 0:
            return <int>gen
        fc_sub(&s.gates[gen].inside, 1)
        sched_yield()


cdef inline void store_leave(store_t *s, int gen) noexcept nogil:
    fc_sub(&s.gates[gen].inside, 1)


cdef int store_init(store_t *s, const limits_t *limits, hash_key_t key, sipkey_t secret) noexcept nogil
cdef void store_free(store_t *s) noexcept nogil

cdef int scratch_reserve(scratch_t *c, uint64_t records) noexcept nogil
cdef void scratch_free(scratch_t *c) noexcept nogil

# Apply n decoded records whose names lie at `base`. Returns how many were refused, or -1 without memory for the
# order of n records (scratch_reserve makes room for as many as it was asked for). A refused record with a member has
# TYPE_UNKNOWN afterwards, so that it is no event either.
cdef int64_t store_apply(store_t *s, scratch_t *c, const uint8_t *base, record_t *records, uint64_t n,
                         int gen) noexcept nogil

cdef enum:
    APPLIED, REFUSED_TYPES, REFUSED_COUNTERS, REFUSED_MEMORY

# One record of a valid name and, unless op is INC or ADD, member; `value` receives the total after.
cdef int store_incr(store_t *s, const uint8_t *type, uint32_t type_length, const uint8_t *id, uint32_t n, int op,
                    int64_t delta, const uint8_t *member, uint32_t member_length, int64_t now_ms,
                    int64_t *value) noexcept nogil
