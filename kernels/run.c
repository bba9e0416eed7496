/* SPDX-License-Identifier: MIT */

/*
 * Runs a problem serially or in a pool; run_openmp.c has the third way. All end in the same call of
 * the kernel's range function, and differ only in who calls it for which [begin, end).
 */

#include "params.h"

int fmk_next_pass(struct fmk_problem *p, int64_t n_done)
{
    const int ready = p->kernel->next_pass != NULL ? p->kernel->next_pass(p, n_done) : n_done == 0;
    return ready > 0 ? 1 : ready;
}

int fmk_run_serial(struct fmk_problem *p)
{
    int ready;
    for (int64_t pass = 0; (ready = fmk_next_pass(p, pass)) == 1; pass++)
        p->kernel->range(0, p->n, p->ctx);
    return ready;
}

/*
 * The map's `arg`. Both pointers mean the same in a worker: ctx lies in the heap, and range is code
 * of a module that was loaded before the pool was opened, so the workers inherited it at its
 * address. A kernel from a module opened later would have to be mapped by its own chunk function,
 * which the pool finds there.
 */
struct range_call {
    fmk_range_fn *range;
    const void *ctx;
};

static int run_chunk(const fm_chunk *chunk, void *arg)
{
    const struct range_call *call = arg;
    call->range(chunk->begin, chunk->begin + chunk->count, call->ctx);
    return 0;
}

static int map_once(struct fmk_problem *p, fm_pool *pool, const fm_map_opts *opts)
{
    switch (p->kernel->n_columns) {
    case 0:
        return fm_pool_map_range_chunks(pool, run_chunk, 0, p->n, p->out, opts);
    case 1:
        return fm_pool_map_chunks(pool, run_chunk, p->columns[0], p->out, opts);
    default:
        return fm_pool_starmap_chunks(pool, run_chunk, p->columns, p->kernel->n_columns, p->out,
                                      opts);
    }
}

int fmk_run_forkmap(struct fmk_problem *p, fm_pool *pool, const fm_map_opts *opts)
{
    struct range_call call = {p->kernel->range, p->ctx};
    fm_map_opts with_call = opts != NULL ? *opts : *FM_MAP_OPTS(.chunk = 0);
    fmk_error_clear();
    with_call.arg = &call;
    with_call.arg_bytes = sizeof call;
    if (with_call.chunk == 0 && p->kernel->grain > 1 && with_call.schedule != FM_SCHEDULE_STATIC)
        with_call.chunk = p->kernel->grain;
    int ready, e = 0;
    for (int64_t pass = 0; e == 0 && (ready = fmk_next_pass(p, pass)) != 0; pass++)
        e = ready == 1 ? map_once(p, pool, &with_call) : ready;
    return e;
}
