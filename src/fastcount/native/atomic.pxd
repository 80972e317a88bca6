# Atomics, locks, overflow-checked sums, prefetch: the C that Cython has no word for.
#
# The order in which locks are taken is in docs/architecture.md.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *, const void *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)
    int pthread_mutex_destroy(pthread_mutex_t *)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from * nogil:
    """
    #ifndef FASTCOUNT_ATOMIC_H
    #define FASTCOUNT_ATOMIC_H
    #include <stdint.h>
    #include <string.h>

    #ifdef FC_DEBUG
    #include <stdio.h>
    #include <stdlib.h>
    #define fc_assert(c) \
        ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s does not hold\\n", __FILE__, __LINE__, #c), abort()))
    #else
    #define fc_assert(c) ((void)0)
    #endif

    static inline uint64_t fc_load(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
    static inline void fc_store(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
    static inline uint64_t fc_peek(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
    static inline uint64_t fc_add(uint64_t *p, uint64_t v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
    static inline uint64_t fc_sub(uint64_t *p, uint64_t v) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); }
    static inline void fc_count(uint64_t *p, uint64_t v) { __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }

    /* the sum, held inside of signed 64-bit; *hit goes up by one when it had to be */
    static inline int64_t fc_sat_add(int64_t a, int64_t b, uint64_t *hit) {
        int64_t r;
        if (__builtin_expect(__builtin_add_overflow(a, b, &r), 0)) {
            *hit += 1;
            r = b < 0 ? INT64_MIN : INT64_MAX;
        }
        return r;
    }
    /* the difference, held inside of signed 64-bit */
    static inline int64_t fc_sat_sub(int64_t a, int64_t b) {
        int64_t r;
        return __builtin_sub_overflow(a, b, &r) ? (b > 0 ? INT64_MIN : INT64_MAX) : r;
    }
    static inline uint64_t fc_load64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
    static inline uint32_t fc_load32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
    static inline uint64_t fc_mum(uint64_t a, uint64_t b) {
        __uint128_t r = (__uint128_t)a * b;
        return (uint64_t)r ^ (uint64_t)(r >> 64);
    }
    /* gcc takes a function that does nothing but __builtin_prefetch for pure, and drops the calls of it (seen in the
       binary; at a million names keeping them made apply 1.1 to 1.3 times as fast); an empty asm keeps them */
    static inline void fc_prefetch(const void *p) { __builtin_prefetch(p, 1, 3); __asm__ volatile("" : : "r"(p)); }
    static inline int fc_ctz(uint64_t v) { return __builtin_ctzll(v); }
    #endif
    """
    void fc_assert(bint)  # in debug and sanitizer builds

    # sequentially consistent
    uint64_t fc_load(const uint64_t *p)
    void fc_store(uint64_t *p, uint64_t v)
    uint64_t fc_add(uint64_t *p, uint64_t v)
    uint64_t fc_sub(uint64_t *p, uint64_t v)
    # relaxed: statistics, and hints that may be stale
    uint64_t fc_peek(const uint64_t *p)
    void fc_count(uint64_t *p, uint64_t v)

    int64_t fc_sat_add(int64_t a, int64_t b, uint64_t *hit)
    int64_t fc_sat_sub(int64_t a, int64_t b)
    uint64_t fc_load64(const uint8_t *p)
    uint32_t fc_load32(const uint8_t *p)
    uint64_t fc_mum(uint64_t a, uint64_t b)
    void fc_prefetch(const void *p)
    int fc_ctz(uint64_t v)
