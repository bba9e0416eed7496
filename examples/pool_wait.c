/* SPDX-License-Identifier: MIT */
/*
 * Whichever is first: results that end in another order than they began, then a result and a pipe.
 *
 *     for future in concurrent.futures.as_completed(futures): ...
 *     multiprocessing.connection.wait([future, reader])           # Python has not this: an AsyncResult is nothing to wait for
 */
#include <forkmap/forkmap.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { CALLS = 4 };

/* A call ends when it is its turn. So the order is known here; as a rule it is not. */
struct call {
    int number, turn;
    atomic_int *now; /* in an array */
};

static int end_in_turn(const void *arg, void *result)
{
    const struct call *call = arg;
    while (atomic_load(call->now) < call->turn)
        usleep(1000);
    *(int *)result = call->number;
    return 0;
}

static int go_through(fm_pool *pool, atomic_int *now)
{
    static const int turns[CALLS] = {2, 1, 4, 3};
    fm_result *results[CALLS] = {NULL};
    int rc = 0;
    for (int i = 0; rc == 0 && i < CALLS; i++) {
        const struct call call = {i, turns[i], now};
        rc = fm_pool_apply_async(pool, end_in_turn, &call, sizeof call, NULL, sizeof(int), NULL,
                                 &results[i]);
    }
    for (int k = 0; rc == 0 && k < CALLS; k++) {
        atomic_fetch_add(now, 1);
        rc = fm_as_completed(results + k, CALLS - k, FM_FOREVER); /* it is results[k] now */
        if (rc == 0)
            rc = fm_result_get(results[k], FM_FOREVER);
        if (rc == 0)
            printf("call %d has ended\n", *(const int *)fm_result_data(results[k]));
    }
    for (int i = 0; i < CALLS; i++)
        fm_result_free(results[i]);
    return rc;
}

/* ---- a result and a pipe ----------------------------------------------------------------------- */

static int pipe_ends[2]; /* opened before the pool, so that the workers have them */

static int report_and_end(const void *arg, void *result)
{
    static const char words[] = "half way";
    if (write(pipe_ends[1], words, sizeof words) < 0)
        return -errno;
    return end_in_turn(arg, result);
}

static int wait_for_both(fm_pool *pool, atomic_int *now)
{
    FM_AUTO(fm_result) result = NULL;
    char words[16] = "";
    int ready[2] = {0, 0};
    const struct call call = {CALLS, 1, now};
    int rc = fm_pool_apply_async(pool, report_and_end, &call, sizeof call, NULL, sizeof(int), NULL,
                                 &result);
    while (rc == 0 && !ready[0]) {
        const fm_waitable objects[2] = {FM_WAIT_RESULT(result), FM_WAIT_FD(pipe_ends[0])};
        const int n_ready = fm_wait(objects, 2, ready, FM_FOREVER);
        rc = n_ready < 0 ? n_ready : 0;
        if (rc == 0 && ready[1] && read(pipe_ends[0], words, sizeof words) > 0) {
            printf("the pipe says: %s\n", words);
            atomic_fetch_add(now, 1); /* the call may end */
        }
    }
    if (rc == 0)
        rc = fm_result_get(result, FM_FOREVER);
    if (rc == 0)
        printf("call %d has ended\n", *(const int *)fm_result_data(result));
    return rc;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) now = NULL;
    const int64_t two = 2;
    int rc = pipe(pipe_ends) == 0 ? 0 : -errno;
    if (rc == 0)
        rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = CALLS));
    if (rc == 0)
        rc = fm_array_zeros(&now, FM_STRUCT(sizeof(atomic_int)), 1, &two);
    if (rc == 0)
        rc = go_through(pool, fm_array_data(now));
    if (rc == 0)
        rc = wait_for_both(pool, (atomic_int *)fm_array_data(now) + 1);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    return 0;
}
