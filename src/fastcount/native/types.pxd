# The types: a short append-only table, name → number, so that an entry holds two bytes instead of the name.
#
# Owns: the names of types, how many names and refusals each has. Looking up takes no lock: a slot of `index` is
# published (release) after its item is complete, and neither is ever changed or removed. Adding takes `lock`.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from fastcount.native.atomic cimport fc_load, pthread_mutex_t
from fastcount.native.hash cimport hash_bytes, hash_key_t

cdef enum:
    TYPE_UNKNOWN = 0xFFFF  # no such type yet, or no room for it

cdef struct type_t:
    uint8_t name[64]
    uint32_t length
    uint64_t names    # entries of this type (atomic)
    uint64_t refused  # records refused by a limit (atomic)

cdef struct types_t:
    type_t *items
    uint64_t *index   # number + 1, 0: empty; load at most ½
    uint64_t mask
    uint64_t count    # published after the item (atomic)
    uint64_t maximum
    uint64_t refused  # records whose type found no room (atomic)
    pthread_mutex_t lock


cdef inline uint32_t types_find(const types_t *t, const hash_key_t *key, const uint8_t *name, uint32_t n,
                                uint64_t *seed) noexcept nogil:
    """The number of a type, or TYPE_UNKNOWN. `seed` receives its hash, from which the hashes of its ids start."""
    cdef uint64_t odd = 0, i, slot
    cdef const type_t *item
    seed[0] = hash_bytes(name, n, key.s0, key, &odd)
    i = seed[0] & t.mask
    while True:
        slot = fc_load(&t.index[i])
        if slot == 0:
            return TYPE_UNKNOWN
        item = &t.items[slot - 1]
        if item.length == n and memcmp(item.name, name, n) == 0:
            return <uint32_t>(slot - 1)
        i = (i + 1) & t.mask


cdef int types_init(types_t *t, uint32_t maximum) noexcept nogil
cdef void types_free(types_t *t) noexcept nogil
# The number of the type, added if there is room, else TYPE_UNKNOWN.
cdef uint32_t types_intern(types_t *t, const hash_key_t *key, const uint8_t *name, uint32_t n) noexcept nogil
