/* SPDX-License-Identifier: MIT */
/*
 * The program of the section "Using a pool of workers" of Python's manual, step by step:
 *
 *     with Pool(processes=4) as pool:
 *         print(pool.map(f, range(10)))
 *         for i in pool.imap_unordered(f, range(10)): print(i)
 *         res = pool.apply_async(f, (20,));    print(res.get(timeout=1))
 *         res = pool.apply_async(os.getpid);   print(res.get(timeout=1))
 *         multiple_results = [pool.apply_async(os.getpid) for i in range(4)]
 *         res = pool.apply_async(time.sleep, (10,))
 *         try: print(res.get(timeout=1))
 *         except TimeoutError: print("We lacked patience and got a multiprocessing.TimeoutError")
 *
 * Which workers answer, and in which order, differs from run to run: it is shown by
 *
 *     pool_manual --pids
 */
#include <forkmap/forkmap.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N = 10, N_PIDS = 4 };
#define PATIENCE FM_SECONDS(60) /* 1 s in the manual; a loaded machine may need more */

static int show_pids;

static int square(const void *arg, void *result)
{
    const int64_t x = *(const int64_t *)arg;
    *(int64_t *)result = x * x;
    return 0;
}

/* The same for each item of a map. */
static int square_item(const void *item, void *result, void *arg)
{
    (void)arg;
    return square(item, result);
}

static int tell_pid(const void *arg, void *result)
{
    (void)arg;
    *(int *)result = getpid();
    return 0;
}

static int sleep_for(const void *arg, void *result)
{
    (void)result;
    sleep(*(const unsigned *)arg);
    return 0;
}

/* ---- one step of the manual each --------------------------------------------------------------- */

static int map(fm_pool *pool)
{
    FM_AUTO(fm_array) out = NULL;
    int rc = fm_array_create(&out, FM_I64, 1, (const int64_t[]){N}, NULL);
    if (rc == 0)
        rc = fm_pool_map_range(pool, square_item, 0, N, out, NULL);
    const int64_t *squares = fm_array_data(out);
    for (int i = 0; rc == 0 && i < N; i++)
        printf("%s%lld%s", i == 0 ? "[" : ", ", (long long)squares[i], i == N - 1 ? "]\n" : "");
    return rc;
}

/* The order is arbitrary; the sum is not. */
static int imap_unordered(fm_pool *pool)
{
    FM_AUTO(fm_stream) stream = NULL;
    fm_stream_item item;
    int64_t n = 0, sum = 0;
    int rc = fm_pool_imap_unordered(pool, square_item, fm_source_range(0, N),
                                    FM_STREAM_OPTS(.result_bytes = sizeof sum), &stream);
    while (rc == 0 && (rc = fm_stream_next(stream, &item, FM_FOREVER)) == 0) {
        n++;
        sum += *(const int64_t *)item.result;
        if (show_pids)
            printf("%lld\n", (long long)*(const int64_t *)item.result);
    }
    printf("%lld results in arbitrary order, %lld in all\n", (long long)n, (long long)sum);
    return rc == FM_ECLOSED ? 0 : rc;
}

static int apply_async(fm_pool *pool)
{
    FM_AUTO(fm_result) res = NULL;
    int64_t answer = 0;
    int rc = fm_pool_apply_async(pool, square, &(int64_t){20}, sizeof(int64_t), &answer,
                                 sizeof answer, NULL, &res);
    if (rc == 0)
        rc = fm_result_get(res, PATIENCE);
    if (rc == 0)
        printf("%lld\n", (long long)answer);
    return rc;
}

static int is_worker(fm_pool *pool, int pid)
{
    fm_worker_info info;
    for (int rank = 0; rank < fm_pool_workers(pool); rank++)
        if (fm_pool_worker(pool, rank, &info) == 0 && info.pid == pid)
            return 1;
    return 0;
}

/* Launching several evaluations may use more than one process. */
static int ask_pids(fm_pool *pool, int n)
{
    fm_result *results[N_PIDS] = {NULL};
    int pids[N_PIDS] = {0}, n_by_workers = 0, rc = 0;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = fm_pool_apply_async(pool, tell_pid, NULL, 0, &pids[i], sizeof pids[i], NULL,
                                 &results[i]);
    for (int i = 0; rc == 0 && i < n; i++) {
        rc = fm_result_get(results[i], PATIENCE);
        n_by_workers += is_worker(pool, pids[i]);
        if (rc == 0 && show_pids)
            printf("%d\n", pids[i]);
    }
    for (int i = 0; i < n; i++)
        fm_result_free(results[i]);
    if (rc == 0)
        printf("calls answered by one of %d workers: %d\n", fm_pool_workers(pool), n_by_workers);
    return rc;
}

static int lack_patience(fm_pool *pool)
{
    FM_AUTO(fm_result) res = NULL; /* is called off at the end of the scope */
    int rc = fm_pool_apply_async(pool, sleep_for, &(unsigned){10}, sizeof(unsigned), NULL, 0, NULL,
                                 &res);
    if (rc == 0 && (rc = fm_result_get(res, FM_SECONDS(1))) == -ETIMEDOUT) {
        printf("We lacked patience and got a timeout\n");
        rc = 0;
    }
    return rc;
}

static int use_pool(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 4));
    if (rc == 0)
        rc = map(pool);
    if (rc == 0)
        rc = imap_unordered(pool);
    if (rc == 0)
        rc = apply_async(pool);
    if (rc == 0)
        rc = ask_pids(pool, 1);
    if (rc == 0)
        rc = ask_pids(pool, N_PIDS);
    if (rc == 0)
        rc = lack_patience(pool);
    if (rc == 0)
        printf("For the moment, the pool remains available for more work\n");
    return rc;
}

int main(int argc, char **argv)
{
    show_pids = argc > 1 && strcmp(argv[1], "--pids") == 0;
    int rc = use_pool(); /* its end is that of the `with` block */
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    printf("Now the pool is closed and no longer available\n");
    return 0;
}
