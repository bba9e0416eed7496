/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash */
/* TIMEOUT: 60 */
/* Random numbers: the published answers, ranges, moments, and the same bits whoever draws them. All seeds are fixed. */
#include "t_pool.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SEED 0x123456789abcdef0ull

/* ---- the generator ---- */

static void test_random_philox_gives_the_known_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < T_N_OF(known); i++) {
        uint32_t words[4];
        fm_philox4x32(known[i].counter, known[i].key, words);
        assert_memory_equal(words, known[i].out, sizeof words);
        memcpy(words, known[i].counter, sizeof words);
        fm_philox4x32(words, known[i].key, words);
        assert_memory_equal(words, known[i].out, sizeof words);
    }
}

/* The layout that random.h tells of. */
static void test_random_words_are_the_blocks_of_the_documented_counters(void **state)
{
    const uint64_t stream = 0xfedcba9876543210ull;
    const uint32_t key[2] = {(uint32_t)SEED, (uint32_t)(SEED >> 32)};
    fm_random r = fm_random_at(SEED, stream);
    (void)state;
    for (uint32_t b = 0; b < 1000; b++) {
        uint32_t words[4];
        fm_philox4x32((const uint32_t[]){b, 0, (uint32_t)stream, (uint32_t)(stream >> 32)}, key,
                      words);
        for (int i = 0; i < 4; i++)
            assert_int_equal(fm_random_u32(&r), words[i]);
    }
}

/* Four blocks are made at once, and the carry may lie before or after any of them. */
static void test_random_block_numbers_carry_into_the_second_word(void **state)
{
    const uint32_t key[2] = {(uint32_t)SEED, (uint32_t)(SEED >> 32)};
    (void)state;
    for (uint64_t first = 0xfffffffb; first <= 0x100000000; first++) {
        fm_random r = fm_random_at(SEED, 11);
        r.block = first;
        for (uint64_t b = first; b < first + 4; b++) {
            uint32_t words[4];
            fm_philox4x32((const uint32_t[]){(uint32_t)b, (uint32_t)(b >> 32), 11, 0}, key, words);
            for (int i = 0; i < 4; i++)
                assert_int_equal(fm_random_u32(&r), words[i]);
        }
    }
}

static void test_random_numbers_take_the_next_words_low_one_first(void **state)
{
    fm_random words = fm_random_at(SEED, 7), r = words;
    (void)state;
    for (int i = 0; i < 1000; i++) { /* 5 words each: pairs begin at any place of the 16 */
        const uint64_t low = fm_random_u32(&words), high = fm_random_u32(&words);
        fm_random copy = r;
        assert_true(fm_random_u64(&r) == (low | high << 32));
        assert_true(fm_random_f64(&copy) == (double)((low | high << 32) >> 11) * 0x1p-53);
        assert_true(fm_random_f32(&r) == (float)(fm_random_u32(&words) >> 8) * 0x1p-24F);
        copy = r;
        assert_true(fm_random_below(&r, 1ull << 40) == fm_random_u64(&copy) >> 24);
        (void)fm_random_u64(&words);
    }
}

static void test_random_copy_goes_on_from_the_same_place(void **state)
{
    fm_random r = fm_random_at(1, 2);
    (void)state;
    for (int i = 0; i < 100; i++) {
        fm_random copy = r;
        for (int k = 0; k < 20; k++)
            assert_true(fm_random_normal(&copy) == fm_random_normal(&r));
        assert_true(fm_random_u64(&copy) == fm_random_u64(&r));
        fm_random_normal(&r);
    }
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* First numbers of 10^5 items, of 10^5 seeds, and the second ones of the items: of 3 x 10^5 words of 64 bits no two are the same. */
static void test_random_streams_of_other_items_and_seeds_differ(void **state)
{
    enum { EACH = 100000 };
    uint64_t *first = malloc(3 * EACH * sizeof *first), n = 0;
    (void)state;
    for (uint64_t i = 0; i < EACH; i++) {
        fm_random r = fm_random_at(SEED, i), other = fm_random_at(SEED + 1 + i, 0);
        first[n++] = fm_random_u64(&r);
        first[n++] = fm_random_u64(&r);
        first[n++] = fm_random_u64(&other);
    }
    qsort(first, n, sizeof *first, compare_u64);
    for (uint64_t i = 1; i < n; i++)
        assert_true(first[i - 1] < first[i]);
    free(first);
}

static void test_random_high_halves_of_seed_and_item_count(void **state)
{
    const uint64_t high = 1ull << 32;
    fm_random r[] = {fm_random_at(0, 0), fm_random_at(high, 0), fm_random_at(0, high),
                     fm_random_at(1, 0), fm_random_at(0, 1)};
    (void)state;
    for (size_t i = 0; i < T_N_OF(r); i++)
        for (size_t k = 0; k < i; k++) {
            fm_random a = r[i], b = r[k];
            assert_true(fm_random_u64(&a) != fm_random_u64(&b));
        }
}

/* ---- ranges ---- */

/* A stream whose next words are these. */
static fm_random all_words(uint32_t word)
{
    fm_random r = fm_random_at(0, 0);
    r.next = 0;
    for (int i = 0; i < FM_RANDOM_WORDS; i++)
        r.words[i] = word;
    return r;
}

static void test_random_least_and_largest_words_stay_in_the_ranges(void **state)
{
    fm_random low = all_words(0), high = all_words(UINT32_MAX);
    (void)state;
    assert_true(fm_random_f64(&low) == 0.0 && fm_random_f64(&high) == 1.0 - 0x1p-53);
    assert_true(fm_random_f32(&low) == 0.0F && fm_random_f32(&high) == 1.0F - 0x1p-24F);
    assert_int_equal(fm_random_below(&high, 10), 9);
    assert_int_equal(fm_random_between(&high, -3, 5), 5);
    low = all_words(0);
    high = all_words(UINT32_MAX);
    assert_true(fm_random_normal(&low) == 0.0);
    assert_true(fm_random_normal(&high) > 8.5);
    high = all_words(UINT32_MAX);
    assert_true(fm_random_normal(&high) < 8.6);
}

static void test_random_below_stays_below_for_every_size(void **state)
{
    static const uint64_t sizes[] = {
        1,         2, 3, 10, 1ull << 32, (1ull << 32) + 1, 1ull << 63, 3ull << 62, (1ull << 63) + 1,
        UINT64_MAX};
    fm_random r = fm_random_at(SEED, 1);
    (void)state;
    for (size_t k = 0; k < T_N_OF(sizes); k++) {
        uint64_t largest = 0;
        for (int i = 0; i < 10000; i++) {
            const uint64_t x = fm_random_below(&r, sizes[k]);
            assert_true(x < sizes[k]);
            largest = x > largest ? x : largest;
        }
        assert_true(largest >= (sizes[k] - 1) / 8 * 7);
    }
    assert_int_equal(fm_random_below(&r, 0), 0);
}

static void test_random_below_a_power_of_two_is_the_high_bits(void **state)
{
    fm_random r = fm_random_at(SEED, 2), bits = r;
    (void)state;
    for (int k = 1; k < 64; k++)
        assert_true(fm_random_below(&r, 1ull << k) == fm_random_u64(&bits) >> (64 - k));
}

static void assert_near(double x, double expected, double sigma)
{
    if (!(fabs(x - expected) <= 6 * sigma))
        fail_msg("%.9g is %.1f sigma from %.9g", x, fabs(x - expected) / sigma, expected);
}

/* Without the words that are rejected, multiples of 3 below 3 x 2^62 would come twice as often as others. */
static void test_random_below_has_no_bias(void **state)
{
    enum { N = 300000 };
    fm_random r = fm_random_at(SEED, 3);
    int thirds[3] = {0}, tens[10] = {0};
    (void)state;
    for (int i = 0; i < N; i++) {
        thirds[fm_random_below(&r, 3ull << 62) % 3]++;
        tens[fm_random_below(&r, 10)]++;
    }
    for (int k = 0; k < 3; k++)
        assert_near(thirds[k], N / 3.0, sqrt(N * (1 / 3.0) * (2 / 3.0)));
    for (int k = 0; k < 10; k++)
        assert_near(tens[k], N / 10.0, sqrt(N * 0.09));
}

static void test_random_between_includes_both_ends(void **state)
{
    fm_random r = fm_random_at(SEED, 4);
    int seen[7] = {0}, n_negative = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        const int64_t x = fm_random_between(&r, -3, 3);
        assert_in_range(x + 3, 0, 6);
        seen[x + 3] = 1;
        n_negative += fm_random_between(&r, INT64_MIN, INT64_MAX) < 0;
        assert_true(fm_random_between(&r, INT64_MAX - 1, INT64_MAX) >= INT64_MAX - 1);
    }
    for (int k = 0; k < 7; k++)
        assert_true(seen[k]);
    assert_in_range(n_negative, 400, 600);
    assert_int_equal(fm_random_between(&r, 5, 5), 5);
    assert_int_equal(fm_random_between(&r, 5, 4), 5);
}

/* ---- distributions ---- */

enum { DRAWS = 1000000 };

static void test_random_uniform_has_its_mean_and_variance(void **state)
{
    fm_random r = fm_random_at(SEED, 5);
    double sum = 0, squares = 0, product = 0, last = 0;
    double sum_32 = 0, squares_32 = 0;
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const double x = fm_random_f64(&r) - 0.5, x_32 = (double)fm_random_f32(&r) - 0.5;
        assert_true(x >= -0.5 && x < 0.5 && x_32 >= -0.5 && x_32 < 0.5);
        sum += x;
        squares += x * x;
        product += x * last;
        sum_32 += x_32;
        squares_32 += x_32 * x_32;
        last = x;
    }
    const double sigma = sqrt(1.0 / 12 / DRAWS), sigma_2 = sqrt((1.0 / 80 - 1.0 / 144) / DRAWS);
    assert_near(sum / DRAWS, 0, sigma);
    assert_near(squares / DRAWS, 1.0 / 12, sigma_2);
    assert_near(product / DRAWS, 0, 1.0 / 12 / sqrt(DRAWS));
    assert_near(sum_32 / DRAWS, 0, sigma);
    assert_near(squares_32 / DRAWS, 1.0 / 12, sigma_2);
}

static void test_random_normal_has_its_moments_and_quantiles(void **state)
{
    static const double bounds[] = {0.5, 1, 2, 3, 4};
    fm_random r = fm_random_at(SEED, 6);
    double sum = 0, squares = 0, cubes = 0, fourths = 0, product = 0, last = 0;
    int inside[T_N_OF(bounds)] = {0};
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const double x = fm_random_normal(&r);
        sum += x;
        squares += x * x;
        cubes += x * x * x;
        fourths += x * x * x * x;
        product += x * last; /* with its partner, every second time */
        for (size_t k = 0; k < T_N_OF(bounds); k++)
            inside[k] += fabs(x) < bounds[k];
        last = x;
    }
    assert_near(sum / DRAWS, 0, sqrt(1.0 / DRAWS));
    assert_near(squares / DRAWS, 1, sqrt(2.0 / DRAWS));
    assert_near(cubes / DRAWS, 0, sqrt(15.0 / DRAWS));
    assert_near(fourths / DRAWS, 3, sqrt(96.0 / DRAWS));
    assert_near(product / DRAWS, 0, sqrt(1.0 / DRAWS));
    for (size_t k = 0; k < T_N_OF(bounds); k++) {
        const double p = erf(bounds[k] / sqrt(2));
        assert_near(inside[k], p * DRAWS, sqrt(p * (1 - p) * DRAWS));
    }
}

static void test_random_normal_is_box_and_muller_of_two_uniform_numbers(void **state)
{
    fm_random r = fm_random_at(SEED, 8), uniform = r;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        const double u = 1 - fm_random_f64(&uniform), turn = 8 * atan(1) * fm_random_f64(&uniform);
        assert_true(fabs(fm_random_normal(&r) - sqrt(-2 * log(u)) * cos(turn)) < 1e-14);
        assert_true(fabs(fm_random_normal(&r) - sqrt(-2 * log(u)) * sin(turn)) < 1e-14);
    }
}

/* Written by x86-64; any machine and compiler must give the same. */
static void test_random_normal_gives_these_bits_everywhere(void **state)
{
    static const double known[] = {-0x1.590be3da8431fp-2, 0x1.0efaf7be22272p+0,
                                   -0x1.66fd0cd34f691p-2, 0x1.4d10df400f513p-1,
                                   0x1.683b5f46abe2fp-1,  -0x1.215de36c59682p-2};
    fm_random r = fm_random_at(SEED, 9);
    uint64_t bits = 0;
    (void)state;
    for (size_t i = 0; i < T_N_OF(known); i++)
        assert_true(fm_random_normal(&r) == known[i]);
    for (int i = 0; i < 100000; i++) {
        const double x = fm_random_normal(&r);
        uint64_t b;
        memcpy(&b, &x, sizeof b);
        bits = (bits << 1 | bits >> 63) ^ b;
    }
    assert_true(bits == 0x5d81c9a5a48b681eull);
}

/* ---- in maps ---- */

enum { N = 300 };

struct estimate { /* a result that every kind of number goes into */
    double sum;
    uint64_t bits;
};

static struct estimate estimate(fm_random r)
{
    struct estimate e = {0, 0};
    const uint64_t n = 20 + fm_random_below(&r, 30);
    for (uint64_t i = 0; i < n; i++) {
        const double x = fm_random_f64(&r), y = (double)fm_random_f32(&r);
        e.sum += (x * x + y * y < 1) + fm_random_normal(&r);
        e.bits = e.bits * 3 + fm_random_u64(&r);
    }
    return e;
}

static int estimate_item(const void *item, void *result, void *arg)
{
    (void)arg;
    *(struct estimate *)result = estimate(fm_rng(*(const int64_t *)item));
    return 0;
}

/* arg: calls of each item so far, in the heap; NULL: do no harm. */
static int hinder(int64_t item, void *arg)
{
    _Atomic int *calls = arg;
    const int n = arg == NULL ? 0 : atomic_fetch_add(&calls[item], 1);
    if (arg != NULL && n == 0 && item == N / 2) { /* in the middle of its work */
        kill(getpid(), SIGKILL);
        pause();
    }
    return arg != NULL && item % 20 == 7 && n < 2;
}

static int estimate_hindered(const void *item, void *result, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    fm_random r = fm_rng(i);
    *(uint64_t *)result = fm_random_u64(&r);
    return hinder(i, arg) ? 1 : estimate_item(item, result, NULL);
}

static int estimate_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t k = 0; k < chunk->count; k++) {
        if (hinder(chunk->begin + k, arg))
            return 1;
        *(struct estimate *)(void *)((char *)chunk->out + k * chunk->out_stride) =
            estimate(fm_rng(chunk->begin + k));
    }
    return 0;
}

/* As a program without a map has it; and the output is cleared for the next one. */
static void check_estimates(fm_array *out, uint64_t seed)
{
    const struct estimate *found = fm_array_data(out);
    for (int64_t i = 0; i < fm_array_len(out); i++) {
        const struct estimate e = estimate(fm_random_at(seed, (uint64_t)i));
        assert_memory_equal(&found[i], &e, sizeof e);
    }
    memset(fm_array_data(out), 0, fm_array_bytes(out));
}

static void test_random_rng_outside_of_functions_has_seed_0(void **state)
{
    (void)state;
    for (int64_t i = -5; i < 5; i++) {
        const struct estimate a = estimate(fm_rng(i)), b = estimate(fm_random_at(0, (uint64_t)i));
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static void check_schedules(fm_pool *pool, fm_array *out)
{
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
        const fm_map_opts *opts = FM_MAP_OPTS(.schedule = schedule, .seed = SEED);
        t_expect(fm_pool_map_range(pool, estimate_item, 0, N, out, opts), 0);
        check_estimates(out, SEED);
        t_expect(fm_pool_map_range_chunks(pool, estimate_chunk, 0, N, out, opts), 0);
        check_estimates(out, SEED);
    }
}

static void test_random_map_gives_the_same_bits_with_any_workers_and_schedule(void **state)
{
    static const int workers[] = {1, 2, 3, 5, 8};
    fm_array *out = t_vector(FM_STRUCT(sizeof(struct estimate)), N);
    (void)state;
    for (size_t k = 0; k < T_N_OF(workers); k++)
        for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
            fm_pool *pool = t_open(workers[k], caller);
            check_schedules(pool, out);
            t_destroy(pool);
        }
    fm_pool *alone = t_open(0, FM_CALLER_ONLY);
    check_schedules(alone, out);
    t_destroy(alone);
    fm_array_destroy(out);
}

static void test_random_map_gives_the_same_bits_by_each_method(void **state)
{
    fm_array *out = t_vector(FM_STRUCT(sizeof(struct estimate)), N);
    (void)t_method(state);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    check_schedules(pool, out);
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_random_map_gives_the_same_bits_after_retries_and_a_death(void **state)
{
    fm_array *out = t_vector(FM_STRUCT(sizeof(struct estimate)), N), *calls = t_vector(FM_I32, N);
    (void)state;
    for (int workers = 1; workers <= 3; workers++)
        for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
            fm_pool *pool = t_open(workers, FM_CALLER_SLEEPS);
            const fm_map_opts *opts = FM_MAP_OPTS(.schedule = schedule, .retries = 3, .seed = SEED,
                                                  .arg = fm_array_data(calls));
            t_expect(fm_pool_map_range(pool, estimate_hindered, 0, N, out, opts), 0);
            check_estimates(out, SEED);
            memset(fm_array_data(calls), 0, fm_array_bytes(calls));
            t_expect(fm_pool_map_range_chunks(pool, estimate_chunk, 0, N, out, opts), 0);
            check_estimates(out, SEED);
            memset(fm_array_data(calls), 0, fm_array_bytes(calls));
            fm_pool_counters counters;
            assert_int_equal(fm_pool_stats(pool, &counters), 0);
            assert_int_equal(counters.deaths, 2);
            t_destroy(pool);
        }
    fm_array_destroy(out);
    fm_array_destroy(calls);
}

/* Nothing but the seed changes from one map to the next, so its job slot is filled already. */
static void test_random_map_has_the_seed_of_its_own_call(void **state)
{
    fm_array *out = t_vector(FM_STRUCT(sizeof(struct estimate)), N);
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(3, caller);
        for (uint64_t k = 0; k < 20; k++) {
            const uint64_t seed = k % 4 == 3 ? 0 : UINT64_MAX / 20 * k;
            t_expect(fm_pool_map_range(pool, estimate_item, 0, N, out, FM_MAP_OPTS(.seed = seed)),
                     0);
            check_estimates(out, seed);
        }
        t_expect(fm_pool_map_range(pool, estimate_item, 0, N, out, NULL), 0);
        check_estimates(out, 0);
        t_destroy(pool);
    }
    fm_array_destroy(out);
}

static void test_random_map_of_an_older_program_has_seed_0(void **state)
{
    fm_array *out = t_vector(FM_STRUCT(sizeof(struct estimate)), N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    (void)state;
    t_expect(
        fm_pool_map_range(pool, estimate_item, 0, N, out,
                          &(fm_map_opts){.struct_size = offsetof(fm_map_opts, seed), .seed = SEED}),
        0);
    check_estimates(out, 0);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* ---- nested maps, threads ---- */

struct nest {
    fm_pool *pool;
    fm_array *inner; /* ROWS x COLUMNS estimates, row after row */
};
enum { ROWS = 12, COLUMNS = 9 };

/* The inner map's seed comes from the row's own stream. */
static int estimate_row(const void *item, void *result, void *arg)
{
    const struct nest *nest = arg;
    const int64_t row = *(const int64_t *)item;
    fm_array *out;
    fm_random r = fm_rng(row);
    int rc = fm_array_view(&out, nest->inner, &(fm_slice){row * COLUMNS, (row + 1) * COLUMNS, 1});
    if (rc != 0)
        return rc;
    rc = fm_pool_map_range(nest->pool, estimate_item, 0, COLUMNS, out,
                           FM_MAP_OPTS(.seed = fm_random_u64(&r)));
    fm_array_destroy(out);
    return rc != 0 ? rc : estimate_item(item, result, NULL); /* with this map's seed again */
}

static void test_random_nested_map_has_its_own_seed(void **state)
{
    const fm_dtype dtype = FM_STRUCT(sizeof(struct estimate));
    fm_array *out = t_vector(dtype, ROWS);
    struct nest nest = {NULL, t_vector(dtype, (int64_t)ROWS * COLUMNS)};
    const struct estimate *inner = fm_array_data(nest.inner);
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        nest.pool = t_open(3, caller);
        t_expect(fm_pool_map_range(
                     nest.pool, estimate_row, 0, ROWS, out,
                     FM_MAP_OPTS(.arg = &nest, .arg_bytes = sizeof nest, .chunk = 1, .seed = SEED)),
                 0);
        check_estimates(out, SEED);
        for (int64_t i = 0; i < (int64_t)ROWS * COLUMNS; i++) {
            fm_random r = fm_random_at(SEED, (uint64_t)(i / COLUMNS));
            const struct estimate e =
                estimate(fm_random_at(fm_random_u64(&r), (uint64_t)(i % COLUMNS)));
            assert_memory_equal(&inner[i], &e, sizeof e);
        }
        memset(fm_array_data(nest.inner), 0, fm_array_bytes(nest.inner));
        t_destroy(nest.pool);
    }
    fm_array_destroy(nest.inner);
    fm_array_destroy(out);
}

struct task {
    int64_t item;
    fm_random stream;
    struct estimate own, handed;
};

static void *estimate_in_thread(void *arg)
{
    struct task *task = arg;
    task->own = estimate(fm_rng(task->item));
    task->handed = estimate(task->stream);
    return NULL;
}

/* arg: whether a thread of this process may ask for itself. */
static int estimate_by_thread(const void *item, void *result, void *arg)
{
    struct task task = {.item = *(const int64_t *)item};
    pthread_t thread;
    task.stream = fm_rng(task.item);
    if (pthread_create(&thread, NULL, estimate_in_thread, &task) != 0)
        return 1;
    pthread_join(thread, NULL);
    *(struct estimate *)result = *(const int *)arg ? task.own : task.handed;
    return 0;
}

static void test_random_threads_of_a_function_draw_the_same(void **state)
{
    fm_array *out = t_vector(FM_STRUCT(sizeof(struct estimate)), 20);
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(2, caller);
        for (int asks = 0; asks <= (caller == FM_CALLER_SLEEPS); asks++) {
            t_expect(fm_pool_map_range(
                         pool, estimate_by_thread, 0, 20, out,
                         FM_MAP_OPTS(.arg = &asks, .arg_bytes = sizeof asks, .seed = SEED)),
                     0);
            check_estimates(out, SEED);
        }
        t_destroy(pool);
    }
    fm_array_destroy(out);
}

T_MAIN(T_TEST(test_random_philox_gives_the_known_answers),
       T_TEST(test_random_words_are_the_blocks_of_the_documented_counters),
       T_TEST(test_random_block_numbers_carry_into_the_second_word),
       T_TEST(test_random_numbers_take_the_next_words_low_one_first),
       T_TEST(test_random_copy_goes_on_from_the_same_place),
       T_TEST(test_random_streams_of_other_items_and_seeds_differ),
       T_TEST(test_random_high_halves_of_seed_and_item_count),
       T_TEST(test_random_least_and_largest_words_stay_in_the_ranges),
       T_TEST(test_random_below_stays_below_for_every_size),
       T_TEST(test_random_below_a_power_of_two_is_the_high_bits),
       T_TEST(test_random_below_has_no_bias), T_TEST(test_random_between_includes_both_ends),
       T_TEST(test_random_uniform_has_its_mean_and_variance),
       T_TEST(test_random_normal_has_its_moments_and_quantiles),
       T_TEST(test_random_normal_is_box_and_muller_of_two_uniform_numbers),
       T_TEST(test_random_normal_gives_these_bits_everywhere),
       T_TEST(test_random_rng_outside_of_functions_has_seed_0),
       T_TEST(test_random_map_gives_the_same_bits_with_any_workers_and_schedule),
       T_EACH_METHOD(test_random_map_gives_the_same_bits_by_each_method),
       T_TEST(test_random_map_gives_the_same_bits_after_retries_and_a_death),
       T_TEST(test_random_map_has_the_seed_of_its_own_call),
       T_TEST(test_random_map_of_an_older_program_has_seed_0),
       T_TEST(test_random_nested_map_has_its_own_seed),
       T_TEST(test_random_threads_of_a_function_draw_the_same))
