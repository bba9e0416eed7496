/* SPDX-License-Identifier: MIT */
/* What every call on a pool begins with: is the handle alive, is it ours, and what is this function elsewhere. */
#include "handle.h"

#include "error.h"
#include "heap.h"
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "owner.h"

int fmi_pool_check(const fm_pool *pool)
{
    if (pool == NULL)
        return fmi_error(-EINVAL, "the pool is NULL");
    if (pool->owner !=
        fmi_owner_pid()) /* first: workers have the handle as it was before it was live */
        return fmi_error(FM_EFORKED, "the pool belongs to process %u; open one here", pool->owner);
    if (atomic_load(&pool->mark) != FMI_HANDLE_LIVE)
        return fmi_error(-EINVAL, "the pool is destroyed already");
    return 0;
}

int fmi_pool_enter(fm_pool *pool)
{
    int rc = fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    int phase = (int)(atomic_fetch_add(&pool->use, 1) >> 32);
    if (atomic_load(&pool->mark) != FMI_HANDLE_LIVE) { /* destroyed since: touch nothing else */
        atomic_fetch_sub(&pool->use, 1);
        return fmi_pool_check(pool);
    }
    if (phase == FMI_PHASE_OPEN)
        return 0;
    fmi_pool_leave(pool);
    return fmi_error(FM_ECLOSED, "the pool is %s",
                     phase == FMI_PHASE_CLOSED ? "closed to new maps" : "terminated");
}

int fmi_pool_hold(fm_pool *pool, uint64_t serial)
{
    if (pool->owner != fmi_owner_pid())
        return fmi_error(FM_EFORKED, "the result belongs to process %u", pool->owner);
    atomic_fetch_add(&pool->use, 1);
    if (atomic_load(&pool->mark) == FMI_HANDLE_LIVE && pool->serial == serial)
        return 0;
    if (atomic_load(&pool->mark) == FMI_HANDLE_LIVE)
        fmi_pool_leave(pool); /* of another pool by now */
    else
        atomic_fetch_sub(&pool->use, 1);
    return -EINVAL;
}

/*
 * The last to leave a pool that is being closed or destroyed wakes whoever waits for that, under the lock, which the destroyer takes
 * too before it frees what is touched here. While the pool is open, nothing is touched after the count.
 */
void fmi_pool_leave(fm_pool *pool)
{
    uint64_t use =
        atomic_load_explicit(&pool->use, memory_order_relaxed); /* the exchange decides */
    while (use >> 32 == FMI_PHASE_OPEN)
        if (atomic_compare_exchange_weak(&pool->use, &use, use - 1))
            return;
    if (use >> 32 == FMI_PHASE_CLOSED && (uint32_t)use == 1)
        fmi_pool_finalize(pool); /* before the count: then the pool may be gone */
    pthread_mutex_lock(&pool->lock);
    if ((uint32_t)atomic_fetch_sub(&pool->use, 1) == 1) {
        fmi_pool_dismiss(pool);
        fmi_park_wake(&pool->view.shm->done);
    }
    pthread_mutex_unlock(&pool->lock);
}

void fmi_pool_dismiss(fm_pool *pool)
{
    if (pool->has_crew)
        fmi_crew_command(&pool->crew,
                         FMI_COMMAND_LEAVE); /* first: the warden believes `left` only then */
    atomic_store(FMI_POOL_CLOSING(pool->view.shm), 1);
    fmi_park_wake(&pool->view.shm->work);
}

void fmi_pool_finalize(fm_pool *pool)
{
    int (*finalizer)(int, void *) = atomic_exchange(&pool->finalizer, NULL);
    if (finalizer != NULL)
        (void)finalizer(0, pool->finalizer_arg);
}

int fmi_pool_is_inline(const fm_pool *pool)
{
    if (fmi_worker_self() != NULL)
        return pool != NULL && !fmi_owner_has(pool);
    return fmi_runner_current() != NULL && fmi_pool_check(pool) == 0 && !pool->is_nested;
}

int fmi_pool_trouble(fm_pool *pool)
{
    int phase = fmi_pool_phase(pool);
    if (phase == FMI_PHASE_TERMINATED)
        return fmi_error(FM_ECANCELLED, "the pool was terminated");
    if (!pool->has_crew)
        return 0;
    uint32_t state = atomic_load(&pool->crew.plan.shm->state);
    if (state == FMI_CREW_BROKEN)
        return fmi_error(FM_EBROKEN, "workers cannot be started: %s",
                         fm_strerror(atomic_load(&pool->crew.plan.shm->why)));
    if (!fmi_crew_is_alive(&pool->crew) || state != FMI_CREW_RUNNING)
        return fmi_error(FM_EBROKEN, "the warden died; open the pool again");
    return 0;
}

static int same_function(const struct fmi_function_shm *a, const struct fmi_function_shm *b)
{
    return a->offset == b->offset && a->id_bytes == b->id_bytes &&
           memcmp(a->id, b->id, sizeof a->id) == 0 && strcmp(a->path, b->path) == 0;
}

/* The shared copy of `fresh`: one for each function, however often it is asked for. Under the lock. */
static int share_description(fm_pool *pool, const struct fmi_function_shm *fresh)
{
    void *shm;
    for (struct fmi_described *d = pool->described; d != NULL; d = d->next)
        if (same_function(d->shm, fresh)) {
            pool->known_described = d->shm;
            return 0;
        }
    struct fmi_described *d = malloc(sizeof *d);
    int rc = d == NULL ? -ENOMEM : fmi_heap_alloc(&shm, sizeof *fresh, 0);
    if (rc != 0) {
        free(d);
        return rc;
    }
    memcpy(shm, fresh, sizeof *fresh);
    *d = (struct fmi_described){.next = pool->described, .shm = shm};
    pool->described = d;
    pool->known_described = d->shm;
    return 0;
}

/* Under the lock. */
static int describe(fm_pool *pool, const void *function)
{
    struct fmi_function_shm *fresh = malloc(sizeof *fresh); /* 4 KiB */
    if (fresh == NULL)
        return -ENOMEM;
    int rc = fmi_function_describe(pool->modules, function, fresh);
    pool->known_described = NULL;
    if (rc == 0 && fresh->address == 0)
        rc = share_description(pool, fresh);
    free(fresh);
    return rc;
}

int fmi_pool_function(fm_pool *pool, fmi_any_fn *function,
                      const struct fmi_function_shm **described)
{
    union { /* ISO C has no cast between the two */
        fmi_any_fn *function;
        const void *object;
    } pointer = {.function = function};
    *described = NULL;
    if (fmi_modules_in_program(pool->modules, pointer.object))
        return 0;
    uint64_t generation = fmi_modules_generation();
    int rc = 0;
    pthread_mutex_lock(&pool->lock);
    if (pool->known_function != pointer.object || pool->known_generation != generation) {
        rc = describe(pool, pointer.object);
        pool->known_function = rc == 0 ? pointer.object : NULL;
        pool->known_generation = generation;
    }
    *described = pool->known_described;
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void fmi_pool_keep_block(fm_pool *pool, void *block)
{
    struct fmi_kept_block *kept = block == NULL ? NULL : malloc(sizeof *kept);
    if (kept == NULL)
        return; /* without memory it stays until the family ends */
    pthread_mutex_lock(&pool->lock);
    *kept = (struct fmi_kept_block){.next = pool->kept_blocks, .block = block};
    pool->kept_blocks = kept;
    pthread_mutex_unlock(&pool->lock);
}

void fmi_pool_limit_begin(fm_pool *pool, int64_t tick_ns)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->n_limited++ == 0 || tick_ns < pool->tick_ns)
        pool->tick_ns = tick_ns;
    fmi_crew_set_tick(&pool->crew, pool->tick_ns);
    pthread_mutex_unlock(&pool->lock);
}

void fmi_pool_limit_end(fm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (--pool->n_limited == 0)
        fmi_crew_set_tick(&pool->crew, 0);
    pthread_mutex_unlock(&pool->lock);
}
