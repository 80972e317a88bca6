"""Adds to sketches without Python in between, as the store does them; compiled by bench/hll.py."""

from libc.math cimport ceil, log, log2
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastcount.native.atomic cimport fc_prefetch
from fastcount.native.hll cimport (
    hll_add, hll_count, hll_drain, hll_fold, hll_free, hll_memory, hll_merge_registers, hll_prefetch, hll_rank,
    hll_redis_count, hll_t,
)
from fastcount.native.hll_estimate cimport HLL_RANK_MAX, HLL_REGISTERS
from fastcount.native.murmur cimport murmur64a

cdef enum:
    AHEAD = 16


cdef inline uint64_t random_hash(uint64_t *state) noexcept nogil:
    """splitmix64 (Sebastiano Vigna, public domain)."""
    cdef uint64_t z
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    z = (state[0] ^ (state[0] >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef class Sketches:
    """n sketches. Members come as bytes: a length, then so many, one behind the other."""

    cdef hll_t *sketches
    cdef uint8_t *flat           # the same with a byte a register, for comparison
    cdef readonly uint32_t n

    def __cinit__(self, uint32_t n, bint flat=False):
        self.n = n
        self.sketches = <hll_t *>calloc(n, sizeof(hll_t))
        if flat:
            self.flat = <uint8_t *>calloc(n, HLL_REGISTERS)

    def __dealloc__(self):
        cdef uint32_t i
        if self.sketches != NULL:
            for i in range(self.n):
                hll_free(&self.sketches[i])
        free(self.sketches)
        free(self.flat)

    def fill(self, uint32_t members, uint64_t seed=1):
        """Random hashes into each, and no marks."""
        cdef uint32_t i, _j
        cdef uint64_t x = seed, z
        for i in range(self.n):
            for _j in range(members):
                z = random_hash(&x)
                hll_add(&self.sketches[i], z, 0)
                if self.flat != NULL:
                    add_flat(self.flat + <uint64_t>i * HLL_REGISTERS, z)
            hll_drain(&self.sketches[i], 0, NULL)

    def trace(self, list sizes, uint64_t seed):
        """(hll_redis_count, hll_count) as sketch 0 grows to each of these numbers of random hashes."""
        cdef list out = []
        cdef uint64_t x = seed, done = 0, n
        for n in sizes:
            with nogil:
                while done < n:
                    hll_add(self.sketches, random_hash(&x), 0)
                    done += 1
            out.append((hll_redis_count(self.sketches), hll_count(self.sketches)))
        return out

    def drawn(self, double n, uint64_t seed):
        """(hll_redis_count, hll_count) of the registers that a Poisson number of members with mean n leaves: those of
        rank above r come to a register at a rate of n / 2^14 / 2^r, so its rank is at most r with exp(-that)."""
        cdef uint8_t values[HLL_REGISTERS]
        cdef uint64_t x = seed
        cdef double unit, rank
        cdef int i
        cdef hll_t h
        memset(&h, 0, sizeof(hll_t))
        for i in range(HLL_REGISTERS):
            unit = ((random_hash(&x) >> 11) + 0.5) / 9007199254740992.0
            rank = ceil(log2(n / HLL_REGISTERS / -log(unit)))
            values[i] = <uint8_t>(0 if rank < 0 else HLL_RANK_MAX if rank > HLL_RANK_MAX else rank)
        if hll_merge_registers(&h, values, 0) < 0:
            raise MemoryError
        try:
            return hll_redis_count(&h), hll_count(&h)
        finally:
            hll_free(&h)

    def hot(self, const uint8_t[::1] members, uint32_t repeats):
        """All into sketch 0; returns how many adds changed it."""
        cdef hll_t *h = self.sketches
        cdef const uint8_t *p
        cdef const uint8_t *end = &members[0] + members.shape[0]
        cdef uint64_t changed = 0
        cdef uint32_t _i
        with nogil:
            for _i in range(repeats):
                p = &members[0]
                while p < end:
                    changed += hll_add(h, murmur64a(p + 1, p[0]), 0)
                    p += 1 + p[0]
        return changed

    def hot_flat(self, const uint8_t[::1] members, uint32_t repeats):
        cdef const uint8_t *p
        cdef const uint8_t *end = &members[0] + members.shape[0]
        cdef uint64_t changed = 0
        cdef uint32_t _i
        with nogil:
            for _i in range(repeats):
                p = &members[0]
                while p < end:
                    changed += add_flat(self.flat, murmur64a(p + 1, p[0]))
                    p += 1 + p[0]
        return changed

    def hash_only(self, const uint8_t[::1] members, uint32_t repeats):
        cdef const uint8_t *p
        cdef const uint8_t *end = &members[0] + members.shape[0]
        cdef uint64_t sum = 0
        cdef uint32_t _i
        with nogil:
            for _i in range(repeats):
                p = &members[0]
                while p < end:
                    sum ^= murmur64a(p + 1, p[0])
                    p += 1 + p[0]
        return sum

    def spread(self, const uint8_t[::1] members, const uint32_t[::1] routes, bint flat=False):
        """Member i into sketch routes[i]: hashed and prefetched AHEAD at a time."""
        cdef uint64_t hashes[AHEAD]
        cdef const uint8_t *p = &members[0]
        cdef uint64_t n = routes.shape[0], i = 0, changed = 0
        cdef int j, part
        with nogil:
            while i < n:
                part = AHEAD if n - i >= AHEAD else <int>(n - i)
                for j in range(part):
                    fc_prefetch(&self.sketches[routes[i + j]])
                for j in range(part):
                    hashes[j] = murmur64a(p + 1, p[0])
                    p += 1 + p[0]
                    if flat:
                        fc_prefetch(self.flat + <uint64_t>routes[i + j] * HLL_REGISTERS + (hashes[j] & 16383))
                    else:
                        hll_prefetch(&self.sketches[routes[i + j]], hashes[j])
                for j in range(part):
                    if flat:
                        changed += add_flat(self.flat + <uint64_t>routes[i + j] * HLL_REGISTERS, hashes[j])
                    else:
                        changed += hll_add(&self.sketches[routes[i + j]], hashes[j], 0)
                i += part
        return changed

    def count(self, uint32_t i):
        return hll_count(&self.sketches[i])

    def recount(self, uint32_t i, uint32_t repeats):
        """Estimate anew each time."""
        cdef uint32_t _j
        cdef uint64_t sum = 0
        for _j in range(repeats):
            self.sketches[i].estimated = False
            sum += hll_count(&self.sketches[i])
        return sum

    def union(self):
        """All registers into one array of bytes."""
        cdef uint8_t values[HLL_REGISTERS]
        cdef uint32_t i
        memset(values, 0, HLL_REGISTERS)
        for i in range(self.n):
            hll_fold(&self.sketches[i], values)
        return values[0]

    def memory(self):
        cdef uint32_t i
        cdef uint64_t sum = 0
        for i in range(self.n):
            sum += hll_memory(&self.sketches[i])
        return sum


cdef inline bint add_flat(uint8_t *values, uint64_t hash) noexcept nogil:
    cdef uint32_t rank = hll_rank(hash)
    if values[hash & 16383] >= rank:
        return False
    values[hash & 16383] = <uint8_t>rank
    return True
