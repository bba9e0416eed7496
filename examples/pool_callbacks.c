/* SPDX-License-Identifier: MIT */
/*
 * Results that are collected as they come, by callbacks:
 *
 *     for i in range(10):
 *         pool.apply_async(root, args=(i - 2,), callback=collect, error_callback=complain)
 *     pool.close()
 *     pool.join()
 *     print(results)
 *
 * The callbacks run in one thread of the pool, one after the other, so they need no lock among themselves; what they have written
 * may be read once the pool is joined.
 */
#include <forkmap/forkmap.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

enum { CALLS = 10, FIRST = -2 };

struct collection {
    double sum;
    int n_results, n_errors;
    fm_failure errors[CALLS];
};

static int root(const void *arg, void *result)
{
    const double x = *(const double *)arg;
    fm_note("the root of %g", x); /* shows up in the record, if there is one */
    if (x < 0)
        return -EDOM;
    *(double *)result = sqrt(x);
    return 0;
}

static void collect(fm_result *result, void *arg)
{
    struct collection *c = arg;
    c->sum += *(const double *)fm_result_data(result);
    c->n_results++;
}

static void complain(fm_result *result, void *arg)
{
    struct collection *c = arg;
    fm_result_failures(result, &c->errors[c->n_errors++], 1);
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    struct collection c = {0};
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1)); /* one: calls end in their order */
    for (int i = 0; rc == 0 && i < CALLS; i++) {
        const double x = FIRST + i;
        rc = fm_pool_apply_async(
            pool, root, &x, sizeof x, NULL, sizeof(double),
            FM_APPLY_OPTS(.callback = collect, .error_callback = complain, .callback_arg = &c),
            NULL); /* nobody asks: it is freed after its callback */
    }
    if (rc == 0)
        rc = fm_pool_close(pool);
    if (rc == 0)
        rc = fm_pool_join(pool, FM_FOREVER);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    printf("%d results, sum %.4f\n", c.n_results, c.sum);
    for (int i = 0; i < c.n_errors; i++)
        printf("%s: %s\n", c.errors[i].note, fm_strerror(c.errors[i].code));
    return 0;
}
