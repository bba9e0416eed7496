/* SPDX-License-Identifier: MIT */
/* Handlers that end maps softly; see soft_stop.h. */
#include "soft_stop.h"

#include "clock.h"
#include "forklock.h"
#include "job.h"
#include "owner.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define ECHO_NS FM_MS(100)

enum { N_SIGNALS = 2 };
static const int caught[N_SIGNALS] = {SIGINT, SIGTERM};

/* Private to the process, as all here. */
static struct fmi_forklock counting = FMI_FORKLOCK;
static int n_maps;                  /* on all such pools, in process `counted_in`; under the lock */
static _Atomic uint32_t counted_in; /* changes under the lock */
static int is_installed[N_SIGNALS]; /* the same; changes only while no handler of ours can run */
static struct sigaction before[N_SIGNALS];
static _Atomic int told; /* number of the signal */
static _Atomic int64_t told_ns;
static _Atomic int n_handlers; /* that run now */

static int is_asking(const fm_pool *pool, uint32_t self)
{
    return atomic_load(&pool->n_soft) > 0 && pool->owner == self;
}

static void stop_pool(fm_pool *pool, int number)
{
    struct fmi_pool_shm *shm = pool->view.shm;
    atomic_store(&pool->stop_signal, number);
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++) /* what is done already is not stopped */
        if (fmi_job_state(atomic_load(&shm->jobs[slot].word)) == FMI_JOB_OPEN)
            fmi_job_stop_at(&shm->jobs[slot], 0);
    fmi_park_wake(&shm->done);
}

static void die_of(int number)
{
    sigset_t set;
    signal(number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, number);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Of the parent's maps none is here. */
static void leave_to_child(int number)
{
    for (int i = 0; i < N_SIGNALS; i++)
        if (caught[i] == number)
            sigaction(number, &before[i], NULL);
    raise(number); /* it is blocked until the handler has returned */
}

static void tell(int number)
{
    int none = 0;
    int64_t now = fmi_now_ns(), first = atomic_load(&told_ns);
    if (!atomic_compare_exchange_strong(&told, &none, number)) {
        if (first != 0 && now - first > ECHO_NS)
            die_of(number);
        return;
    }
    atomic_store(&told_ns, now);
    uint32_t self = fmi_owner_pid();
    for (fm_pool *pool = fmi_owner_first_handle(); pool != NULL; pool = pool->next)
        if (is_asking(pool, self))
            stop_pool(pool, number);
}

static void handle(int number)
{
    int code = errno;
    atomic_fetch_add(&n_handlers,
                     1); /* seq_cst: before the look at n_soft; pairs with await_handlers */
    if (atomic_load(&counted_in) == (uint32_t)getpid())
        tell(number);
    else
        leave_to_child(number);
    atomic_fetch_sub(&n_handlers, 1);
    errno = code;
}

/* Under the lock. */
static void install(void)
{
    for (int i = 0; i < N_SIGNALS; i++) {
        struct sigaction now, action = {.sa_handler = handle};
        is_installed[i] = sigaction(caught[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN;
        if (!is_installed[i])
            continue;
        if (now.sa_handler !=
            handle) /* in a child it may be ours still: `before` is the parent's */
            before[i] = now;
        sigemptyset(&action.sa_mask);
        for (int k = 0; k < N_SIGNALS; k++)
            sigaddset(&action.sa_mask, caught[k]);
        sigaction(caught[i], &action, NULL);
    }
}

/* Under the lock. But for what the program has installed meanwhile. */
static void restore(void)
{
    struct sigaction now;
    for (int i = 0; i < N_SIGNALS; i++)
        if (is_installed[i] && sigaction(caught[i], NULL, &now) == 0 && now.sa_handler == handle)
            sigaction(caught[i], &before[i], NULL);
}

/* Those of other threads: this one has them blocked. */
static void await_handlers(void)
{
    while (atomic_load(&n_handlers) != 0)
        sched_yield();
}

static void lock(sigset_t *mask)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaddset(&set, caught[i]);
    pthread_sigmask(SIG_BLOCK, &set, mask);
    fmi_forklock_acquire(&counting);
    if (atomic_load(&counted_in) != fmi_owner_pid()) { /* a child begins anew */
        atomic_store(&counted_in, fmi_owner_pid());
        n_maps = 0;
        atomic_store(&told, 0);
        atomic_store(&told_ns, 0);
        atomic_store(&n_handlers, 0);
    }
}

static void unlock(const sigset_t *mask)
{
    fmi_forklock_release(&counting);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void fmi_soft_stop_begin(fm_pool *pool)
{
    sigset_t mask;
    if (pool->signals != FM_SIGNALS_SOFT)
        return;
    lock(&mask);
    if (n_maps++ == 0)
        install();
    if (atomic_fetch_add(&pool->n_soft, 1) == 0)
        atomic_store(&pool->stop_signal, 0);
    int number = atomic_load(&told);
    if (number != 0)
        atomic_store(&pool->stop_signal, number);
    unlock(&mask);
}

/* A signal that comes last of all finds nothing to stop: fm_pool_signal() tells of it. */
void fmi_soft_stop_end(fm_pool *pool)
{
    sigset_t mask;
    if (pool->signals != FM_SIGNALS_SOFT)
        return;
    lock(&mask);
    if (n_maps == 1)
        restore();
    await_handlers();
    atomic_fetch_sub(&pool->n_soft, 1); /* seq_cst */
    await_handlers();                   /* one that came between has seen the pool, or will not */
    if (--n_maps == 0) {
        atomic_store(&told, 0);
        atomic_store(&told_ns, 0);
    }
    unlock(&mask);
}

int fmi_soft_stop_told(const fm_pool *pool)
{
    return atomic_load(&pool->n_soft) > 0 ? atomic_load(&pool->stop_signal) : 0;
}
