"""Loops over all registers; see hll_registers.pxd."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>

    enum { FC_REGISTERS = 16384 };

    /* --- portable: four registers in three bytes */

    static inline uint32_t fc_load24(const uint8_t *p) {
        return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
    }
    static void fc_unpack_c(const uint8_t *packed, uint8_t *values) {
        for (int i = 0; i < FC_REGISTERS; i += 4, packed += 3) {
            uint32_t w = fc_load24(packed);
            values[i] = w & 63;
            values[i + 1] = w >> 6 & 63;
            values[i + 2] = w >> 12 & 63;
            values[i + 3] = w >> 18;
        }
    }
    static void fc_fold_c(const uint8_t *packed, uint8_t *values) {
        uint8_t other[FC_REGISTERS];
        fc_unpack_c(packed, other);
        for (int i = 0; i < FC_REGISTERS; i++)
            values[i] = values[i] > other[i] ? values[i] : other[i];
    }
    static int fc_merge_c(uint8_t *packed, const uint8_t *other, uint64_t *rose) {
        uint32_t any = 0;
        for (int i = 0; i < FC_REGISTERS; i += 4, packed += 3, other += 3) {
            uint32_t a = fc_load24(packed), b = fc_load24(other), r = 0, mask = 0;
            if (a == b)
                continue;
            for (int j = 0; j < 4; j++) {
                uint32_t x = a >> 6 * j & 63, y = b >> 6 * j & 63;
                mask |= (uint32_t)(y > x) << j;
                r |= (y > x ? y : x) << 6 * j;
            }
            packed[0] = r;
            packed[1] = r >> 8;
            packed[2] = r >> 16;
            rose[i >> 6] |= (uint64_t)mask << (i & 63);
            any |= mask;
        }
        return any != 0;
    }
    static void fc_histogram_c(const uint8_t *values, uint32_t *histogram) {
        uint32_t part[4][64];  /* neighbours are often equal: an increment need not wait for the one before */
        memset(part, 0, sizeof part);
        for (int i = 0; i < FC_REGISTERS; i += 4)
            for (int j = 0; j < 4; j++)
                part[j][values[i + j] & 63]++;
        for (int i = 0; i < 64; i++)
            histogram[i] = part[0][i] + part[1][i] + part[2][i] + part[3][i];
    }
    static void fc_pack_c(const uint8_t *values, uint8_t *packed) {
        for (int i = 0; i < FC_REGISTERS; i += 4, packed += 3) {
            uint32_t w = values[i] | (uint32_t)values[i + 1] << 6 | (uint32_t)values[i + 2] << 12
                       | (uint32_t)values[i + 3] << 18;
            packed[0] = w;
            packed[1] = w >> 8;
            packed[2] = w >> 16;
        }
    }

    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>
    #define FC_AVX2 __attribute__((target("avx2")))

    /* 32 registers from 24 of the 32 bytes at p: three bytes into each 32-bit lane, then each 6 bits into a byte */
    static inline FC_AVX2 __m256i fc_unpack32(const uint8_t *p) {
        const __m256i spread = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,
                                                0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
        __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                            _mm_loadu_si128((const __m128i *)(p + 12)), 1);
        v = _mm256_shuffle_epi8(v, spread);
        __m256i a = _mm256_and_si256(v, _mm256_set1_epi32(0x3f));
        __m256i b = _mm256_and_si256(_mm256_slli_epi32(v, 2), _mm256_set1_epi32(0x3f00));
        __m256i c = _mm256_and_si256(_mm256_slli_epi32(v, 4), _mm256_set1_epi32(0x3f0000));
        __m256i d = _mm256_and_si256(_mm256_slli_epi32(v, 6), _mm256_set1_epi32(0x3f000000));
        return _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
    }
    /* the inverse; writes 24 bytes */
    static inline FC_AVX2 void fc_pack32(uint8_t *p, __m256i v) {
        const __m256i gather = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
                                                0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
        /* bytes a b c d of a lane: a + 64 b and c + 64 d in 16 bits, then those in 24 */
        v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x40014001));
        v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x10000001));
        v = _mm256_shuffle_epi8(v, gather);
        uint8_t out[32];
        _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(v));
        _mm_storeu_si128((__m128i *)(out + 12), _mm256_extracti128_si256(v, 1));
        memcpy(p, out, 24);
    }
    static FC_AVX2 void fc_unpack_avx2(const uint8_t *packed, uint8_t *values) {
        for (int i = 0; i < FC_REGISTERS; i += 32, packed += 24)
            _mm256_storeu_si256((__m256i *)(values + i), fc_unpack32(packed));
    }
    static FC_AVX2 void fc_fold_avx2(const uint8_t *packed, uint8_t *values) {
        for (int i = 0; i < FC_REGISTERS; i += 32, packed += 24) {
            __m256i *v = (__m256i *)(values + i);
            _mm256_storeu_si256(v, _mm256_max_epu8(_mm256_loadu_si256(v), fc_unpack32(packed)));
        }
    }
    static FC_AVX2 int fc_merge_avx2(uint8_t *packed, const uint8_t *other, uint64_t *rose) {
        uint32_t any = 0;
        for (int i = 0; i < FC_REGISTERS; i += 32, packed += 24, other += 24) {
            __m256i a = fc_unpack32(packed), b = fc_unpack32(other);
            uint32_t mask = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(b, a));
            if (mask) {
                fc_pack32(packed, _mm256_max_epu8(a, b));
                rose[i >> 6] |= (uint64_t)mask << (i & 63);
                any |= mask;
            }
        }
        return any != 0;
    }
    static FC_AVX2 void fc_pack_avx2(const uint8_t *values, uint8_t *packed) {
        for (int i = 0; i < FC_REGISTERS; i += 32, packed += 24)
            fc_pack32(packed, _mm256_loadu_si256((const __m256i *)(values + i)));
    }
    /* One pass per value between the smallest and the largest: some 20 in practice, and less than half of the time
       that increments in memory take. A byte counts to 255, so every 128 vectors are summed up. */
    static FC_AVX2 void fc_histogram_avx2(const uint8_t *values, uint32_t *histogram) {
        __m256i low = _mm256_set1_epi8(63), high = _mm256_setzero_si256();
        uint8_t l[32], h[32], first = 63, last = 0;
        for (int i = 0; i < FC_REGISTERS; i += 32) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(values + i));
            low = _mm256_min_epu8(low, v);
            high = _mm256_max_epu8(high, v);
        }
        _mm256_storeu_si256((__m256i *)l, low);
        _mm256_storeu_si256((__m256i *)h, high);
        for (int i = 0; i < 32; i++) {
            first = l[i] < first ? l[i] : first;
            last = h[i] > last ? h[i] : last;
        }
        memset(histogram, 0, 64 * sizeof *histogram);
        for (int value = first; value <= last; value++) {
            const __m256i same = _mm256_set1_epi8((char)value);
            __m256i sum = _mm256_setzero_si256();
            uint64_t total[4];
            for (int i = 0; i < FC_REGISTERS; i += 32 * 128) {
                __m256i n = _mm256_setzero_si256();
                for (int j = 0; j < 32 * 128; j += 32)
                    n = _mm256_sub_epi8(n, _mm256_cmpeq_epi8(same,
                            _mm256_loadu_si256((const __m256i *)(values + i + j))));
                sum = _mm256_add_epi64(sum, _mm256_sad_epu8(n, _mm256_setzero_si256()));
            }
            _mm256_storeu_si256((__m256i *)total, sum);
            histogram[value] = (uint32_t)(total[0] + total[1] + total[2] + total[3]);
        }
    }
    static int fc_avx2 = 0;
    static void fc_choose(int portable) {
        __builtin_cpu_init();
        fc_avx2 = !portable && __builtin_cpu_supports("avx2");
    }
    #define FC_PICK(name, ...) (fc_avx2 ? name##_avx2(__VA_ARGS__) : name##_c(__VA_ARGS__))
    #else
    static const int fc_avx2 = 0;
    static void fc_choose(int portable) { (void)portable; }
    #define FC_PICK(name, ...) name##_c(__VA_ARGS__)
    #endif

    static void fc_unpack(const uint8_t *packed, uint8_t *values) { FC_PICK(fc_unpack, packed, values); }
    static void fc_pack(const uint8_t *values, uint8_t *packed) { FC_PICK(fc_pack, values, packed); }
    static void fc_fold(const uint8_t *packed, uint8_t *values) { FC_PICK(fc_fold, packed, values); }
    static int fc_merge(uint8_t *packed, const uint8_t *other, uint64_t *rose) {
        return FC_PICK(fc_merge, packed, other, rose);
    }
    static void fc_histogram(const uint8_t *values, uint32_t *histogram) { FC_PICK(fc_histogram, values, histogram); }
    """
    const int fc_avx2
    void fc_choose(int portable)
    void fc_unpack(const uint8_t *packed, uint8_t *values)
    void fc_pack(const uint8_t *values, uint8_t *packed)
    void fc_fold(const uint8_t *packed, uint8_t *values)
    int fc_merge(uint8_t *packed, const uint8_t *other, uint64_t *rose)
    void fc_histogram(const uint8_t *values, uint32_t *histogram)

fc_choose(False)


cdef void registers_unpack(const uint8_t *packed, uint8_t *values) noexcept nogil:
    fc_unpack(packed, values)


cdef void registers_pack(const uint8_t *values, uint8_t *packed) noexcept nogil:
    fc_pack(values, packed)


cdef void registers_fold(const uint8_t *packed, uint8_t *values) noexcept nogil:
    fc_fold(packed, values)


cdef bint registers_merge(uint8_t *packed, const uint8_t *other, uint64_t *rose) noexcept nogil:
    return fc_merge(packed, other, rose)


cdef void registers_histogram(const uint8_t *values, uint32_t *histogram) noexcept nogil:
    fc_histogram(values, histogram)


cdef bint registers_portable(bint on) noexcept nogil:
    cdef bint before = fc_avx2 != 0
    fc_choose(on)
    return before
