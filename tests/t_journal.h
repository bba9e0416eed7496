/* SPDX-License-Identifier: MIT */
#ifndef T_JOURNAL_H
#define T_JOURNAL_H

/* What the tests of journals share: a map of 200,000 numbers into a file, that counts how often each item was run. */
#include "t_filemap.h"

#include "journal.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { T_ITEMS = 200000, T_CELL = 4, T_CELLS = 50000 };

/* Shared with all processes of a test. */
struct t_runs {
    _Atomic int n[T_ITEMS]; /* of each item */
    _Atomic int fails;      /* every 1000th item fails */
    _Atomic int watches; /* the first map is slow, and other workers before `is_over` are early */
    _Atomic int warden, is_over, n_early;
};

static inline struct t_runs *t_runs(void)
{
    static struct t_runs *runs;
    if (runs == NULL)
        runs = mmap(NULL, sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(runs != MAP_FAILED);
    return runs;
}

static inline int64_t t_value_of(int64_t i)
{
    return i * i + 7;
}

/* In a worker: its parent is the warden. */
static inline void t_watch(struct t_runs *runs)
{
    int none = 0, parent = getppid();
    atomic_compare_exchange_strong(&runs->warden, &none, parent);
    if (parent == atomic_load(&runs->warden))
        usleep(200);
    else if (!atomic_load(&runs->is_over))
        atomic_fetch_add(&runs->n_early, 1);
}

static inline int t_count_item(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    struct t_runs *runs = t_runs();
    (void)arg;
    atomic_fetch_add(&runs->n[i], 1);
    if (atomic_load(&runs->watches))
        t_watch(runs);
    if (atomic_load(&runs->fails) && i % 1000 == 999)
        return 5;
    *(int64_t *)result = t_value_of(i);
    return 0;
}

static inline int t_count_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t k = 0; k < chunk->count; k++) {
        int64_t i = chunk->begin + k;
        int rc = t_count_item(&i, (char *)chunk->out + k * chunk->out_stride, arg);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static inline int t_nothing_item(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 0;
}

static inline void t_forget_runs(void)
{
    memset(t_runs(), 0, sizeof *t_runs());
}

/* How often items were run in all, and items that were run more than once. */
static inline int64_t t_sum_runs(int64_t *n_twice)
{
    int64_t sum = 0;
    *n_twice = 0;
    for (int64_t i = 0; i < T_ITEMS; i++) {
        sum += t_runs()->n[i];
        *n_twice += t_runs()->n[i] > 1;
    }
    return sum;
}

/* The output file: made if it is not there. No assertion: it is used in children, too. */
static inline int t_open_out(const char *path, fm_array **out)
{
    return access(path, F_OK) == 0 ? fm_npy_load(path, FM_NPY_MAP_WRITE, out)
                                   : fm_npy_create(path, FM_I64, 1, T_SHAPE(T_ITEMS), out);
}

struct t_journal {
    const char *out, *journal;
    unsigned flags;
    int on_error, workers, caller, chunks;
    int64_t seed;
    int64_t n_before; /* gets it */
};

static inline int t_map_with(struct t_journal *j, fm_pool *pool, fm_array *out, fm_array *status)
{
    const fm_map_opts *opts =
        FM_MAP_OPTS(.journal = j->journal, .journal_flags = j->flags, .on_error = j->on_error,
                    .status = status, .seed = (uint64_t)j->seed, .journal_done = &j->n_before);
    return j->chunks ? fm_pool_map_range_chunks(pool, t_count_chunk, 0, T_ITEMS, out, opts)
                     : fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, out, opts);
}

/* The whole of it, with a pool of its own. */
static inline int t_run_journal(struct t_journal *j)
{
    fm_pool *pool = NULL;
    fm_array *out = NULL;
    int workers = j->workers > 0 ? j->workers : 2;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers, .caller = j->caller));
    if (rc == 0)
        rc = t_open_out(j->out, &out);
    if (rc == 0)
        rc = t_map_with(j, pool, out, NULL);
    fm_array_destroy(out);
    fm_pool_destroy(pool);
    return rc;
}

/* Rows of items that failed are not looked at. */
static inline void t_expect_values(const char *path, int fails)
{
    fm_array *a = t_load(path, FM_NPY_READ);
    const int64_t *data = fm_array_data(a);
    for (int64_t i = 0; i < T_ITEMS; i++)
        if (data[i] != t_value_of(i) && !(fails && i % 1000 == 999))
            fail_msg("row %lld is %lld", (long long)i, (long long)data[i]);
    fm_array_destroy(a);
}

#endif
