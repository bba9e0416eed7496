/* SPDX-License-Identifier: MIT */
/*
 * What every worker needs is made once in each, before it works, and undone when it leaves:
 *
 *     def init(degree):
 *         global table
 *         table = [1 / factorial(k) for k in range(degree + 1)]
 *     with Pool(2, initializer=init, initargs=(20,)) as pool:
 *         print(pool.map(exponential, [-1, 0, 1, 2]))
 *
 * Python has no finalizer. It runs in workers that leave because the pool was closed, not in those that are terminated.
 */
#include <forkmap/forkmap.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 2, N = 4 };

/* initargs. Copied at open; `log`, in an array, is shared. */
struct setup {
    int degree;
    struct visit *log; /* one for each rank */
};
struct visit {
    int came, left, degree;
};

/* Global, but of one worker alone: no other process sees it. */
static double *table;
static int degree;

static int init(int rank, void *arg)
{
    const struct setup *setup = arg;
    degree = setup->degree;
    table = malloc(((size_t)degree + 1) * sizeof *table);
    if (table == NULL)
        return 1; /* the pool is not opened then */
    table[0] = 1;
    for (int k = 1; k <= degree; k++)
        table[k] = table[k - 1] / k;
    setup->log[rank].came++;
    return 0;
}

static int fini(int rank, void *arg)
{
    const struct setup *setup = arg;
    free(table);
    setup->log[rank].degree = degree;
    setup->log[rank].left++;
    return 0;
}

static int exponential(const void *item, void *result, void *arg)
{
    const double x = *(const double *)item;
    double sum = 0;
    (void)arg;
    for (int k = degree; k >= 0; k--)
        sum = sum * x + table[k];
    *(double *)result = sum;
    return 0;
}

static int use_pool(struct visit *log, fm_array *in, fm_array *out)
{
    FM_AUTO(fm_pool) pool = NULL;
    const struct setup setup = {20, log};
    int rc = fm_pool_open(&pool,
                          FM_POOL_OPTS(.workers = WORKERS, .initializer = init, .finalizer = fini,
                                       .init_arg = (void *)&setup, .init_arg_bytes = sizeof setup));
    if (rc == 0)
        rc = fm_pool_map(pool, exponential, in, out, NULL);
    if (rc == 0)
        rc = fm_pool_close(pool); /* the workers leave in order */
    if (rc == 0)
        rc = fm_pool_join(pool, FM_FOREVER);
    return rc;
}

int main(void)
{
    FM_AUTO(fm_array) log = NULL;
    FM_AUTO(fm_array) in = NULL;
    FM_AUTO(fm_array) out = NULL;
    const int64_t n = N;
    int rc = fm_array_zeros(&log, FM_STRUCT(sizeof(struct visit)), 1, &(int64_t){WORKERS});
    if (rc == 0)
        rc = fm_array_from(&in, (const double[N]){-1, 0, 1, 2}, FM_F64, 1, &n);
    if (rc == 0)
        rc = fm_array_create(&out, FM_F64, 1, &n, NULL);
    if (rc == 0)
        rc = use_pool(fm_array_data(log), in, out);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    const struct visit *visits = fm_array_data(log);
    const double *x = fm_array_data(in), *y = fm_array_data(out);
    for (int i = 0; i < N; i++)
        printf("exp(%g) = %.6f%s\n", x[i], y[i], fabs(y[i] - exp(x[i])) < 1e-12 ? "" : ", wrong");
    for (int rank = 0; rank < WORKERS; rank++)
        printf("worker %d: came %d time, left %d time, with a table up to %d\n", rank,
               visits[rank].came, visits[rank].left, visits[rank].degree);
    printf("here: %s\n", table == NULL ? "no table" : "a table");
    return 0;
}
