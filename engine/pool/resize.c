/* SPDX-License-Identifier: MIT */
/*
 * Growing and shrinking a pool. All ranks that there may be have their lines, blocks and cores from the open on; what changes is how many are wanted.
 *
 *   grow     crew: wanted, wait until ready      shrink   n_workers      maps that begin now have fewer shares
 *            then n_workers                               crew: wanted   the warden does not replace them any more
 *                                                         pool: wanted   the workers leave, when they have no share
 *
 * The last two words of a shrink in this order: or a worker leaves that the warden takes for missing. A grow raises the workers' word first, or a
 * new worker would leave at once.
 */
#include "error.h"
#include "handle.h"
#include "rlimits.h"

#include <errno.h>

static int check_number(const fm_pool *pool, int n)
{
    if (pool->is_serial && n != 1)
        return fmi_error(-EINVAL, "%d workers asked for; the pool is the caller alone", n);
    if (n < 1)
        return fmi_error(-EINVAL, "%d workers asked for; there is at least one", n);
    if (n > pool->view.n_ranks)
        return fmi_error(
            -EINVAL, "%d workers asked for, the pool has room for %d; open it with .max_workers", n,
            pool->view.n_ranks);
    return 0;
}

/* Those that are too many sleep, and look when they wake. */
static void tell_workers(fm_pool *pool, int n)
{
    fmi_pool_tell_wanted(pool, (uint64_t)n);
    fmi_park_wake(&pool->view.shm->work);
}

static int grow(fm_pool *pool, int n, int before)
{
    fmi_pool_tell_wanted(pool, (uint64_t)n);
    int rc = fmi_crew_grow(&pool->crew, n, pool->start_timeout);
    if (rc == 0)
        atomic_store(&pool->n_workers, n);
    else
        tell_workers(pool, before);
    return rc;
}

void fmi_pool_shrink(fm_pool *pool, int n)
{
    atomic_store(&pool->n_workers, n); /* seq_cst: first; pairs with fmi_mapping_publish */
    fmi_crew_shrink(&pool->crew, n);
    tell_workers(pool, n);
}

static int resize(fm_pool *pool, int n)
{
    int before = atomic_load(&pool->n_workers);
    int rc = fmi_pool_trouble(pool);
    if (rc != 0 || n == before)
        return rc;
    if (n > before)
        return grow(pool, n, before);
    fmi_pool_shrink(pool, n);
    return 0;
}

int fm_pool_resize(fm_pool *pool, int workers)
{
    int rc = fmi_pool_enter(pool);
    if (rc != 0)
        return rc;
    rc = check_number(pool, workers);
    if (rc == 0) {
        pthread_mutex_lock(&pool->resizing);
        rc = resize(pool, workers);
        pthread_mutex_unlock(&pool->resizing);
    }
    fmi_pool_leave(pool);
    return fmi_rlimits_explain(rc);
}
