/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 40 */
/* Each kind of map equals a serial loop bit for bit: 1, 2, 3, 7 workers, every schedule, several chunks, both caller modes. */
#include "t_pool.h"

#include <math.h>
#include <stdlib.h>

static const int workers[] = {1, 2, 3, 7};
static const int callers[] = {FM_CALLER_SLEEPS, FM_CALLER_WORKS};
static const int schedules[] = {0, FM_SCHEDULE_AUTO, FM_SCHEDULE_STATIC, FM_SCHEDULE_DYNAMIC,
                                FM_SCHEDULE_GUIDED};
static const int64_t chunks[] = {0, 1, 7, 1000, FM_CHUNK_PYTHON};
static const int64_t sizes[] = {1, 5, 97, 1501};

/* ---- the function that is mapped, for every kind ---- */

static double mix(double x, double y)
{
    double sum = y;
    for (int k = 1; k < 6; k++)
        sum += sin(x * k) / sqrt(sum * sum + k);
    return sum;
}

static int mix_item(const void *item, void *result, void *arg)
{
    *(double *)result = mix(*(const double *)item, *(const double *)arg);
    return 0;
}

static int mix_number(const void *item, void *result, void *arg)
{
    *(double *)result = mix((double)*(const int64_t *)item, *(const double *)arg);
    return 0;
}

static int mix_star(const void *const items[], void *result, void *arg)
{
    *(double *)result =
        mix(*(const double *)items[0], *(const double *)items[1] + *(const double *)arg);
    return 0;
}

static const void *row(const fm_chunk *chunk, int k, int64_t r)
{
    return (const char *)chunk->in[k] + r * chunk->in_stride[k];
}

static double *result(const fm_chunk *chunk, int64_t r)
{
    return (double *)((char *)chunk->out + r * chunk->out_stride);
}

static int mix_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++)
        mix_item(row(chunk, 0, r), result(chunk, r), arg);
    return chunk->n_in != 1;
}

static int mix_range_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t number = chunk->begin + r;
        mix_number(&number, result(chunk, r), arg);
    }
    return chunk->n_in != 0 || chunk->in[0] != NULL;
}

static int mix_star_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++)
        mix_star((const void *const[]){row(chunk, 0, r), row(chunk, 1, r)}, result(chunk, r), arg);
    return chunk->n_in != 2;
}

/* ---- the kinds ---- */

static double shift = 0.25; /* by pointer: the workers have it from the fork */

struct data {
    int64_t n;
    fm_array *x, *y, *out;
};

enum { RANGE_BEGIN = -50 };

static int call_map(fm_pool *pool, const struct data *d, const fm_map_opts *opts)
{
    return fm_pool_map(pool, mix_item, d->x, d->out, opts);
}

static int call_map_chunks(fm_pool *pool, const struct data *d, const fm_map_opts *opts)
{
    return fm_pool_map_chunks(pool, mix_chunk, d->x, d->out, opts);
}

static int call_range(fm_pool *pool, const struct data *d, const fm_map_opts *opts)
{
    return fm_pool_map_range(pool, mix_number, RANGE_BEGIN, RANGE_BEGIN + d->n, d->out, opts);
}

static int call_range_chunks(fm_pool *pool, const struct data *d, const fm_map_opts *opts)
{
    return fm_pool_map_range_chunks(pool, mix_range_chunk, RANGE_BEGIN, RANGE_BEGIN + d->n, d->out,
                                    opts);
}

static int call_star(fm_pool *pool, const struct data *d, const fm_map_opts *opts)
{
    return fm_pool_starmap(pool, mix_star, (fm_array *[]){d->x, d->y}, 2, d->out, opts);
}

static int call_star_chunks(fm_pool *pool, const struct data *d, const fm_map_opts *opts)
{
    return fm_pool_starmap_chunks(pool, mix_star_chunk, (fm_array *[]){d->x, d->y}, 2, d->out,
                                  opts);
}

static double serial_item(const struct data *d, int64_t i)
{
    return mix(((const double *)fm_array_data(d->x))[i], shift);
}

static double serial_number(const struct data *d, int64_t i)
{
    (void)d;
    return mix((double)(RANGE_BEGIN + i), shift);
}

static double serial_star(const struct data *d, int64_t i)
{
    return mix(((const double *)fm_array_data(d->x))[i],
               ((const double *)fm_array_data(d->y))[i] + shift);
}

typedef int call_fn(fm_pool *pool, const struct data *d, const fm_map_opts *opts);
typedef double serial_fn(const struct data *d, int64_t i);

/* ---- all combinations ---- */

static struct data make_data(int64_t n)
{
    struct data d = {n, t_vector(FM_F64, n), t_vector(FM_F64, n), t_vector(FM_F64, n)};
    for (int64_t i = 0; i < n; i++) {
        ((double *)fm_array_data(d.x))[i] = (double)i * 0.37 - 100;
        ((double *)fm_array_data(d.y))[i] = (double)(i * i % 91) / 7;
    }
    return d;
}

static void free_data(const struct data *d)
{
    fm_array_destroy(d->x);
    fm_array_destroy(d->y);
    fm_array_destroy(d->out);
}

static void compare_with_serial(const struct data *d, const double *expected, int schedule,
                                int64_t chunk)
{
    const double *out = fm_array_data(d->out);
    for (int64_t i = 0; i < d->n; i++)
        if (memcmp(&out[i], &expected[i], sizeof *out) != 0)
            fail_msg("item %lld of %lld, schedule %d, chunk %lld: %a is not %a", (long long)i,
                     (long long)d->n, schedule, (long long)chunk, out[i], expected[i]);
}

static void map_all_ways(fm_pool *pool, call_fn *call, const struct data *d, const double *expected)
{
    for (size_t s = 0; s < T_N_OF(schedules); s++)
        for (size_t c = 0; c < T_N_OF(chunks); c++) {
            memset(fm_array_data(d->out), 0xff, fm_array_bytes(d->out));
            t_expect(call(pool, d,
                          FM_MAP_OPTS(.arg = &shift, .schedule = schedules[s], .chunk = chunks[c])),
                     0);
            compare_with_serial(d, expected, schedules[s], chunks[c]);
        }
}

static void equals_serial(call_fn *call, serial_fn *serial)
{
    for (size_t i = 0; i < T_N_OF(workers) * T_N_OF(callers); i++) {
        fm_pool *pool = t_open(workers[i / 2], callers[i % 2]);
        for (size_t k = 0; k < T_N_OF(sizes); k++) {
            struct data d = make_data(sizes[k]);
            double *expected = malloc((size_t)d.n * sizeof *expected);
            for (int64_t item = 0; item < d.n; item++)
                expected[item] = serial(&d, item);
            map_all_ways(pool, call, &d, expected);
            free(expected);
            free_data(&d);
        }
        t_destroy(pool);
    }
}

static void test_map_equals_a_serial_loop(void **state)
{
    (void)state;
    equals_serial(call_map, serial_item);
}

static void test_map_chunks_equals_a_serial_loop(void **state)
{
    (void)state;
    equals_serial(call_map_chunks, serial_item);
}

static void test_map_range_equals_a_serial_loop(void **state)
{
    (void)state;
    equals_serial(call_range, serial_number);
}

static void test_map_range_chunks_equals_a_serial_loop(void **state)
{
    (void)state;
    equals_serial(call_range_chunks, serial_number);
}

static void test_map_starmap_equals_a_serial_loop(void **state)
{
    (void)state;
    equals_serial(call_star, serial_star);
}

static void test_map_starmap_chunks_equals_a_serial_loop(void **state)
{
    (void)state;
    equals_serial(call_star_chunks, serial_star);
}

/* ---- chunks ---- */

fm_chunk_fn square_and_number;
/* clang-format off */
FM_CHUNK_FN(square_and_number, double, double, x * x + (double)i)
/* clang-format on */

static void test_map_chunk_macro_sees_item_and_number(void **state)
{
    (void)state;
    struct data d = make_data(300);
    fm_pool *pool = t_open(2, 0);
    t_expect(fm_pool_map_chunks(pool, square_and_number, d.x, d.out, NULL), 0);
    for (int64_t i = 0; i < d.n; i++) {
        double x = ((double *)fm_array_data(d.x))[i];
        assert_true(((double *)fm_array_data(d.out))[i] == x * x + (double)i);
    }
    free_data(&d);
    t_destroy(pool);
}

/* Notes for each item how many items its call had. */
static int note_count(const fm_chunk *chunk, void *arg)
{
    (void)arg;
    for (int64_t r = 0; r < chunk->count; r++)
        *(int64_t *)((char *)chunk->out + r * chunk->out_stride) = chunk->count;
    return 0;
}

static void test_map_chunk_functions_get_no_more_items_than_asked_for(void **state)
{
    (void)state;
    enum { N = 1000 };
    fm_array *in = t_vector(FM_U8, N), *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(3, 0);
    for (size_t s = 0; s < T_N_OF(schedules); s++)
        for (int64_t chunk = 1; chunk <= 64; chunk *= 4) {
            t_expect(fm_pool_map_chunks(pool, note_count, in, out,
                                        FM_MAP_OPTS(.chunk = chunk, .schedule = schedules[s])),
                     0);
            for (int i = 0; i < N; i++)
                assert_in_range(((int64_t *)fm_array_data(out))[i], 1, chunk);
        }
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_map_static_schedule_gives_each_worker_one_chunk(void **state)
{
    (void)state;
    enum { N = 900 };
    fm_array *in = t_vector(FM_U8, N), *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(3, 0);
    t_expect(
        fm_pool_map_chunks(pool, note_count, in, out, FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC)),
        0);
    for (int i = 0; i < N; i++)
        assert_int_equal(((int64_t *)fm_array_data(out))[i], N / 3);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

T_MAIN(T_TEST(test_map_equals_a_serial_loop), T_TEST(test_map_chunks_equals_a_serial_loop),
       T_TEST(test_map_range_equals_a_serial_loop),
       T_TEST(test_map_range_chunks_equals_a_serial_loop),
       T_TEST(test_map_starmap_equals_a_serial_loop),
       T_TEST(test_map_starmap_chunks_equals_a_serial_loop),
       T_TEST(test_map_chunk_macro_sees_item_and_number),
       T_TEST(test_map_chunk_functions_get_no_more_items_than_asked_for),
       T_TEST(test_map_static_schedule_gives_each_worker_one_chunk))
