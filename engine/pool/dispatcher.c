/* SPDX-License-Identifier: MIT */
/* The dispatcher thread; see dispatcher.h. */
#include "dispatcher.h"

#include "clock.h"
#include "error.h"
#include "forksafe.h"
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { LOOK_NS = 1000000000, DRAIN_LOOK_NS = 1000000 };

struct watched { /* results in the order in which they came */
    struct fm_result *first, **last;
};

struct fmi_dispatcher {
    pthread_t thread;
    pthread_mutex_t lock;
    struct watched tasks; /* begun in this order, so only those at the front can be over, unless */
    int is_one_called_off;
    uint64_t position;     /* of the last of them in the ring */
    struct watched others; /* maps, and tasks that came late */
    struct watched over;   /* to be dispatched */
    int is_busy;           /* with a result that is in none of these */
    int is_ending;
}; /* lists and marks: under the lock */

static _Thread_local const fm_pool *dispatching;

int fmi_dispatcher_is_self(const fm_pool *pool)
{
    return pool != NULL && dispatching == pool;
}

/* ---- the list ----------------------------------------------------------------------------------- */

static void append(struct watched *list, struct fm_result *r)
{
    r->next = NULL;
    *list->last = r;
    list->last = &r->next;
}

static void unlink_at(struct watched *list, struct fm_result **at)
{
    struct fm_result *r = *at;
    *at = r->next;
    if (list->last == &r->next)
        list->last = at;
}

static int is_taken_off(struct watched *list, const struct fm_result *r)
{
    for (struct fm_result **at = &list->first; *at != NULL; at = &(*at)->next)
        if (*at == r) {
            unlink_at(list, at);
            return 1;
        }
    return 0;
}

void fmi_dispatcher_watch(fm_pool *pool, struct fm_result *r)
{
    struct fmi_dispatcher *d = atomic_load(&pool->dispatcher);
    pthread_mutex_lock(&d->lock);
    if (atomic_load(&r->is_watched) == 0) {
        int is_in_order = r->slot != NULL && r->fd < 0 && r->slot->position >= d->position;
        atomic_store(&r->is_watched, 1);
        append(is_in_order ? &d->tasks : &d->others, r);
        d->position = is_in_order ? r->slot->position : d->position;
    }
    if (r->slot != NULL)
        (void)fmi_task_want(r->slot);
    pthread_mutex_unlock(&d->lock);       /* from here on it may be gone */
    fmi_park_wake(&pool->view.shm->done); /* it may be over already */
}

void fmi_dispatcher_forget(fm_pool *pool, struct fm_result *r)
{
    struct fmi_dispatcher *d = atomic_load(&pool->dispatcher);
    pthread_mutex_lock(&d->lock);
    if (is_taken_off(&d->tasks, r) || is_taken_off(&d->others, r) || is_taken_off(&d->over, r))
        atomic_store(&r->is_watched, 0);
    pthread_mutex_unlock(&d->lock);
}

void fmi_dispatcher_look_at_all(fm_pool *pool)
{
    struct fmi_dispatcher *d = atomic_load(&pool->dispatcher);
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->is_one_called_off = 1;
    pthread_mutex_unlock(&d->lock);
}

/* ---- the thread --------------------------------------------------------------------------------- */

static void sort_out(fm_pool *pool, struct fmi_dispatcher *d, struct watched *list, int is_in_order)
{
    for (struct fm_result **at = &list->first; *at != NULL;) {
        struct fm_result *r = *at;
        if (fmi_result_is_over(r)) {
            unlink_at(list, at);
            append(&d->over, r);
        } else if (is_in_order && !fmi_task_may_have_begun(pool, r->slot)) {
            break;
        } else {
            at = &r->next;
        }
    }
}

static struct fm_result *next_over(fm_pool *pool, struct fmi_dispatcher *d)
{
    pthread_mutex_lock(&d->lock);
    if (d->over.first == NULL) {
        sort_out(pool, d, &d->tasks, !d->is_one_called_off);
        sort_out(pool, d, &d->others, 0);
        d->is_one_called_off = 0;
    }
    struct fm_result *r = d->over.first;
    if (r != NULL)
        unlink_at(&d->over, &d->over.first);
    d->is_busy = r != NULL;
    pthread_mutex_unlock(&d->lock);
    return r;
}

/* A result that has callbacks becomes READY by nobody else. */
static void dispatch(fm_pool *pool, struct fm_result *r)
{
    int is_forgotten = r->is_forgotten;
    fmi_result_settle(r);
    if (fmi_result_has_callback(r)) {
        fmi_result_call_back(r);
        atomic_store(&r->is_watched, 0);
        fmi_result_publish(r, pool);
    } else {
        atomic_store(&r->is_watched, 0);
    }
    if (is_forgotten)
        fmi_result_delete(r);
}

static int is_idle(struct fmi_dispatcher *d, int *is_ending)
{
    pthread_mutex_lock(&d->lock);
    int idle =
        !d->is_busy && d->tasks.first == NULL && d->others.first == NULL && d->over.first == NULL;
    *is_ending = d->is_ending;
    pthread_mutex_unlock(&d->lock);
    return idle;
}

static void *run(void *arg)
{
    fm_pool *pool = arg;
    struct fmi_dispatcher *d = atomic_load(&pool->dispatcher);
    fmi_sys_set_name("fm-dispatcher");
    dispatching = pool;
    for (;;) {
        uint32_t seen = fmi_park_seen(&pool->view.shm->done);
        struct fm_result *r;
        while ((r = next_over(pool, d)) != NULL)
            dispatch(pool, r);
        int is_ending;
        if (is_idle(d, &is_ending) && is_ending)
            return NULL;
        fmi_forksafe_thread_waits(1);
        int rc = fmi_pool_park(pool, seen, 0, fmi_deadline_after(LOOK_NS));
        fmi_forksafe_thread_waits(0);
        if (rc == -ETIMEDOUT)
            fmi_dispatcher_look_at_all(
                pool); /* a reference that was out of date may have led to one behind its turn */
    }
}

/* ---- life --------------------------------------------------------------------------------------- */

static int start_thread(fm_pool *pool, struct fmi_dispatcher *d)
{
    sigset_t old;
    fmi_sys_block_signals(&old);
    int rc = pthread_create(&d->thread, NULL, run, pool);
    fmi_sys_restore_signals(&old);
    return -rc;
}

/* Under the pool's lock. */
static int make(fm_pool *pool)
{
    struct fmi_dispatcher *d = calloc(1, sizeof *d);
    if (d == NULL)
        return -ENOMEM;
    pthread_mutex_init(&d->lock, NULL);
    d->tasks.last = &d->tasks.first;
    d->others.last = &d->others.first;
    d->over.last = &d->over.first;
    atomic_store(&pool->dispatcher, d); /* the thread reads it */
    int rc = start_thread(pool, d);
    if (rc == 0)
        return 0;
    atomic_store(&pool->dispatcher, NULL);
    free(d);
    return fmi_error(rc, "the thread for callbacks cannot be started: %s", fm_strerror(rc));
}

int fmi_dispatcher_start(fm_pool *pool)
{
    int rc = 0;
    pthread_mutex_lock(&pool->lock);
    if (atomic_load(&pool->dispatcher) == NULL)
        rc = make(pool);
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

int fmi_dispatcher_drain(fm_pool *pool, int64_t deadline_ns)
{
    struct fmi_dispatcher *d = atomic_load(&pool->dispatcher);
    int is_ending;
    while (d != NULL && !is_idle(d, &is_ending)) {
        int64_t again_ns = fmi_deadline_after(DRAIN_LOOK_NS);
        if (deadline_ns != FMI_NEVER && fmi_now_ns() >= deadline_ns)
            return -ETIMEDOUT;
        uint32_t seen = fmi_park_seen(&pool->view.shm->done);
        (void)fmi_pool_park(pool, seen, 0, again_ns < deadline_ns ? again_ns : deadline_ns);
    }
    return 0;
}

void fmi_dispatcher_end(fm_pool *pool)
{
    struct fmi_dispatcher *d = atomic_load(&pool->dispatcher);
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->is_ending = 1;
    pthread_mutex_unlock(&d->lock);
    fmi_park_wake(&pool->view.shm->done);
    pthread_join(d->thread, NULL);
    pthread_mutex_destroy(&d->lock);
    free(d);
    atomic_store(&pool->dispatcher, NULL);
}
