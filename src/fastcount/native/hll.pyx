"""The cold parts of hll.pxd: growing, draining, merging, counting."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from fastcount.native.heap cimport heap_zeroed
from fastcount.native.hll_estimate cimport HLL_VALUES, hll_estimate
from fastcount.native.hll_registers cimport (
    HLL_BITMAP, HLL_PACKED, HLL_SLACK, registers_fold, registers_histogram, registers_merge, registers_pack,
    registers_set,
)

cdef enum:
    FIRST_SLOTS = 4
    DENSE_BYTES = HLL_PACKED + HLL_SLACK
    WORDS = HLL_BITMAP // 8


# --- memory

cdef inline uint32_t chunk(uint32_t n) noexcept nogil:
    """What malloc (glibc's; others differ little) takes for n bytes."""
    return 32 if n <= 24 else (n + 23) & ~<uint32_t>15


cdef inline uint32_t slot_marks(uint32_t slots) noexcept nogil:
    """Bytes of a generation's marks."""
    return (slots + 7) >> 3


cdef inline uint32_t table_bytes(uint32_t slots) noexcept nogil:
    return slots * 4 + 2 * slot_marks(slots)


cdef inline uint32_t table_room(uint32_t slots) noexcept nogil:
    """Items that a table takes: ⅞ of it."""
    return slots - (slots >> 3 if slots >= 8 else 1)


cdef inline uint32_t next_slots(uint32_t slots) noexcept nogil:
    """Two sizes a doubling: a table is ¾ full on average. (Four are a sixth smaller, and filling takes twice as long:
    more copies, and probes among slots that are always nearly full.)"""
    if slots < 8:
        return slots << 1 if slots else FIRST_SLOTS
    return slots + ((<uint32_t>1 << (31 - clz(slots))) >> 1)


cdef extern from * nogil:
    int clz "__builtin_clz"(uint32_t)
    int popcount "__builtin_popcountll"(uint64_t)


cdef inline uint8_t *marks_of(const hll_t *h, int gen) noexcept nogil:
    """EXACT and SPARSE: a bit a slot."""
    return h.data + h.slots * 4 + gen * slot_marks(h.slots)


cdef void hll_free(hll_t *h) noexcept nogil:
    free(h.data)
    free(h.marks[0])
    free(h.marks[1])
    memset(h, 0, sizeof(hll_t))


cdef uint32_t hll_cost(const hll_t *h, int gen) noexcept nogil:
    cdef uint32_t slots
    if h.form == HLL_DENSE:
        return 0 if h.marks[gen] != NULL else chunk(HLL_BITMAP)
    if h.slots and h.used < table_room(h.slots):
        return 0
    slots = next_slots(h.slots)
    if slots > HLL_SLOTS_MAX:
        return chunk(DENSE_BYTES) + 2 * chunk(HLL_BITMAP)
    return chunk(table_bytes(slots))


cdef int hll_make_marks(hll_t *h, int gen) noexcept nogil:
    if h.marks[gen] == NULL:
        h.marks[gen] = <uint64_t *>heap_zeroed(HLL_BITMAP)
        if h.marks[gen] == NULL:
            return -1
        h.bytes += chunk(HLL_BITMAP)
    return 0


cdef void drop_marks(hll_t *h, int gen) noexcept nogil:
    if h.marks[gen] != NULL:
        free(h.marks[gen])
        h.marks[gen] = NULL
        h.bytes -= chunk(HLL_BITMAP)
    h.changed[gen] = 0


# --- EXACT and SPARSE

cdef inline uint32_t plain(uint32_t item) noexcept nogil:
    return hll_plain_item(hll_item_register(item), hll_item_rank(item))


cdef bint mark(hll_t *h, uint32_t i, int gen) noexcept nogil:
    """Whether it was not marked yet."""
    cdef uint8_t *marks = marks_of(h, gen) + (i >> 3)
    if marks[0] & (1 << (i & 7)):
        return False
    marks[0] |= 1 << (i & 7)
    h.changed[gen] += 1
    return True


cdef uint32_t place_for(const hll_t *h, uint32_t item) noexcept nogil:
    """The slot of an equal item (SPARSE: of one of the same register), or the free one it goes to."""
    cdef const uint32_t *items = <const uint32_t *>h.data
    cdef uint32_t same = HLL_REGISTERS - 1 if h.form == HLL_SPARSE else ~<uint32_t>0
    cdef uint32_t i = hll_place(h, item)
    while items[i] and (items[i] ^ item) & same:
        i += 1
        if i == h.slots:
            i = 0
    return i


cdef bint hll_holds(const hll_t *h, uint32_t item) noexcept nogil:
    """EXACT or SPARSE: whether adding an item would change no slot."""
    cdef uint32_t found
    if h.form == HLL_SPARSE:
        item = plain(item)
    found = (<const uint32_t *>h.data)[place_for(h, item)]
    return found != 0 and found >= item


cdef int rebuild(hll_t *h, uint32_t slots, int form) noexcept nogil:
    """Into a table of `slots` slots, as EXACT or SPARSE, marks and all."""
    cdef hll_t new
    cdef uint32_t *items = <uint32_t *>h.data
    cdef uint32_t *placed
    cdef uint32_t i, j, item
    cdef int gen
    memset(&new, 0, sizeof(hll_t))
    new.form = form
    new.slots = slots
    new.data = <uint8_t *>heap_zeroed(table_bytes(slots))
    if new.data == NULL:
        return -1
    new.bytes = chunk(table_bytes(slots))
    placed = <uint32_t *>new.data
    for i in range(h.slots):
        if items[i]:
            item = plain(items[i]) if form == HLL_SPARSE else items[i]
            j = place_for(&new, item)
            new.used += placed[j] == 0
            if item > placed[j]:  # of plain items of one register, the greater has the higher rank
                placed[j] = item
            for gen in range(2):
                if marks_of(h, gen)[i >> 3] & (1 << (i & 7)):
                    mark(&new, j, gen)
    free(h.data)
    h[0] = new
    return 0


cdef int make_dense(hll_t *h) noexcept nogil:
    cdef hll_t new
    cdef const uint32_t *items = <const uint32_t *>h.data
    cdef uint32_t register
    cdef int gen, i
    memset(&new, 0, sizeof(hll_t))
    new.form = HLL_DENSE
    new.data = <uint8_t *>heap_zeroed(DENSE_BYTES)
    if new.data == NULL:
        return -1
    new.bytes = chunk(DENSE_BYTES)
    for gen in range(2):
        if h.changed[gen] and hll_make_marks(&new, gen) < 0:
            hll_free(&new)
            return -1
    for i in range(h.slots):
        if items[i]:
            register = hll_item_register(items[i])
            if hll_item_rank(items[i]) > registers_get(new.data, register):
                registers_set(new.data, register, hll_item_rank(items[i]))
            for gen in range(2):
                if marks_of(h, gen)[i >> 3] & (1 << (i & 7)):
                    new.marks[gen][register >> 6] |= <uint64_t>1 << (register & 63)
    for gen in range(2):
        if h.changed[gen]:
            for i in range(WORDS):
                new.changed[gen] += popcount(new.marks[gen][i])
    free(h.data)
    h[0] = new
    return 0


cdef int hll_touch(hll_t *h, uint32_t place, int gen) noexcept nogil:
    """What is at a slot or register was added again: if it waits for the other generation only, let it wait for this
    one as well."""
    cdef uint64_t bit = <uint64_t>1 << (place & 63)
    if h.form != HLL_DENSE:
        return marks_of(h, 1 - gen)[place >> 3] & (1 << (place & 7)) and mark(h, place, gen)
    if h.marks[1 - gen] == NULL or not h.marks[1 - gen][place >> 6] & bit:
        return 0
    if hll_make_marks(h, gen) < 0:
        return -1
    if h.marks[gen][place >> 6] & bit:
        return 0
    h.marks[gen][place >> 6] |= bit
    h.changed[gen] += 1
    return 1


cdef int hll_put(hll_t *h, uint32_t item, int gen) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t *items
    if h.form == HLL_DENSE:
        return hll_raise(h, hll_item_register(item), hll_item_rank(item), gen)
    if h.form == HLL_EMPTY:
        if rebuild(h, FIRST_SLOTS, HLL_SPARSE if item >= HLL_PLAIN else HLL_EXACT) < 0:
            return -1
    elif h.form == HLL_EXACT and item >= HLL_PLAIN:
        if rebuild(h, h.slots, HLL_SPARSE) < 0:
            return -1
    if h.form == HLL_SPARSE:
        item = plain(item)
    i = place_for(h, item)
    items = <uint32_t *>h.data
    if items[i] >= item:
        return hll_touch(h, i, gen) if h.changed[1 - gen] else 0
    if not items[i]:
        return hll_insert(h, i, item, gen)
    items[i] = item
    mark(h, i, gen)
    h.estimated = False
    return 1


cdef int hll_insert(hll_t *h, uint32_t i, uint32_t item, int gen) noexcept nogil:
    """Into the free slot i, where an item belongs that is not there yet; or after growing, where it belongs then."""
    cdef uint32_t slots
    if h.used == table_room(h.slots):
        slots = next_slots(h.slots)
        if slots > HLL_SLOTS_MAX:
            if make_dense(h) < 0:
                return -1
            return hll_raise(h, hll_item_register(item), hll_item_rank(item), gen)
        if rebuild(h, slots, h.form) < 0:
            return -1
        i = place_for(h, item)
    (<uint32_t *>h.data)[i] = item
    h.used += 1
    mark(h, i, gen)
    h.estimated = False
    return 1


# --- draining, merging

cdef uint32_t hll_drain(hll_t *h, int gen, uint32_t *out) noexcept nogil:
    cdef uint32_t n = h.changed[gen], written = 0, register
    cdef uint64_t word
    cdef int i
    cdef uint8_t *marks
    if h.form == HLL_DENSE:
        if n and out != NULL:
            for i in range(WORDS):
                word = h.marks[gen][i]
                while word:
                    register = i << 6 | fc_ctz(word)
                    out[written] = hll_plain_item(register, registers_get(h.data, register))
                    written += 1
                    word &= word - 1
        drop_marks(h, gen)
    elif n:
        marks = marks_of(h, gen)
        if out != NULL:
            for i in range(h.slots):
                if marks[i >> 3] & (1 << (i & 7)):
                    out[written] = (<uint32_t *>h.data)[i]
                    written += 1
        memset(marks, 0, slot_marks(h.slots))
        h.changed[gen] = 0
    return n


cdef int merge_packed(hll_t *h, const uint8_t *packed, int gen) noexcept nogil:
    """`h` is DENSE."""
    cdef int changed = 0, done, i
    cdef bint had = h.marks[gen] != NULL
    if h.changed[1 - gen]:  # then what has not risen may need a mark as well
        for i in range(HLL_REGISTERS):
            if registers_get(packed, i):
                done = hll_raise(h, i, registers_get(packed, i), gen)
                if done < 0:
                    return -1
                changed |= done
        return changed
    if hll_make_marks(h, gen) < 0:
        return -1
    if registers_merge(h.data, packed, h.marks[gen]):
        h.changed[gen] = 0
        for i in range(WORDS):
            h.changed[gen] += popcount(h.marks[gen][i])
        h.estimated = False
        return 1
    if not had:
        drop_marks(h, gen)
    return 0


cdef int hll_merge(hll_t *h, const hll_t *other, int gen) noexcept nogil:
    if h == other or other.form == HLL_EMPTY:
        return 0
    if other.form != HLL_DENSE:
        return hll_merge_items(h, <const uint32_t *>other.data, other.slots, gen)
    if h.form != HLL_DENSE and make_dense(h) < 0:
        return -1
    return merge_packed(h, other.data, gen)


cdef int hll_merge_items(hll_t *h, const uint32_t *items, uint64_t n, int gen) noexcept nogil:
    """Zeros are skipped."""
    cdef uint64_t i
    cdef int changed = 0, done
    for i in range(n):
        if items[i]:
            done = hll_put(h, items[i], gen)
            if done < 0:
                return -1
            changed |= done
    return changed


cdef int hll_merge_registers(hll_t *h, const uint8_t *values, int gen) noexcept nogil:
    cdef uint8_t packed[DENSE_BYTES]
    cdef uint32_t used = 0
    cdef int changed = 0, done, i
    for i in range(HLL_REGISTERS):
        used += values[i] != 0
    if used > HLL_ITEMS_MAX and h.form != HLL_DENSE and make_dense(h) < 0:
        return -1
    if h.form == HLL_DENSE:
        registers_pack(values, packed)
        memset(packed + HLL_PACKED, 0, HLL_SLACK)
        return merge_packed(h, packed, gen)
    for i in range(HLL_REGISTERS):
        if values[i]:
            done = hll_put(h, hll_plain_item(i, values[i]), gen)
            if done < 0:
                return -1
            changed |= done
    return changed


# --- counting

cdef void hll_registers(const hll_t *h, uint8_t *values) noexcept nogil:
    memset(values, 0, HLL_REGISTERS)
    hll_fold(h, values)


cdef void hll_fold(const hll_t *h, uint8_t *values) noexcept nogil:
    cdef const uint32_t *items = <const uint32_t *>h.data
    cdef uint32_t i, rank
    if h.form == HLL_DENSE:
        registers_fold(h.data, values)
        return
    for i in range(h.slots):
        if items[i]:
            rank = hll_item_rank(items[i])
            if rank > values[hll_item_register(items[i])]:
                values[hll_item_register(items[i])] = rank


cdef uint64_t hll_redis_count(hll_t *h) noexcept nogil:
    cdef uint8_t values[HLL_REGISTERS]
    cdef uint32_t histogram[HLL_VALUES]
    if not h.estimated:
        hll_registers(h, values)
        registers_histogram(values, histogram)
        h.estimate = hll_estimate(histogram)
        h.estimated = True
    return h.estimate


cdef uint64_t hll_count(hll_t *h) noexcept nogil:
    return h.used if h.form == HLL_EXACT else hll_redis_count(h)


cdef double hll_error(const hll_t *h) noexcept nogil:
    return 0.0 if h.form <= HLL_EXACT else 1.04 / 128  # of 2^14 registers
