/* What the programs of the bench share: clocks, a random generator, pinning, options. */
#ifndef FASTCOUNT_BENCH_COMMON_H
#define FASTCOUNT_BENCH_COMMON_H

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "invalid");
    exit(2);
}

static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void sleep_until_ns(int64_t when) {
    struct timespec t = {when / 1000000000, when % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

/* Processor time of this process. */
static inline double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void pin(int core) {
    if (core < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) die("--core");
}

/* Zeroed pages, huge ones where the kernel gives them. */
static inline void *pages(size_t bytes) {
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) die("mmap");
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

/* splitmix64 (Steele, Lea, Flood 2014): one word of state, good enough to draw names. */
static inline uint64_t draw(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline uint64_t below(uint64_t *state, uint64_t n) {
    return (uint64_t)(((unsigned __int128)draw(state) * n) >> 64);
}

/* Digits of an id: all ids of one run have the same length, 6 unless more names are asked for. */
static inline int id_digits(uint64_t names) {
    int digits = 6;
    for (uint64_t top = 1000000; names > top; top *= 10) digits++;
    return digits;
}

static inline void put_digits(uint8_t *to, uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--, value /= 10) to[i] = (uint8_t)('0' + value % 10);
}

/* `--name value` and `--flag`; NULL when absent. Whoever reads an option marks it, so that a typo is an error. */
typedef struct { int argc; char **argv; char used[128]; } Options;

static inline const char *option(Options *o, const char *name) {
    for (int i = 1; i + 1 < o->argc; i++)
        if (strcmp(o->argv[i], name) == 0) { o->used[i] = o->used[i + 1] = 1; return o->argv[i + 1]; }
    return NULL;
}

static inline int flag(Options *o, const char *name) {
    for (int i = 1; i < o->argc; i++)
        if (strcmp(o->argv[i], name) == 0) { o->used[i] = 1; return 1; }
    return 0;
}

static inline double number(Options *o, const char *name, double otherwise, double low, double high) {
    const char *text = option(o, name);
    if (!text) return otherwise;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high)) {
        fprintf(stderr, "%s: expected a number from %.15g to %.15g, got '%s'\n", name, low, high, text);
        exit(2);
    }
    return value;
}

static inline void no_other_options(Options *o) {
    for (int i = 1; i < o->argc; i++)
        if (!o->used[i]) { fprintf(stderr, "unknown option '%s'\n", o->argv[i]); exit(2); }
}

#endif
