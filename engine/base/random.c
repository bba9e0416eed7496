/* SPDX-License-Identifier: MIT */
/*
 * Philox4x32-10 and what is made of its words: four blocks at a time, and normal numbers.
 *
 * A block is a pure function of key and counter, so there is nothing to share and nothing to lose. The floating-point part must not be
 * contracted (CMakeLists.txt): every machine is to give the same bits.
 */
#include <forkmap/random.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { ROUNDS = 10, BLOCK_WORDS = 4, N_BLOCKS = FM_RANDOM_WORDS / BLOCK_WORDS };

/* Multipliers of words 0 and 2, and what is added to the key after each round (table 2, section 4.2 of the paper). */
#define MULTIPLIER_0 0xd2511f53u
#define MULTIPLIER_2 0xcd9e8d57u
#define WEYL_0       0x9e3779b9u
#define WEYL_1       0xbb67ae85u

static uint32_t low_of(uint64_t x)
{
    return (uint32_t)x;
}

static uint32_t high_of(uint64_t x)
{
    return (uint32_t)(x >> 32);
}

void fm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0, p2 = (uint64_t)MULTIPLIER_2 * c2;
        c0 = high_of(p2) ^ c1 ^ k0;
        c2 = high_of(p0) ^ c3 ^ k1;
        c1 = low_of(p2);
        c3 = low_of(p0);
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* ---- streams -------------------------------------------------------------------------------- */

fm_random fm_random_at(uint64_t seed, uint64_t stream)
{
    return (fm_random){.seed = seed, .stream = stream, .next = FM_RANDOM_WORDS};
}

#ifdef __SSE2__

/* One word of two blocks: in the low half of each lane. What is in the high half does not matter. */
struct lanes {
    __m128i c0, c1, c2, c3;
};

static struct lanes first_lanes(uint64_t block, uint64_t stream)
{
    const uint64_t next = block + 1;
    const __m128i blocks = _mm_set_epi64x((long long)next, (long long)block);
    const __m128i streams = _mm_set1_epi64x((long long)stream);
    return (struct lanes){blocks, _mm_srli_epi64(blocks, 32), streams, _mm_srli_epi64(streams, 32)};
}

static struct lanes after_round(struct lanes l, __m128i k0, __m128i k1)
{
    const __m128i p0 = _mm_mul_epu32(l.c0, _mm_set1_epi64x(MULTIPLIER_0));
    const __m128i p2 = _mm_mul_epu32(l.c2, _mm_set1_epi64x(MULTIPLIER_2));
    return (struct lanes){_mm_xor_si128(_mm_xor_si128(_mm_srli_epi64(p2, 32), l.c1), k0), p2,
                          _mm_xor_si128(_mm_xor_si128(_mm_srli_epi64(p0, 32), l.c3), k1), p0};
}

static __m128i join(__m128i low, __m128i high)
{
    return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi64x(UINT32_MAX)), _mm_slli_epi64(high, 32));
}

static void store_blocks(struct lanes l, uint32_t *words)
{
    const __m128i c01 = join(l.c0, l.c1), c23 = join(l.c2, l.c3);
    _mm_storeu_si128((__m128i *)(void *)words, _mm_unpacklo_epi64(c01, c23));
    _mm_storeu_si128((__m128i *)(void *)(words + BLOCK_WORDS), _mm_unpackhi_epi64(c01, c23));
}

/* Two pairs side by side hide the latency of a multiplication. */
static void make_blocks(uint64_t seed, uint64_t stream, uint64_t block, uint32_t *words)
{
    __m128i k0 = _mm_set1_epi32((int)low_of(seed)), k1 = _mm_set1_epi32((int)high_of(seed));
    struct lanes a = first_lanes(block, stream), b = first_lanes(block + 2, stream);
    for (int i = 0; i < ROUNDS; i++) {
        a = after_round(a, k0, k1);
        b = after_round(b, k0, k1);
        k0 = _mm_add_epi32(k0, _mm_set1_epi32((int)WEYL_0));
        k1 = _mm_add_epi32(k1, _mm_set1_epi32((int)WEYL_1));
    }
    store_blocks(a, words);
    store_blocks(b, words + 2 * (size_t)BLOCK_WORDS);
}

#else

static void make_blocks(uint64_t seed, uint64_t stream, uint64_t block, uint32_t *words)
{
    const uint32_t key[2] = {low_of(seed), high_of(seed)};
    for (uint64_t i = 0; i < N_BLOCKS; i++) {
        const uint32_t counter[4] = {low_of(block + i), high_of(block + i), low_of(stream),
                                     high_of(stream)};
        fm_philox4x32(counter, key, words + i * BLOCK_WORDS);
    }
}

#endif

void fm_random_refill(fm_random *r)
{
    make_blocks(r->seed, r->stream, r->block, r->words);
    r->block += N_BLOCKS;
    r->next = 0;
}

/* ---- normal numbers ------------------------------------------------------------------------- */

#define LN_2           0.693147180559945309417
#define TWO_PI         6.28318530717958647693
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdull /* of the double 1 / sqrt 2 */
#define N_OF(list)     (sizeof(list) / sizeof(list)[0])

/* No branch depends on a random number: half of them would be predicted wrong. */

/* Coefficients from the constant term on. */
static double polynomial(const double *coefficients, size_t n, double x)
{
    double sum = coefficients[n - 1];
    for (size_t i = n - 1; i-- > 0;)
        sum = sum * x + coefficients[i];
    return sum;
}

/* Of 2^-53 <= x <= 1. x = 2^e m with 1 / sqrt 2 <= m < sqrt 2; ln m = 2 artanh s, s = (m - 1) / (m + 1). */
static double logarithm(double x)
{
    /* artanh s / s in powers of s^2 <= 0.0295; the next would be below 2^-55 */
    static const double series[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9, 1.0 / 11,
                                    1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
    uint64_t bits;
    double m;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t exponent = (bits - SQRT_HALF_BITS) >> 52; /* modulo 2^12 */
    bits -= exponent << 52;
    memcpy(&m, &bits, sizeof m);
    const double s = (m - 1) / (m + 1);
    const int e = (int)((exponent + 64) & 4095) - 64; /* -53 .. 0 */
    return e * LN_2 + 2 * s * polynomial(series, N_OF(series), s * s);
}

/* Cosine and sine of 0 <= u < 1 turns: the nearest quarter, and the rest by Taylor's series. */
static void circle_point(double u, double *x, double *y)
{
    static const double cosine[] = {1.0,
                                    -1.0 / 2,
                                    1.0 / 24,
                                    -1.0 / 720,
                                    1.0 / 40320,
                                    -1.0 / 3628800,
                                    1.0 / 479001600,
                                    -1.0 / 87178291200,
                                    1.0 / 20922789888000};
    static const double sine[] = {1.0,
                                  -1.0 / 6,
                                  1.0 / 120,
                                  -1.0 / 5040,
                                  1.0 / 362880,
                                  -1.0 / 39916800,
                                  1.0 / 6227020800,
                                  -1.0 / 1307674368000,
                                  1.0 / 355687428096000};
    static const double quarter_x[] = {1, 0, -1, 0, 1}, quarter_y[] = {0, 1, 0, -1, 0};
    const int k = (int)(u * 4 + 0.5);
    const double a = (u - k * 0.25) * TWO_PI; /* the difference is exact */
    const double c = polynomial(cosine, N_OF(cosine), a * a);
    const double s = polynomial(sine, N_OF(sine), a * a) * a;
    *x = quarter_x[k] * c - quarter_y[k] * s; /* one of the two is 0, so nothing is rounded */
    *y = quarter_y[k] * c + quarter_x[k] * s;
}

double fm_random_normal(fm_random *r)
{
    double x, y;
    if (r->has_spare != 0) {
        r->has_spare = 0;
        return r->spare;
    }
    const double u = 1 - fm_random_f64(r); /* not 0 */
    circle_point(fm_random_f64(r), &x, &y);
    const double radius = __builtin_sqrt(-2 * logarithm(u));
    r->spare = radius * y;
    r->has_spare = 1;
    return radius * x;
}
