/* SPDX-License-Identifier: MIT */
/*
 * OpenMP in the host and in the workers. The host has run a parallel region, so it has threads, which no fork copies. Then a function
 * is mapped that has a parallel region of its own, with two threads in each worker, by each start method.
 *
 * FM_FORKSERVER and FM_SPAWN give workers that know nothing of the host's threads. By FM_FORK the library pauses the OpenMP runtime
 * before it forks.
 */
#include <forkmap/forkmap.h>
#include <omp.h>
#include <stdio.h>

enum { ITEMS = 8, THREADS = 2 };

static int count_threads(const void *item, void *result, void *arg)
{
    int n = 0;
    (void)item;
    (void)arg;
#pragma omp parallel reduction(+ : n)
    n += 1;
    *(int32_t *)result = n;
    return 0;
}

/* Threads of a pinned worker would share its one core, hence FM_PIN_NONE. The time limit is for a worker that hangs. */
static int map_with(int method, fm_array *out)
{
    FM_AUTO(fm_pool) pool = NULL;
    fm_context context;
    int rc = fm_get_context(method, &context);
    if (rc == 0)
        rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .inner_threads = THREADS,
                                              .pin = FM_PIN_NONE, .context = &context));
    if (rc == 0)
        rc = fm_pool_map_range(pool, count_threads, 0, ITEMS, out,
                               FM_MAP_OPTS(.item_timeout = FM_SECONDS(10)));
    return rc;
}

static int try_method(int method)
{
    FM_AUTO(fm_array) out = NULL;
    const int64_t n = ITEMS;
    int rc = fm_array_zeros(&out, FM_I32, 1, &n);
    if (rc == 0)
        rc = map_with(method, out);
    if (rc != 0) {
        fprintf(stderr, "%s: %s: %s\n", fm_start_method_name(method), fm_strerror(rc),
                fm_error_detail());
        return rc;
    }
    const int32_t *threads = fm_array_data(out);
    int right = 0;
    for (int i = 0; i < ITEMS; i++)
        right += threads[i] == THREADS;
    printf("%s: %d of %d items are done by %d threads\n", fm_start_method_name(method), right,
           ITEMS, THREADS);
    return 0;
}

int main(int argc, char **argv)
{
    int sum = 0, rc = fm_init(argc, argv);
    if (rc == 0)
        rc = fm_forkserver_start(NULL); /* before there are threads */
#pragma omp parallel for num_threads(2) reduction(+ : sum)
    for (int i = 0; i < 1000; i++)
        sum += i;
    printf("the host has added up %d with two threads\n", sum);
    int failed = rc != 0;
    if (failed)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    for (const int *method = fm_all_start_methods(); rc == 0 && *method != 0; method++)
        failed |= try_method(*method) != 0;
    return failed;
}
