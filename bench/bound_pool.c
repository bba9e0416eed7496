/* SPDX-License-Identifier: MIT */
/* Opens the pools of engines. */
#include "bound_pool.h"

#include "facts.h"

#include <stdio.h>
#include <string.h>

/* The caller is bound after the open: the pool counts the cores that its opener may use, and leaves a caller
 * that works the core that it is on. */
int bench_pool_open(fm_pool **pool, const char *kind, int workers)
{
    fm_worker_info first;
    *pool = NULL;
    const int caller = strcmp(kind, "forkmap-caller") == 0     ? FM_CALLER_WORKS
                       : strcmp(kind, "forkmap-isolated") == 0 ? FM_CALLER_SLEEPS
                                                               : 0;
    if (caller == 0)
        return 1;
    int code = fm_pool_open(pool, FM_POOL_OPTS(.workers = workers, .caller = caller));
    if (code == 0)
        code = fm_pool_worker(*pool, 0, &first);
    if (code == 0)
        bench_pin(first.cpu);
    return code;
}

int bench_engine_fail(const char *kind, int code)
{
    fprintf(stderr, "bench: %s: %s: %s\n", kind, fm_strerror(code), fm_error_detail());
    return 1;
}
