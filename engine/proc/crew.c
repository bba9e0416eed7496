/* SPDX-License-Identifier: MIT */
/* The host's side of a crew: launch the warden, wait for the workers, command, join. The protocol is in crew.h. */
#include "crew.h"

#include "clock.h"
#include "error.h"
#include "forksafe.h"
#include "heap.h"
#include "process.h"

#include <errno.h>
#include <unistd.h>

enum { SPIN_NS = 20000 };

size_t fmi_crew_bytes(int n)
{
    return sizeof(struct fmi_crew_shm) + (size_t)n * sizeof(struct fmi_worker_shm);
}

static void begin_here(void *crew, const int *fds)
{
    fmi_warden_run(&((struct fmi_crew *)crew)->plan, fds);
}

static int start_warden(struct fmi_crew *crew, int64_t deadline_ns)
{
    int is_fork = crew->plan.method == FM_FORK;
    crew->bell = fmi_sys_eventfd();
    if (crew->bell < 0)
        return fmi_error(crew->bell, "eventfd: %s (see ulimit -n)", fm_strerror(crew->bell));
    struct fmi_launch launch = {.method = crew->plan.method,
                                .entry = is_fork ? begin_here : crew->plan.elsewhere,
                                .arg = is_fork ? (void *)crew : crew->plan.orders,
                                .fd = crew->bell,
                                .inner_threads = crew->plan.inner_threads,
                                .deadline_ns = deadline_ns};
    int rc = fmi_launch(&crew->warden, &launch);
    if (rc != 0)
        close(crew->bell);
    return rc;
}

/* 1: all ready; 0: not yet; < 0: one of them cannot start. */
static int check_ready(struct fmi_crew *crew)
{
    struct fmi_crew_shm *shm = crew->plan.shm;
    int n_ready = 0;
    for (int rank = crew->plan.first; rank < crew->plan.n; rank++) {
        struct fmi_worker_shm *worker = &shm->workers[rank];
        int code = atomic_load(&worker->init_code);
        if (code != 0)
            return fmi_error(FM_EINIT, "the initializer returned %d in worker %d", code, rank);
        int stack_code = atomic_load(&worker->stack_code);
        if (stack_code != 0)
            return fmi_error(stack_code, "worker %d has no memory for its stack", rank);
        uint32_t died = atomic_load_explicit(&worker->death.starts, memory_order_acquire);
        if (died != 0)
            return fmi_error(FM_EINIT, "worker %d ended while it started (%s %d)", rank,
                             worker->death.how == FMI_DEATH_EXIT ? "exit" : "signal",
                             worker->death.number);
        n_ready += atomic_load_explicit(&worker->ready, memory_order_acquire) !=
                   0; /* pairs with enter_work */
    }
    if (atomic_load(&shm->state) == FMI_CREW_BROKEN)
        return fmi_error(atomic_load(&shm->why), "workers cannot be forked: %s",
                         fm_strerror(atomic_load(&shm->why)));
    return n_ready == crew->plan.n - crew->plan.first;
}

static int await_ready(struct fmi_crew *crew, int64_t deadline_ns)
{
    struct fmi_crew_shm *shm = crew->plan.shm;
    for (;;) {
        uint32_t seen = fmi_park_seen(&shm->events);
        uint32_t life = atomic_load(&shm->life.word);
        int rc = check_ready(crew);
        if (rc < 0)
            return rc;
        if ((life & FMI_LIFE_OVER) != 0)
            return fmi_error(FM_EBROKEN, "the warden died while the pool started");
        if (rc == 1) {
            crew->life_value = life;
            return 0;
        }
        rc = fmi_park_alive(&shm->events, seen, SPIN_NS, &shm->life.word, life, deadline_ns);
        if (rc == -ETIMEDOUT)
            return fmi_error(-ETIMEDOUT, "the workers are not ready within start_timeout");
    }
}

int fmi_crew_open(struct fmi_crew *crew, const struct fmi_crew_plan *plan, int64_t timeout)
{
    int64_t deadline_ns = fmi_deadline_after(timeout);
    *crew = (struct fmi_crew){.plan = *plan, .warden.pidfd = -1, .bell = -1};
    fmi_park_init(&plan->shm->events);
    atomic_store(&plan->shm->command, FMI_COMMAND_RUN);
    atomic_store(&plan->shm->state, FMI_CREW_RUNNING);
    int rc = start_warden(crew, deadline_ns);
    if (rc != 0)
        return rc;
    rc = fmi_child_await_begin(&crew->warden, &plan->shm->events, &plan->shm->life, deadline_ns);
    if (rc == 0)
        rc = await_ready(crew, deadline_ns);
    if (rc == 0)
        return 0;
    fmi_crew_command(crew, FMI_COMMAND_KILL);
    if (fmi_crew_join(crew, FM_SECONDS(5)) != 0)
        fmi_crew_kill(crew);
    fmi_crew_close(crew);
    return rc;
}

void fmi_crew_kill(struct fmi_crew *crew)
{
    fmi_sys_pidfd_signal(crew->warden.pidfd, SIGKILL);
    (void)fmi_crew_join(crew, FM_SECONDS(5));
}

void fmi_crew_command(struct fmi_crew *crew, uint32_t command)
{
    uint32_t seen = atomic_load(&crew->plan.shm->command);
    while (seen < command &&
           !atomic_compare_exchange_weak(&crew->plan.shm->command, &seen, command))
        ;
    fmi_sys_eventfd_ring(crew->bell);
}

void fmi_crew_set_tick(struct fmi_crew *crew, int64_t tick_ns)
{
    atomic_store(&crew->plan.shm->tick_ns, tick_ns);
    fmi_sys_eventfd_ring(crew->bell);
}

void fmi_crew_end_worker(struct fmi_crew *crew, int rank, uint32_t starts)
{
    atomic_store(&crew->plan.shm->workers[rank].unwanted, starts);
    fmi_sys_eventfd_ring(crew->bell);
}

int fmi_crew_is_alive(const struct fmi_crew *crew)
{
    return atomic_load(&crew->plan.shm->life.word) == crew->life_value;
}

int fmi_crew_join(struct fmi_crew *crew, int64_t timeout)
{
    return fmi_child_await(&crew->warden, fmi_deadline_after(timeout));
}

/* For a warden that was killed: its workers are dead or dying, and nobody else reaps them for us to know. */
static void recover_heap(struct fmi_crew *crew)
{
    fmi_heap_recover(crew->warden.pid);
    for (int rank = crew->plan.first; rank < crew->plan.n; rank++) {
        int pid = (int)atomic_load(&crew->plan.shm->workers[rank].pid);
        if (pid > 1 && pid != getpid()) {
            fmi_heap_recover(pid);
            fmi_forksafe_forget(pid);
        }
    }
}

/* The warden is not reaped: it may still be waited for. */
void fmi_crew_await_end(struct fmi_crew *crew, int64_t timeout)
{
    int64_t deadline_ns = fmi_deadline_after(timeout);
    (void)fmi_sys_await_end(crew->warden.pidfd, deadline_ns);
    for (int rank = crew->plan.first; rank < crew->plan.n; rank++) {
        int pid = (int)atomic_load(&crew->plan.shm->workers[rank].pid);
        int pidfd = pid > 1 && pid != getpid() ? fmi_sys_pidfd_open(pid) : -1;
        if (pidfd < 0)
            continue; /* it is gone */
        (void)fmi_sys_await_end(pidfd, deadline_ns);
        close(pidfd);
    }
}

void fmi_crew_close(struct fmi_crew *crew)
{
    if (atomic_load(&crew->plan.shm->state) != FMI_CREW_OVER) /* else the warden has done it */
        recover_heap(crew);
    fmi_child_begun(&crew->warden);
    close(crew->warden.pidfd);
    close(crew->bell);
    crew->warden.pidfd = crew->bell = -1;
}
