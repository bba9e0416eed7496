/* SPDX-License-Identifier: MIT */
/*
 * One call after the other, or all at once: the program with which tutorials introduce a pool.
 *
 *     with Pool(processes=5) as pool:
 *         results = [pool.apply(task, args=(i,)) for i in range(10)]             # one after the other
 *         results = [pool.apply_async(task, args=(i,)) for i in range(10)]       # all at once
 *         results = [r.get() for r in results]
 *
 * There the clock tells them apart, 10 s and 2 s. Here the calls count themselves, in an array that all workers share.
 */
#include <forkmap/forkmap.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { TASKS = 10, WORKERS = 5 };

/* Calls that run now, and most of them so far. */
struct counts {
    atomic_int running, most;
};

struct call {
    int number;
    int company; /* so many calls must have been seen to run at the same time, before this one ends */
    struct counts *counts; /* in an array: the same for all processes */
};

static int task(const void *arg, void *result)
{
    const struct call *call = arg;
    struct counts *counts = call->counts;
    const int running = atomic_fetch_add(&counts->running, 1) + 1;
    int most = atomic_load(&counts->most);
    while (most < running && !atomic_compare_exchange_weak(&counts->most, &most, running))
        ;
    while (atomic_load(&counts->most) < call->company)
        usleep(1000);
    atomic_fetch_sub(&counts->running, 1);
    *(int *)result = call->number * call->number;
    return 0;
}

static int apply_all(fm_pool *pool, struct counts *counts, int squares[TASKS])
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < TASKS; i++) {
        const struct call call = {.number = i, .company = 1, .counts = counts};
        rc = fm_pool_apply(pool, task, &call, sizeof call, &squares[i], sizeof squares[i]);
    }
    return rc;
}

static int apply_all_async(fm_pool *pool, struct counts *counts, int squares[TASKS])
{
    fm_result *results[TASKS] = {NULL};
    int rc = 0;
    for (int i = 0; rc == 0 && i < TASKS; i++) {
        const struct call call = {.number = i, .company = WORKERS, .counts = counts};
        rc = fm_pool_apply_async(pool, task, &call, sizeof call, &squares[i], sizeof squares[i],
                                 NULL, &results[i]);
    }
    for (int i = 0; rc == 0 && i < TASKS; i++) /* in the order of the calls, however they end */
        rc = fm_result_get(results[i], FM_FOREVER);
    for (int i = 0; i < TASKS; i++)
        fm_result_free(results[i]);
    return rc;
}

static void tell(const char *how, struct counts *counts, const int squares[TASKS])
{
    printf("%s: at most %d at the same time, results", how, atomic_exchange(&counts->most, 0));
    for (int i = 0; i < TASKS; i++)
        printf(" %d", squares[i]);
    printf("\n");
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) shared = NULL;
    const int64_t one = 1;
    int first[TASKS] = {0}, second[TASKS] = {0};
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = WORKERS));
    if (rc == 0)
        rc = fm_array_zeros(&shared, FM_STRUCT(sizeof(struct counts)), 1, &one);
    if (rc == 0 && (rc = apply_all(pool, fm_array_data(shared), first)) == 0)
        tell("apply", fm_array_data(shared), first);
    if (rc == 0 && (rc = apply_all_async(pool, fm_array_data(shared), second)) == 0)
        tell("apply_async", fm_array_data(shared), second);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    return 0;
}
