/* SPDX-License-Identifier: MIT */
/*
 * "A showcase of how to use Pool", the long example of Python's manual: small calculations by apply_async, map_async, imap and
 * imap_unordered, errors where each of them shows them, and timeouts of get() and next().
 *
 *     TASKS = [(mul, (i, 7)) for i in range(20)] + [(plus, (i, 8)) for i in range(20)]
 *     results = [pool.apply_async(calculate, t) for t in TASKS]
 *     imap_it = pool.imap(calculatestar, TASKS)
 *     imap_unordered_it = pool.imap_unordered(calculatestar, TASKS)
 */
#include <forkmap/forkmap.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EACH = 20, TASKS = 2 * EACH };

/* ---- functions used by the workers -------------------------------------------------------------- */

struct task {
    char operation; /* '*', '+' */
    int a, b;
};
typedef char text[24];

static int calculate(const void *arg, void *result)
{
    const struct task *t = arg;
    const int value = t->operation == '*' ? t->a * t->b : t->a + t->b;
    usleep((useconds_t)(t->a * 7 % 5) * 1000);
    snprintf(result, sizeof(text), "%d %c %d = %d", t->a, t->operation, t->b, value);
    return 0;
}

/* The same as a function of an item: Python's calculatestar. */
static int calculate_item(const void *item, void *result, void *arg)
{
    (void)arg;
    return calculate(item, result);
}

static int f(const void *arg, void *result)
{
    const int64_t x = *(const int64_t *)arg;
    if (x == 5)
        return -EDOM;
    *(double *)result = 1 / ((double)x - 5);
    return 0;
}

static int f_item(const void *item, void *result, void *arg)
{
    (void)arg;
    return f(item, result);
}

/* Does not end before somebody has run out of patience. */
static int wait_for_flag(const void *arg, void *result)
{
    const atomic_int *flag = *(atomic_int *const *)arg;
    while (atomic_load(flag) == 0)
        usleep(1000);
    memcpy(result, "done", sizeof "done");
    return 0;
}

static int wait_for_flag_item(const void *item, void *result, void *arg)
{
    const int64_t is_last = *(const int64_t *)item;
    (void)result;
    while (is_last && atomic_load((atomic_int *)arg) == 0)
        usleep(1000);
    return 0;
}

/* ---- results ------------------------------------------------------------------------------------ */

static void print_texts(const char *title, text *texts)
{
    printf("%s\n", title);
    for (int i = 0; i < TASKS; i++)
        printf(i % 5 == 4 ? "  %s\n" : "  %-14s", texts[i]);
}

static int show_apply_async(fm_pool *pool, const struct task *tasks)
{
    fm_result *results[TASKS] = {NULL};
    text texts[TASKS];
    int rc = 0;
    for (int i = 0; rc == 0 && i < TASKS; i++)
        rc = fm_pool_apply_async(pool, calculate, &tasks[i], sizeof tasks[i], texts[i],
                                 sizeof texts[i], NULL, &results[i]);
    for (int i = 0; rc == 0 && i < TASKS; i++)
        rc = fm_result_get(results[i], FM_FOREVER);
    for (int i = 0; i < TASKS; i++)
        fm_result_free(results[i]);
    if (rc == 0)
        print_texts("Ordered results using fm_pool_apply_async():", texts);
    return rc;
}

static int show_map_async(fm_pool *pool, fm_array *in)
{
    FM_AUTO(fm_array) out = NULL;
    FM_AUTO(fm_result) result = NULL; /* freed before its output is */
    int rc = fm_array_create(&out, FM_STRUCT(sizeof(text)), 1, fm_array_shape(in), NULL);
    if (rc == 0)
        rc = fm_pool_map_async(pool, calculate_item, in, out, NULL, &result);
    if (rc == 0)
        rc = fm_result_get(result, FM_FOREVER);
    if (rc == 0)
        print_texts("Ordered results using fm_pool_map_async():", fm_array_data(out));
    return rc;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* `open` is fm_pool_imap or fm_pool_imap_unordered. */
static int take_texts(fm_pool *pool, fm_array *in, __typeof__(fm_pool_imap) *open, text *texts)
{
    FM_AUTO(fm_stream) stream = NULL;
    fm_stream_item item;
    int n = 0;
    int rc = open(pool, calculate_item, fm_source_array(in),
                  FM_STREAM_OPTS(.result_bytes = sizeof(text)), &stream);
    while (rc == 0 && (rc = fm_stream_next(stream, &item, FM_FOREVER)) == 0)
        memcpy(texts[n++], item.result, sizeof(text));
    return rc == FM_ECLOSED ? 0 : rc;
}

static int show_streams(fm_pool *pool, fm_array *in)
{
    text texts[TASKS];
    int rc = take_texts(pool, in, fm_pool_imap, texts);
    if (rc == 0) {
        print_texts("Ordered results using fm_pool_imap():", texts);
        rc = take_texts(pool, in, fm_pool_imap_unordered, texts);
    }
    if (rc == 0) { /* they come in any order */
        qsort(texts, TASKS, sizeof texts[0], compare_texts);
        print_texts("Sorted results using fm_pool_imap_unordered():", texts);
    }
    return rc;
}

static int show_results(fm_pool *pool)
{
    FM_AUTO(fm_array) in = NULL;
    struct task tasks[TASKS];
    for (int i = 0; i < EACH; i++) {
        tasks[i] = (struct task){'*', i, 7};
        tasks[EACH + i] = (struct task){'+', i, 8};
    }
    int rc = fm_array_from(&in, tasks, FM_STRUCT(sizeof tasks[0]), 1, (const int64_t[]){TASKS});
    if (rc == 0)
        rc = show_apply_async(pool, tasks);
    if (rc == 0)
        rc = show_streams(pool, in);
    if (rc == 0)
        rc = show_map_async(pool, in);
    return rc;
}

/* ---- errors ------------------------------------------------------------------------------------- */

static int show_errors(fm_pool *pool)
{
    FM_AUTO(fm_array) out = NULL;
    FM_AUTO(fm_stream) stream = NULL;
    const int64_t five = 5, n = 10;
    double result = 0;
    fm_failure record;
    fm_stream_item item;
    int rc = fm_array_create(&out, FM_F64, 1, &n, NULL);
    if (rc != 0)
        return rc;
    printf("Errors:\n");
    rc = fm_pool_apply(pool, f, &five, sizeof five, &result, sizeof result);
    printf("  fm_pool_apply(): %s\n", fm_errname(rc));

    rc = fm_pool_map_range(pool, f_item, 0, n, out, NULL);
    printf("  fm_pool_map_range(): %s", fm_errname(rc));
    if (fm_pool_failures(pool, &record, 1) == 1)
        printf(", item %lld: %s", (long long)record.item, fm_strerror(record.code));

    rc = fm_pool_imap(pool, f_item, fm_source_range(0, n),
                      FM_STREAM_OPTS(.result_bytes = sizeof result), &stream);
    printf("\n  fm_stream_next():");
    while ((rc == 0 || rc == FM_ETASK) &&
           (rc = fm_stream_next(stream, &item, FM_FOREVER)) != FM_ECLOSED)
        printf(" %s", rc == 0 ? "ok" : fm_errname(rc)); /* the stream goes on */
    printf("\n");
    return rc == FM_ECLOSED ? 0 : rc;
}

/* ---- timeouts ----------------------------------------------------------------------------------- */

static int show_get_timeout(fm_pool *pool, atomic_int *flag)
{
    FM_AUTO(fm_result) result = NULL;
    text answer;
    int rc = fm_pool_apply_async(pool, wait_for_flag, &flag, sizeof flag, answer, sizeof answer,
                                 NULL, &result);
    if (rc == 0 && (rc = fm_result_get(result, FM_MS(20))) == -ETIMEDOUT) {
        printf("  fm_result_get(): nothing after 20 ms");
        atomic_store(flag, 1);
        rc = fm_result_get(result, FM_FOREVER);
    }
    if (rc == 0)
        printf(", then: %s\n", answer);
    return rc;
}

static int show_next_timeout(fm_pool *pool, atomic_int *flag)
{
    FM_AUTO(fm_stream) stream = NULL;
    fm_stream_item item;
    int rc = fm_pool_imap(pool, wait_for_flag_item, fm_source_range(0, 2),
                          FM_STREAM_OPTS(.arg = flag, .chunk = 1), &stream);
    if (rc == 0)
        rc = fm_stream_next(stream, &item, FM_FOREVER);
    if (rc == 0 && (rc = fm_stream_next(stream, &item, FM_MS(20))) == -ETIMEDOUT) {
        printf("  fm_stream_next(): nothing after 20 ms");
        atomic_store(flag, 1);
        rc = fm_stream_next(stream, &item, FM_FOREVER);
    }
    if (rc == 0)
        printf(", then: item %lld\n", (long long)item.index);
    return rc;
}

static int show_timeouts(fm_pool *pool)
{
    FM_AUTO(fm_array) flags = NULL;
    const int64_t two = 2;
    int rc = fm_array_zeros(&flags, FM_STRUCT(sizeof(atomic_int)), 1, &two);
    printf("Timeouts:\n");
    if (rc == 0)
        rc = show_get_timeout(pool, fm_array_data(flags));
    if (rc == 0)
        rc = show_next_timeout(pool, (atomic_int *)fm_array_data(flags) + 1);
    return rc;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 4));
    if (rc == 0)
        rc = show_results(pool);
    if (rc == 0)
        rc = show_errors(pool);
    if (rc == 0)
        rc = show_timeouts(pool);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    return 0;
}
