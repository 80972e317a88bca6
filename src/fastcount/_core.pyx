"""The store: the only Python door to the native part. _core.pyi says what each method promises."""

import os

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastcount.address import format_packed
from fastcount.answers import Applied, Reading, Sample, Unique
from fastcount.errors import FrameError, InvalidName, LimitReached
from fastcount.wire import ERRORS, check_key

from fastcount._batch cimport Batch
from fastcount.native.atomic cimport (
    fc_load, fc_peek, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from fastcount.native.batch cimport store_swap, swap_free, swap_init
from fastcount.native.bottomk cimport (
    BOTTOMK_MAX_K, bottomk_distinct, bottomk_free, bottomk_full, bottomk_member, bottomk_t,
)
from fastcount.native.frame cimport E_NONE, MAX_FRAME, OP_HIT, OP_INC, frame_t
from fastcount.native.hash cimport hash_key_t
from fastcount.native.hll cimport hll_count, hll_error, hll_free, hll_t
from fastcount.native.intake cimport intake_apply, intake_frame, monotonic_ns, unix_ms
from fastcount.native.keys cimport keys_add, keys_free
from fastcount.native.ledger cimport (
    ADMITTED, MAX_ADDRESS, WINDOW as LEDGER_WINDOW, address_t, books_add, books_t, ledger_copy, ledger_free,
    ledger_init, ledger_rank, source_t,
)
from fastcount.native.refusals cimport N_PREFIXES, prefix_t, refusals_read
from fastcount.native.query cimport (
    BY_UNIQUE, BY_VALUE, name_t, ranked_t, store_read, store_reset, store_sample, store_saturated, store_top,
    store_union, store_unique,
)
from fastcount.native.reservoir cimport RESERVOIR_MAX_K
from fastcount.native.shard cimport (
    APPLIED, MAX_SHARDS, REFUSED_COUNTERS, REFUSED_MEMORY, REFUSED_TYPES, limits_t, scratch_free, scratch_reserve,
    store_enter, store_free, store_incr, store_init, store_leave,
)
from fastcount.native.siphash cimport sipkey_load, sipkey_t
from fastcount.native.table cimport MAX_ID
from fastcount.native.text cimport text_valid, type_valid
from fastcount.native.types cimport TYPE_UNKNOWN, types_find

WINDOW = LEDGER_WINDOW
cdef tuple VERDICTS = ("applied", "duplicate", "stale", "ahead", "inconsistent")
cdef dict LIMITS = {REFUSED_TYPES: "max_types", REFUSED_COUNTERS: "max_counters", REFUSED_MEMORY: "max_memory"}

cdef enum:
    KEEP_SCRATCH = 1 << 16  # records; what a larger frame needed is given back
    MAX_TOP = 10_000


cdef inline const uint8_t *at(bytes b) noexcept:
    return <const uint8_t *>PyBytes_AS_STRING(b)


cdef int check_type(bytes type) except -1:
    if not type_valid(at(type), <uint32_t>min(PyBytes_GET_SIZE(type), 65)):
        raise InvalidName(f"type {shown(type)} must be 1-64 bytes of A-Z a-z 0-9 _ . -")
    return 0


cdef int check_text(str what, bytes text, Py_ssize_t most) except -1:
    cdef Py_ssize_t n = PyBytes_GET_SIZE(text)
    if n < 1 or n > most:
        raise InvalidName(f"{what} must be 1-{most:,} bytes of UTF-8, not {n:,} bytes")
    if not text_valid(at(text), <uint32_t>n):
        raise InvalidName(f"{what} {shown(text)} must be UTF-8 without control characters")
    return 0


cdef name_t checked(bytes type, bytes id):
    cdef name_t name
    check_type(type)
    check_text("id", id, MAX_ID)
    name.type = at(type)
    name.id = at(id)
    name.type_length = <uint32_t>PyBytes_GET_SIZE(type)
    name.id_length = <uint32_t>PyBytes_GET_SIZE(id)
    return name


cdef str shown(bytes text):
    return repr(text if len(text) <= 80 else text[:77] + b"...")[1:]


cdef dict books_row(const books_t *b):
    return {
        "frames": b.frames, "records": b.records, "sent": b.sent, "lost": b.lost, "lost_frames": b.lost_frames,
        "duplicate_frames": b.duplicate_frames, "duplicate_records": b.duplicate_records,
        "reordered_frames": b.reordered_frames, "stale_frames": b.stale_frames, "stale_records": b.stale_records,
        "ahead_frames": b.ahead_frames, "inconsistent_frames": b.inconsistent_frames, "malformed": b.malformed,
    }


cdef class Store:
    def __init__(self, *, uint64_t max_counters=10_000_000, uint64_t max_memory=1 << 30, uint32_t max_types=4096,
                 uint32_t max_sources=65_536, uint32_t shards=8, uint32_t sample_size=100,
                 uint32_t event_size=1000, bytes secret=None, dict keys=None,
                 bint require_signature=False):
        cdef hash_key_t key
        cdef sipkey_t sample_key
        cdef limits_t limits
        cdef bytes seeds = os.urandom(24)
        if self.ready:
            raise RuntimeError("a Store is initialised once")
        if not 1 <= max_counters <= 1 << 40:
            raise ValueError(f"max_counters must be 1 to 2**40, not {max_counters}")
        if not 1 <= max_types <= 65_535:
            raise ValueError(f"max_types must be 1 to 65,535, not {max_types}")
        if not 1 <= max_sources <= 1 << 24:
            raise ValueError(f"max_sources must be 1 to 16,777,216, not {max_sources}")
        if shards < 1 or shards > MAX_SHARDS or shards & (shards - 1):
            raise ValueError(f"shards must be a power of two from 1 to {MAX_SHARDS}, not {shards}")
        if not 1 <= sample_size <= BOTTOMK_MAX_K:
            raise ValueError(f"sample_size must be 1 to {BOTTOMK_MAX_K:,}, not {sample_size}")
        if event_size > RESERVOIR_MAX_K:
            raise ValueError(f"event_size must be 0 to {RESERVOIR_MAX_K:,}, not {event_size}")
        if secret is None:
            secret = os.urandom(16)
        if PyBytes_GET_SIZE(secret) != 16:
            raise ValueError(f"secret must be 16 bytes, not {PyBytes_GET_SIZE(secret)}")
        sipkey_load(&sample_key, at(secret))
        memcpy(&key, at(seeds), sizeof(key))
        limits.max_counters = max_counters
        limits.max_memory = max_memory
        limits.max_types = max_types
        limits.n_shards = shards
        limits.sample_size = sample_size
        limits.event_size = event_size
        swap_init(&self.swaps)
        if (store_init(&self.store, &limits, key, sample_key) < 0
                or ledger_init(&self.ledger, max_sources, (<const uint64_t *>at(seeds))[2]) < 0):
            raise MemoryError("no memory for an empty store; lower shards, max_types or max_sources")
        pthread_mutex_init(&self.apply_lock, NULL)
        self.intake.store = &self.store
        self.intake.ledger = &self.ledger
        self.intake.tally = &self.tally
        self.intake.keys = &self.keys
        for number, signing_key in (keys or {}).items():
            check_key(number, signing_key)
            if keys_add(&self.keys, number, at(signing_key), PyBytes_GET_SIZE(signing_key)) < 0:
                raise MemoryError("no memory for a key")
        if require_signature and not keys:
            raise ValueError("require_signature without keys would refuse every frame; give keys")
        self.keys.required = require_signature
        self.ready = True
        self.limits = {"max_counters": max_counters, "max_memory": max_memory, "max_types": max_types,
                       "max_sources": max_sources, "shards": shards, "sample_size": sample_size,
                       "event_size": event_size}

    def __dealloc__(self):
        store_free(&self.store)
        swap_free(&self.swaps)
        keys_free(&self.keys)
        ledger_free(&self.ledger)
        scratch_free(&self.intake.scratch)
        if self.ready:
            pthread_mutex_destroy(&self.apply_lock)

    def apply(self, frame, bytes address not None=b"", *, bint trusted=False):
        cdef Py_buffer view
        cdef address_t sender
        cdef frame_t f
        cdef int error = E_NONE, verdict = ADMITTED, gen
        cdef int64_t refused = 0
        cdef uint64_t records
        cdef bint room
        if PyBytes_GET_SIZE(address) > MAX_ADDRESS:
            raise ValueError(f"address must be at most {MAX_ADDRESS} bytes")
        sender.length = <uint8_t>PyBytes_GET_SIZE(address)
        memcpy(sender.bytes, at(address), sender.length)
        PyObject_GetBuffer(frame, &view, PyBUF_SIMPLE)
        if type(frame) is not bytes:  # nobody may change it once it is checked
            try:
                frame = PyBytes_FromStringAndSize(<const char *>view.buf, view.len)
            finally:
                PyBuffer_Release(&view)
            PyObject_GetBuffer(frame, &view, PyBUF_SIMPLE)
        with nogil:
            pthread_mutex_lock(&self.apply_lock)
            records = <uint64_t>view.len // 2 + 1
            if records > MAX_FRAME // 2 + 1:  # too large, and refused before it is read
                records = 1
            room = scratch_reserve(&self.intake.scratch, records if records > 1024 else 1024) == 0
            if room:
                self.intake.keys = NULL if trusted else &self.keys
                gen = store_enter(&self.store)
                error = intake_frame(&self.intake, <const uint8_t *>view.buf, <const uint8_t *>view.buf,
                                     <uint64_t>view.len, &sender, monotonic_ns(), &f)
                verdict = self.intake.verdict
                if error == E_NONE and verdict == ADMITTED:
                    refused = intake_apply(&self.intake, <const uint8_t *>view.buf, gen)
                store_leave(&self.store, gen)
                if self.intake.scratch.room > KEEP_SCRATCH:
                    scratch_free(&self.intake.scratch)
            pthread_mutex_unlock(&self.apply_lock)
        PyBuffer_Release(&view)
        if not room:
            raise MemoryError("no memory to decode a frame")
        if error != E_NONE:
            raise FrameError(ERRORS[error - 1], f.error_at)
        return Applied(VERDICTS[verdict], f.records, refused)

    def incr(self, bytes type not None, bytes id not None, delta=1, bytes member=None):
        cdef int64_t value = 0, d = PyNumber_Index(delta)  # a float is no count
        cdef int outcome
        check_type(type)
        check_text("id", id, MAX_ID)
        if member is not None:
            check_text("member", member, 255)
        outcome = store_incr(&self.store, at(type), <uint32_t>PyBytes_GET_SIZE(type), at(id),
                             <uint32_t>PyBytes_GET_SIZE(id), OP_INC if member is None else OP_HIT, d,
                             NULL if member is None else at(member),
                             0 if member is None else <uint32_t>PyBytes_GET_SIZE(member),
                             0 if member is None else unix_ms(), &value)
        if outcome != APPLIED:
            raise LimitReached(LIMITS[outcome])
        return value

    def read(self, bytes type not None, bytes id not None):
        cdef int64_t value, pending
        cdef name_t name = checked(type, id)
        store_read(&self.store, &name, &value, &pending)
        return Reading(value, pending, fc_load(&self.ledger.lost))

    def reset(self, bytes type not None, bytes id not None):
        cdef name_t name = checked(type, id)
        return store_reset(&self.store, &name)

    def unique(self, bytes type not None, bytes id=None):
        cdef double error = 0
        cdef uint64_t count
        cdef name_t name
        if id is None:
            return self.unique_of_type(type)
        name = checked(type, id)
        count = store_unique(&self.store, &name, &error)
        return Unique(count, error)

    cdef object unique_of_type(self, bytes type):
        cdef hll_t union_
        cdef uint64_t seed
        cdef uint32_t number
        cdef int outcome = 0
        check_type(type)
        number = types_find(&self.store.types, &self.store.key, at(type), <uint32_t>PyBytes_GET_SIZE(type), &seed)
        if number == TYPE_UNKNOWN:
            return Unique(0, 0.0)
        memset(&union_, 0, sizeof(union_))
        with nogil:
            outcome = store_union(&self.store, number, &union_)
        try:
            if outcome < 0:
                raise MemoryError("no memory to unite the sketches of a type")
            return Unique(hll_count(&union_), hll_error(&union_))
        finally:
            hll_free(&union_)

    def sample(self, bytes type not None, bytes id not None):
        cdef bottomk_t copy
        cdef name_t name = checked(type, id)
        cdef const uint8_t *member
        cdef size_t i, length
        cdef int outcome = store_sample(&self.store, &name, &copy)
        try:
            if outcome < 0:
                raise MemoryError("no memory to copy a sample")
            members = []
            for i in range(copy.n):
                member = bottomk_member(&copy, i, &length)
                members.append(PyBytes_FromStringAndSize(<const char *>member, length))
            return Sample(members, round(bottomk_distinct(&copy)), not bottomk_full(&copy))
        finally:
            bottomk_free(&copy)

    def top(self, bytes type not None, k, str by="value"):
        cdef uint64_t seed, n = 0, i, room
        cdef uint32_t number
        cdef ranked_t *heap
        cdef int order = BY_UNIQUE if by == "unique" else BY_VALUE
        check_type(type)
        if by not in ("value", "unique"):
            raise ValueError(f"by must be value or unique, not {by!r}")
        if not 1 <= k <= MAX_TOP:
            raise ValueError(f"k must be 1 to {MAX_TOP:,}, not {k}")
        room = k
        number = types_find(&self.store.types, &self.store.key, at(type), <uint32_t>PyBytes_GET_SIZE(type), &seed)
        if number == TYPE_UNKNOWN:
            return []
        heap = <ranked_t *>malloc(room * sizeof(ranked_t))
        if heap == NULL:
            raise MemoryError(f"no memory for the top {k:,}")
        with nogil:
            n = store_top(&self.store, number, order, heap, room)
        try:
            rows = [(PyBytes_FromStringAndSize(<const char *>heap[i].id, heap[i].length), heap[i].value)
                    for i in range(n)]
        finally:
            free(heap)
        rows.sort(key=lambda row: (-row[1], row[0]))
        return rows

    def swap(self):
        cdef Batch batch = Batch.__new__(Batch)
        cdef int outcome
        with nogil:
            outcome = store_swap(&self.store, &self.swaps, &batch.batch)
        if outcome < 0:
            raise MemoryError("no memory for a batch; nothing is lost, swap again")
        batch.types = self.type_names()
        return batch

    cdef tuple type_names(self):
        cdef uint64_t i
        return tuple([
            PyBytes_FromStringAndSize(<const char *>self.store.types.items[i].name,
                                      self.store.types.items[i].length).decode("ascii")
            for i in range(fc_load(&self.store.types.count))
        ])

    cdef source_t *ledger_now(self, uint32_t *n) except NULL:
        """A copy of all entries, the caller's to free."""
        cdef uint32_t i = 0, room = min(self.ledger.maximum, <uint32_t>self.ledger.used + 1024)
        cdef source_t *copy = <source_t *>malloc(room * sizeof(source_t))
        if copy == NULL:
            raise MemoryError("no memory to copy the ledger")
        n[0] = 0
        with nogil:  # a piece at a time: the workers want the lock too
            while i < room:
                n[0] += ledger_copy(&self.ledger, i, min(i + 256, room), copy + n[0])
                i += 256
        return copy

    def sources(self, limit=1000, source=None):
        cdef source_t *copy
        cdef source_t **order
        cdef uint32_t i, n = 0, found = 0
        cdef uint64_t now = monotonic_ns()
        cdef uint64_t wanted = 0 if source is None else source
        cdef bint all_ = source is None
        if not 1 <= limit <= 1_000_000:
            raise ValueError(f"limit must be 1 to 1,000,000, not {limit}")
        copy = self.ledger_now(&n)
        order = <source_t **>malloc((n + 1) * sizeof(source_t *))
        try:
            if order == NULL:
                raise MemoryError("no memory to rank the sources")
            with nogil:
                for i in range(n):
                    if all_ or (copy[i].sequenced and copy[i].source == wanted):
                        order[found] = &copy[i]
                        found += 1
                ledger_rank(order, found)
            rows = []
            for i in range(min(found, <uint32_t>limit)):
                rows.append(self.source_row(order[i], now))
                if i % 64 == 63:
                    with nogil:  # a compiled loop never offers the GIL, and the event loop waits for it
                        pass
            return rows
        finally:
            free(order)
            free(copy)

    def books(self):
        cdef uint32_t i, n = 0
        cdef books_t total
        cdef source_t *copy = self.ledger_now(&n)
        total = self.ledger.gone
        with nogil:
            for i in range(n):
                books_add(&total, &copy[i].books)
        free(copy)
        return books_row(&total)

    cdef dict source_row(self, const source_t *s, uint64_t now):
        address = PyBytes_FromStringAndSize(<const char *>s.address.bytes, s.address.length)
        row = {"source": f"{s.source:016x}" if s.sequenced else None, "address": format_packed(address)}
        row.update(books_row(&s.books))
        row.update(joined_seq=s.joined_seq, next_seq=s.next_seq, settled=bool(s.settled),
                   idle_s=max(<int64_t>(now - s.heard_ns), 0) / 1e9)
        return row

    def stats(self):
        cdef uint64_t i
        cdef prefix_t prefixes[N_PREFIXES]
        cdef uint32_t n = refusals_read(&self.store.refusals, prefixes)
        cdef books_t gone = self.ledger.gone
        types = self.type_names()
        worst = sorted([
            {"prefix": PyBytes_FromStringAndSize(<const char *>prefixes[i].bytes, prefixes[i].length).decode(
                "utf-8", "replace"),
             "type": types[prefixes[i].type], "refused": prefixes[i].count, "over_by_at_most": prefixes[i].error}
            for i in range(n)], key=lambda p: -p["refused"])
        return {
            "counters": fc_peek(&self.store.counters),
            "memory_bytes": fc_peek(&self.store.memory),
            **self.limits,
            "types": {name: {"counters": fc_peek(&self.store.types.items[i].names),
                             "refused": fc_peek(&self.store.types.items[i].refused)}
                      for i, name in enumerate(types)},
            "records": fc_peek(&self.store.records),
            "sketches": fc_peek(&self.store.sketches),
            "events": {"seen": self.store.events.seen, "refused": self.store.events.refused},
            "saturated": store_saturated(&self.store),
            "swaps": fc_peek(&self.swaps.swaps),
            "refused": {"max_counters": fc_peek(&self.store.refused_counters),
                        "max_memory": fc_peek(&self.store.refused_memory),
                        "max_types": fc_peek(&self.store.types.refused)},
            "members_refused": fc_peek(&self.store.refused_members),
            "refused_prefixes": worst[:10],
            "frames": fc_peek(&self.tally.frames),
            "frame_bytes": fc_peek(&self.tally.bytes),
            "malformed": {name: fc_peek(&self.tally.errors[i + 1]) for i, name in enumerate(ERRORS)},
            "verdicts": {VERDICTS[i]: {"frames": fc_peek(&self.tally.verdicts[i]),
                                       "records": fc_peek(&self.tally.records[i])} for i in range(5)},
            "sources": {"live": self.ledger.live, "evicted": self.ledger.evicted,
                        "untracked_frames": self.ledger.untracked_frames,
                        "untracked_records": self.ledger.untracked_records,
                        "lost": fc_load(&self.ledger.lost), "gone": books_row(&gone)},
        }
