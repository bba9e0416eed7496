/* SPDX-License-Identifier: MIT */
/*
 * forkmap as an engine of the start benchmark: one process for all start methods, so that a big heap is there only
 * once. Its forkserver is forked before any memory is filled, as fm_forkserver_start() wants it. Each map is
 * checked: every item must have run in the pool that was just opened.
 */
#include "start.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"

#include <forkmap/forkmap.h>
#include <forkmap/process.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct host { /* the program that starts pools */
    void *heap;
    size_t heap_bytes;
    fm_array *arrays;
    fm_array *out; /* a result per worker */
    int64_t n_starts;
};

/* ---- memory of the host ---- */

static void touch_pages(void *memory, size_t bytes)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < bytes; at += page_bytes)
        ((volatile char *)memory)[at] = 1;
}

/* Small pages whatever the machine does by default: what a fork copies is page tables. */
static int set_heap(struct host *h, size_t bytes)
{
    if (h->heap != NULL)
        munmap(h->heap, h->heap_bytes);
    h->heap = NULL;
    if (bytes == 0)
        return 0;
    void *heap = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (heap == MAP_FAILED)
        return -errno;
    madvise(heap, bytes, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses, and is right */
    touch_pages(heap, bytes);
    h->heap = heap;
    h->heap_bytes = bytes;
    return 0;
}

static int set_arrays(struct host *h, size_t bytes)
{
    fm_array_destroy(h->arrays);
    h->arrays = NULL;
    if (bytes == 0)
        return 0;
    const int code = fm_array_create(&h->arrays, FM_U8, 1, (const int64_t[]){(int64_t)bytes}, NULL);
    if (code == 0)
        touch_pages(fm_array_data(h->arrays), bytes);
    return code;
}

/* ---- starts ---- */

/* Trivial, but it tells which start it ran in. */
static int note_start(const void *item, void *result, void *arg)
{
    *(int64_t *)result = *(const int64_t *)item + *(const int64_t *)arg;
    return 0;
}

static int check_results(const struct host *h, int workers)
{
    const int64_t *result = fm_array_data(h->out);
    for (int64_t i = 0; i < workers; i++)
        if (result[i] != i + h->n_starts)
            return -EPROTO;
    return 0;
}

/* What is measured: from nothing to a result, and back to nothing. */
static int start_once(struct host *h, const fm_context *context, int workers, int64_t *ns)
{
    fm_pool *pool;
    h->n_starts++;
    const int64_t begin_ns = bench_now_ns();
    int code = fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers, .context = context));
    if (code != 0)
        return code;
    code = fm_pool_map_range(pool, note_start, 0, workers, h->out,
                             FM_MAP_OPTS(.arg = &h->n_starts, .arg_bytes = sizeof(h->n_starts)));
    const int destroy_code = fm_pool_destroy(pool);
    *ns = bench_now_ns() - begin_ns;
    if (code == 0)
        code = destroy_code;
    return code == 0 ? check_results(h, workers) : code;
}

static int find_method(const char *name)
{
    for (const int *method = fm_all_start_methods(); *method != 0; method++)
        if (strcmp(fm_start_method_name(*method), name) == 0)
            return *method;
    return -EINVAL;
}

/* The mean of several [ns], after one that does not count; < 0: an error. */
static double time_starts(struct host *h, int method, int workers, int64_t max_starts,
                          int64_t max_ns)
{
    int64_t ns = 0, total_ns = 0, n = 0;
    fm_context context;
    int code = fm_get_context(method, &context);
    if (code == 0)
        code = start_once(h, &context, workers, &ns);
    for (; code == 0 && n < max_starts && total_ns < max_ns; n++) {
        code = start_once(h, &context, workers, &ns);
        total_ns += ns;
    }
    return code == 0 ? (double)total_ns / (double)n : code;
}

static int answer_start(struct host *h, const char *command, char answer[BENCH_LINE])
{
    char name[16];
    int workers;
    int64_t max_starts, max_ns;
    if (sscanf(command, "start %15s %d %" SCNd64 " %" SCNd64, name, &workers, &max_starts,
               &max_ns) != 4)
        return -EINVAL;
    const int method = find_method(name);
    const int code =
        method < 0 ? method : fm_array_zeros(&h->out, FM_I64, 1, (const int64_t[]){workers});
    if (code != 0)
        return code;
    const double ns = time_starts(h, method, workers, max_starts, max_ns);
    fm_array_destroy(h->out);
    snprintf(answer, BENCH_LINE, "%.3f", ns);
    return ns < 0 ? (int)ns : 0;
}

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct host *h = self;
    size_t bytes;
    int code;
    if (strncmp(command, "start ", 6) == 0) {
        code = answer_start(h, command, answer);
    } else {
        code = sscanf(command, "heap %zu", &bytes) == 1     ? set_heap(h, bytes)
               : sscanf(command, "arrays %zu", &bytes) == 1 ? set_arrays(h, bytes)
                                                            : -EINVAL;
        if (code == 0)
            snprintf(answer, BENCH_LINE, "ok");
    }
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %.60s: %s: %.100s", command, fm_errname(code),
                 code == -EPROTO ? "items are missing" : fm_error_detail());
    return code;
}

int bench_start_run_engine(const char *kind, char *const args[])
{
    struct host h = {.n_starts = 0};
    (void)args;
    int code = fm_forkserver_start(NULL);
    if (code != 0)
        return bench_engine_fail(kind, code);
    code = bench_engine_serve(answer_command, &h);
    fm_array_destroy(h.arrays);
    fm_forkserver_stop();
    return code;
}
