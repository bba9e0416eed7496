/* SPDX-License-Identifier: MIT */
/* What every call on a pool begins with: is the handle alive, is it ours, and what is this function elsewhere. */
#include "handle.h"

#include "error.h"
#include "heap.h"
#include "run.h"
#include "usercode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "owner.h"

int fmi_pool_check(const fm_pool *pool)
{
    if (fmi_worker_self() != NULL)
        fmi_usercode_end_second_host();
    if (pool == NULL)
        return fmi_error(-EINVAL, "the pool is NULL");
    if (pool->owner !=
        fmi_owner_pid()) /* first: workers have the handle as it was before it was live */
        return fmi_error(FM_EFORKED, "the pool belongs to process %u; open one here", pool->owner);
    if (atomic_load(&pool->mark) != FMI_HANDLE_LIVE)
        return fmi_error(-EINVAL, "the pool is destroyed already");
    return 0;
}

int fmi_pool_gate(void)
{
    static _Atomic unsigned n_threads; /* private to the process */
    static _Thread_local unsigned number;
    if (number == 0)
        number =
            atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed) % FMI_HANDLE_GATES + 1;
    return (int)number - 1;
}

static struct fmi_gate *gate_of_this_thread(fm_pool *pool)
{
    return &pool->gates[fmi_pool_gate()];
}

static int is_occupied(const fm_pool *pool)
{
    for (int i = 0; i < FMI_HANDLE_GATES; i++)
        if (atomic_load(&pool->gates[i].n) != 0)
            return 1;
    return 0;
}

int fmi_pool_enter(fm_pool *pool)
{
    int rc = fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    atomic_fetch_add(&gate_of_this_thread(pool)->n, 1);
    int phase = fmi_pool_phase(pool);
    rc = fmi_pool_check(pool);
    if (rc == 0 && phase != FMI_PHASE_OPEN)
        rc = fmi_error(FM_ECLOSED, "the pool is %s",
                       phase == FMI_PHASE_CLOSED ? "closed to new maps" : "terminated");
    /* Or a caller that works would do all alone from now on, and nobody would know why it takes so long. */
    if (rc == 0 && pool->has_crew)
        rc = fmi_pool_trouble(pool);
    if (rc != 0)
        fmi_pool_leave(pool);
    return rc;
}

int fmi_pool_hold(fm_pool *pool, uint64_t serial)
{
    if (pool->owner != fmi_owner_pid())
        return fmi_error(FM_EFORKED, "the result belongs to process %u", pool->owner);
    atomic_fetch_add(&gate_of_this_thread(pool)->n, 1);
    if (atomic_load(&pool->mark) == FMI_HANDLE_LIVE && pool->serial == serial)
        return 0;
    fmi_pool_leave(pool); /* it is destroyed, and another one by now or not */
    return -EINVAL;
}

/* After the count the pool may be gone, so what is touched then outlives it: the phase, and what fmi_pool_wind_down reads first. */
void fmi_pool_leave(fm_pool *pool)
{
    atomic_fetch_sub(&gate_of_this_thread(pool)->n, 1);
    if (fmi_pool_phase(pool) != FMI_PHASE_OPEN)
        fmi_pool_wind_down(pool);
}

/* Under the lock. */
static int is_to_wind_down(const fm_pool *pool)
{
    uint64_t mark = atomic_load(&pool->mark);
    return (mark == FMI_HANDLE_LIVE || mark == FMI_HANDLE_ENDING) && !is_occupied(pool);
}

/* Under the lock, but while it runs: it is the user's. By then this thread is inside again. */
static void finalize(fm_pool *pool)
{
    int (*finalizer)(int, void *) = pool->finalizer;
    if (finalizer == NULL || fmi_pool_phase(pool) != FMI_PHASE_CLOSED)
        return;
    pool->finalizer = NULL;
    atomic_fetch_add(&gate_of_this_thread(pool)->n, 1);
    pthread_mutex_unlock(&pool->lock);
    (void)finalizer(0, pool->finalizer_arg);
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_sub(&gate_of_this_thread(pool)->n, 1);
}

void fmi_pool_wind_down(fm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (is_to_wind_down(pool)) {
        finalize(pool);
        if (pool->has_crew)
            fmi_crew_command(&pool->crew,
                             FMI_COMMAND_LEAVE); /* first: the warden believes `left` only then */
        atomic_store(&pool->told_closing, 1);
        atomic_store(FMI_POOL_CLOSING(pool->view.shm), 1);
        fmi_park_wake(&pool->view.shm->work);
        fmi_park_wake(&pool->view.shm->done);
    }
    pthread_mutex_unlock(&pool->lock);
}

int fmi_pool_vacate(fm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int is_empty = !is_occupied(pool);
    if (is_empty)
        atomic_store(&pool->mark, FMI_HANDLE_EMPTY);
    pthread_mutex_unlock(&pool->lock);
    return is_empty;
}

int fmi_pool_is_inline(const fm_pool *pool)
{
    if (fmi_worker_self() != NULL) {
        fmi_usercode_end_second_host();
        return pool != NULL && !fmi_owner_has(pool);
    }
    return fmi_runner_current() != NULL && fmi_pool_check(pool) == 0 && !pool->is_nested;
}

int fmi_pool_trouble(fm_pool *pool)
{
    int phase = fmi_pool_phase(pool);
    if (atomic_load_explicit(&pool->is_condemned, memory_order_relaxed)) /* set before the phase */
        return fmi_error(FM_ECORRUPT, "a worker overwrote the pool's control memory; the pool is "
                                      "terminated");
    if (phase == FMI_PHASE_TERMINATED)
        return fmi_error(FM_ECANCELLED, "the pool was terminated");
    if (!pool->has_crew)
        return 0;
    uint32_t state = atomic_load(&pool->crew.plan.shm->state);
    if (fmi_crew_check_state(&pool->crew) != 0)
        return fmi_error(FM_ECORRUPT, "a worker overwrote the state of the pool's warden");
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
