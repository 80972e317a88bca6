/* bound: how fast plain C adds ones into an open-addressing table, on one core: what `apply` is measured against.
 *
 * Entry = 16-byte key inline | total | 8 bytes free = 32 bytes, half a cache line. The table is a power of two, at most
 * half full, probed linearly; a key is hashed (two multiplications, folded) and compared each time. Keys have the shape
 * that apply's bench gives to names: type number, length, id of 6 digits. They are drawn at random before the clock
 * starts and read as a stream.
 *
 *     one by one    hash, find, add
 *     prefetched    hash a batch and prefetch its entries, then find and add
 *
 * Rates are by processor time: what else runs on the core takes caches from this, but not time.
 * The total is checked against the number of increments at the end.
 */
#include "common.h"

typedef struct { uint64_t low, high; } Key;
typedef struct { Key key; int64_t total; uint64_t spare; } Entry;
typedef struct { Entry *entries; uint64_t mask; } Table;

enum { BATCH_MAX = 64, TYPE_NUMBER = 1 };

static inline uint64_t hash(Key k) {
    unsigned __int128 m = (unsigned __int128)(k.low ^ 0xA0761D6478BD642Full) * (k.high ^ 0xE7037ED1A0B428DBull);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* The entry of a key, an empty one taken for it if need be. A key is never all zero: it holds its length. */
static inline Entry *find(const Table *t, Key k, uint64_t h) {
    for (uint64_t i = h & t->mask;; i = (i + 1) & t->mask) {
        Entry *e = &t->entries[i];
        if (e->key.low == k.low && e->key.high == k.high) return e;
        if (!(e->key.low | e->key.high)) { e->key = k; return e; }
    }
}

static Key key_of(uint64_t number, int digits) {
    uint8_t bytes[16] = {TYPE_NUMBER, 0, 0, (uint8_t)digits};
    put_digits(bytes + 4, number, digits);
    Key k;
    memcpy(&k, bytes, sizeof k);
    return k;
}

static void add_each(const Table *t, const Key *keys, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) find(t, keys[i], hash(keys[i]))->total++;
}

static void add_prefetched(const Table *t, const Key *keys, uint64_t n, uint64_t batch) {
    uint64_t hashes[BATCH_MAX];
    for (uint64_t at = 0; at < n; at += batch) {
        uint64_t many = n - at < batch ? n - at : batch;
        for (uint64_t i = 0; i < many; i++) {
            hashes[i] = hash(keys[at + i]);
            __builtin_prefetch(&t->entries[hashes[i] & t->mask], 1);
        }
        for (uint64_t i = 0; i < many; i++) find(t, keys[at + i], hashes[i])->total++;
    }
}

/* Whole passes over the keys until `seconds` are over; returns increments per second. */
static double measure(const Table *t, const Key *keys, uint64_t n, uint64_t batch, double seconds, uint64_t *added) {
    double start = cpu_seconds(), took;
    uint64_t done = 0;
    do {
        if (batch > 1) add_prefetched(t, keys, n, batch); else add_each(t, keys, n);
        done += n;
    } while ((took = cpu_seconds() - start) < seconds);
    *added += done;
    return (double)done / took;
}

int main(int argc, char **argv) {
    Options o = {.argc = argc, .argv = argv};
    if (argc > 128) die("options");
    uint64_t names = (uint64_t)number(&o, "--names", 1000, 1, 1e9);
    uint64_t keys_n = (uint64_t)number(&o, "--keys", 0, 0, 1e10);
    double seconds = number(&o, "--seconds", 1, 0.01, 600);
    uint64_t state = (uint64_t)number(&o, "--seed", 1, 0, 1e15);
    pin((int)number(&o, "--core", -1, -1, 1023));
    no_other_options(&o);
    if (!keys_n) keys_n = names * 4 < 1 << 18 ? 1 << 18 : names * 4 > 1 << 24 ? 1 << 24 : names * 4;

    Table t = {.mask = 1023};
    while (t.mask + 1 < names * 2) t.mask = t.mask * 2 + 1;
    t.entries = pages((t.mask + 1) * sizeof(Entry));
    Key *keys = pages(keys_n * sizeof(Key));
    int digits = id_digits(names);
    for (uint64_t i = 0; i < names; i++) { Key k = key_of(i, digits); find(&t, k, hash(k)); }
    for (uint64_t i = 0; i < keys_n; i++) keys[i] = key_of(below(&state, names), digits);

    const uint64_t batches[] = {1, 16, 32};
    double rates[3];
    uint64_t added = 0;
    for (int i = 0; i < 3; i++) rates[i] = measure(&t, keys, keys_n, batches[i], seconds, &added);
    uint64_t sum = 0;
    for (uint64_t i = 0; i <= t.mask; i++) sum += (uint64_t)t.entries[i].total;
    if (sum != added) { fprintf(stderr, "bound: %llu added, %llu found\n", (unsigned long long)added, (unsigned long long)sum); return 1; }
    printf("{\"names\": %llu, \"keys\": %llu, \"entries\": %llu, \"one_by_one\": %.1f, \"prefetch_16\": %.1f, "
           "\"prefetch_32\": %.1f}\n", (unsigned long long)names, (unsigned long long)keys_n,
           (unsigned long long)(t.mask + 1), rates[0], rates[1], rates[2]);
    return 0;
}
