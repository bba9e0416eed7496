/* SPDX-License-Identifier: MIT */
/* The host's side of a crew: launch the warden, wait for the workers, command, join. The protocol is in crew.h. */
#include "crew.h"

#include "clock.h"
#include "error.h"
#include "forksafe.h"
#include "heap.h"
#include "message.h"
#include "process.h"

#include <errno.h>
#include <unistd.h>

enum { SPIN_NS = 20000, LOOK_NS = 100000000, GONE_US = 200 };
#define PATIENCE_NS FM_MS(500) /* with forks that fail while the crew opens */

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

/* What a worker says that could not start. */
static int check_start(const struct fmi_worker_shm *worker, int rank)
{
    int code = atomic_load(&worker->init_code);
    if (code != 0)
        return fmi_error(FM_EINIT, "the initializer returned %d in worker %d", code, rank);
    int stack_code = atomic_load(&worker->stack_code);
    if (stack_code != 0)
        return fmi_error(stack_code, "worker %d has no memory for its stack", rank);
    return 0;
}

static int tell_death(const struct fmi_worker_shm *worker, int rank)
{
    return fmi_error(FM_EINIT, "worker %d ended while it started (%s %d)", rank,
                     worker->death.how == FMI_DEATH_EXIT ? "exit" : "signal", worker->death.number);
}

/* 1: all ready; 0: not yet; < 0: one of them cannot start. */
static int check_ready(struct fmi_crew *crew)
{
    struct fmi_crew_shm *shm = crew->plan.shm;
    int n_ready = 0;
    for (int rank = crew->plan.first; rank < crew->plan.n_wanted; rank++) {
        struct fmi_worker_shm *worker = &shm->workers[rank];
        int rc = check_start(worker, rank);
        uint32_t died = atomic_load_explicit(&worker->death.starts, memory_order_acquire);
        if (rc != 0 || died != 0)
            return rc != 0 ? rc : tell_death(worker, rank);
        n_ready +=
            atomic_load_explicit(&worker->ready, memory_order_acquire) != 0; /* pairs with live */
    }
    int why = atomic_load(&shm->why);
    if (atomic_load(&shm->state) == FMI_CREW_BROKEN)
        return fmi_error(why < 0 ? why : FM_EBROKEN, "the warden cannot go on: %s",
                         fm_strerror(why));
    return n_ready >= crew->plan.n_wanted - crew->plan.first;
}

static int are_ready(const struct fmi_crew *crew, int n)
{
    const struct fmi_worker_shm *workers = crew->plan.shm->workers;
    for (int rank = crew->plan.first; rank < n; rank++)
        if (atomic_load_explicit(&workers[rank].ready, memory_order_acquire) == 0)
            return 0; /* pairs with live */
    return 1;
}

/* Forks have failed since *since_ns; 0: they do not. 1: there are enough workers without; 0: it is too early to say; < 0: there are not. */
static int check_forks(struct fmi_crew *crew, int64_t *since_ns)
{
    uint32_t word = atomic_load(&crew->plan.shm->unforked); /* pairs with tell_unforked */
    int n = (int)(word >> 16) - 1, code = -(int)(word & 0xffff);
    if (word == 0 || *since_ns == 0)
        *since_ns = word == 0 ? 0 : fmi_now_ns();
    if (word == 0 || fmi_now_ns() - *since_ns < PATIENCE_NS)
        return 0;
    if (n < crew->plan.n_least || n > crew->plan.n_wanted)
        return fmi_error(code < 0 ? code : FM_ECORRUPT,
                         "worker %d of %d cannot be forked: %s (see ulimit -u)", n,
                         crew->plan.n_wanted, fm_strerror(code));
    if (!are_ready(crew, n))
        return 0;
    fmi_log(FM_LOG_WARNING, "%d of %d workers cannot be forked: %s", crew->plan.n_wanted - n,
            crew->plan.n_wanted, fm_strerror(code));
    crew->plan.n_wanted = n;
    return 1;
}

static int await_ready(struct fmi_crew *crew, int64_t deadline_ns)
{
    struct fmi_crew_shm *shm = crew->plan.shm;
    for (int64_t failing_ns = 0;;) {
        uint32_t seen = fmi_park_seen(&shm->events);
        uint32_t life = atomic_load(&shm->life.word);
        int rc = check_ready(crew);
        if (rc == 0)
            rc = check_forks(crew, &failing_ns);
        if (rc < 0)
            return rc;
        if ((life & FMI_LIFE_OVER) != 0)
            return fmi_error(FM_EBROKEN, "the warden died while the pool started");
        if (rc == 1) {
            crew->life_value = life;
            return 0;
        }
        int64_t look_ns = failing_ns == 0 ? deadline_ns : fmi_deadline_after(LOOK_NS);
        (void)fmi_park_alive(&shm->events, seen, SPIN_NS, &shm->life.word, life,
                             look_ns < deadline_ns ? look_ns : deadline_ns);
        if (fmi_now_ns() >= deadline_ns && check_ready(crew) == 0)
            return fmi_error(-ETIMEDOUT, "the workers are not ready within start_timeout");
    }
}

static void tell_wanted(struct fmi_crew *crew, uint32_t n)
{
    atomic_store(&crew->wanted, n);
    atomic_store(&crew->plan.shm->wanted, n);
}

static void tell_firm(struct fmi_crew *crew, uint32_t n)
{
    atomic_store(&crew->firm, n);
    atomic_store(&crew->plan.shm->firm, n);
}

int fmi_crew_open(struct fmi_crew *crew, const struct fmi_crew_plan *plan, int64_t timeout)
{
    int64_t deadline_ns = fmi_deadline_after(timeout);
    *crew = (struct fmi_crew){.plan = *plan, .warden.pidfd = -1, .bell = -1};
    fmi_park_init(&plan->shm->events);
    atomic_store(&crew->command, FMI_COMMAND_RUN);
    atomic_store(&plan->shm->command, FMI_COMMAND_RUN);
    tell_wanted(crew, (uint32_t)plan->n_wanted);
    tell_firm(crew, (uint32_t)plan->n_wanted);
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
    uint32_t seen = atomic_load(&crew->command);
    while (seen < command && !atomic_compare_exchange_weak(&crew->command, &seen, command))
        ;
    seen = atomic_load(&crew->plan.shm->command);
    while ((seen < command || seen > FMI_COMMAND_KILL) && /* or it was overwritten */
           !atomic_compare_exchange_weak(&crew->plan.shm->command, &seen, command))
        ;
    fmi_sys_eventfd_add(crew->bell, command == FMI_COMMAND_KILL ? FMI_BELL_KILL : 1);
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

/* The one that has the rank now, not one that is about to leave it. */
static int is_up(const struct fmi_worker_shm *worker)
{
    if (atomic_load(&worker->pid) == 0) /* first: pairs with start_worker, where it is last */
        return 0;
    uint32_t starts = atomic_load(&worker->starts);
    return atomic_load(&worker->ready) == starts && atomic_load(&worker->left) != starts;
}

static int tell_failure(const struct fmi_crew_shm *shm, int max)
{
    int rank = (int)atomic_load(&shm->failed_rank), code = atomic_load(&shm->failed_code);
    if (rank < 0 || rank >= max)
        return fmi_error(FM_ECORRUPT, "the crew's memory was overwritten");
    if (code != FM_EINIT)
        return fmi_error(code, "worker %d cannot be forked: %s", rank, fm_strerror(code));
    int rc = check_start(&shm->workers[rank], rank);
    return rc != 0 ? rc : tell_death(&shm->workers[rank], rank);
}

/* 1: all are up; 0: not yet; < 0: they cannot be. */
static int check_grown(const struct fmi_crew *crew, int n)
{
    struct fmi_crew_shm *shm = crew->plan.shm;
    if (atomic_load(&shm->failed_trial) ==
        atomic_load(&shm->trial)) /* pairs with fmi_wards_fail_trial */
        return tell_failure(shm, crew->plan.n);
    if (atomic_load(&shm->command) == FMI_COMMAND_KILL)
        return fmi_error(FM_ECANCELLED, "the pool was terminated");
    if (!fmi_crew_is_alive(crew) || atomic_load(&shm->state) != FMI_CREW_RUNNING)
        return fmi_error(FM_EBROKEN, "the warden died, or workers cannot be started");
    for (int rank = crew->plan.first; rank < n; rank++)
        if (rank >= (int)atomic_load(&shm->firm) && !is_up(&shm->workers[rank]))
            return 0;
    return 1;
}

static int await_grown(struct fmi_crew *crew, int n, int64_t timeout)
{
    struct fmi_crew_shm *shm = crew->plan.shm;
    int64_t deadline_ns = fmi_deadline_after(timeout);
    for (;;) {
        uint32_t seen = fmi_park_seen(&shm->events);
        int rc = check_grown(crew, n);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (fmi_now_ns() >= deadline_ns)
            return fmi_error(-ETIMEDOUT, "the new workers are not ready within start_timeout");
        int64_t look_ns = fmi_deadline_after(LOOK_NS);
        (void)fmi_park_alive(&shm->events, seen, SPIN_NS, &shm->life.word, crew->life_value,
                             look_ns < deadline_ns ? look_ns : deadline_ns);
    }
}

int fmi_crew_grow(struct fmi_crew *crew, int n, int64_t timeout)
{
    struct fmi_crew_shm *shm = crew->plan.shm;
    uint32_t before = atomic_load(&crew->wanted);
    atomic_fetch_add(&shm->trial, 1); /* first: the warden sees what it starts them for */
    tell_wanted(crew, (uint32_t)n);
    fmi_crew_ring(crew);
    int rc = await_grown(crew, n, timeout);
    if (rc == 0)
        tell_firm(crew, (uint32_t)n);
    else
        tell_wanted(crew, before);
    atomic_fetch_add(&shm->trial, 1);
    fmi_crew_ring(crew); /* one that died meanwhile is missing */
    return rc;
}

void fmi_crew_shrink(struct fmi_crew *crew, int n)
{
    tell_firm(crew, (uint32_t)n);
    tell_wanted(crew, (uint32_t)n);
    fmi_crew_ring(crew);
}

void fmi_crew_ring(struct fmi_crew *crew)
{
    fmi_sys_eventfd_ring(crew->bell);
}

/* ---- limits and the end --------------------------------------------------------------------- */

void fmi_crew_set_tick(struct fmi_crew *crew, int64_t tick_ns)
{
    atomic_store(&crew->tick_ns, tick_ns);
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

int fmi_crew_check_state(const struct fmi_crew *crew)
{
    const struct fmi_crew_shm *shm = crew->plan.shm;
    uint32_t life = atomic_load(&shm->life.word), state = atomic_load(&shm->state);
    int is_life = life == crew->life_value || life == FMI_LIFE_ENDED;
    return is_life && state >= FMI_CREW_RUNNING && state <= FMI_CREW_BROKEN ? 0 : FM_ECORRUPT;
}

int fmi_crew_check(const struct fmi_crew *crew)
{
    const struct fmi_crew_shm *shm = crew->plan.shm;
    if (atomic_load(&shm->command) != atomic_load(&crew->command) ||
        atomic_load(&shm->wanted) != atomic_load(&crew->wanted) ||
        atomic_load(&shm->firm) != atomic_load(&crew->firm) ||
        atomic_load(&shm->tick_ns) != atomic_load(&crew->tick_ns))
        return FM_ECORRUPT;
    return fmi_crew_check_state(crew);
}

int fmi_crew_join(struct fmi_crew *crew, int64_t timeout)
{
    return fmi_child_await(&crew->warden, fmi_deadline_after(timeout));
}

static void recover_heap_of(int pid)
{
    if (pid <= 1 || pid == getpid() || fmi_sys_is_alive(pid))
        return; /* the number may be overwritten: of the living nothing is recovered */
    fmi_heap_recover(pid);
    fmi_forksafe_forget(pid);
}

/* For a warden that was killed: its workers are dead or dying, and nobody else reaps them for us to know. */
static void recover_heap(struct fmi_crew *crew)
{
    fmi_heap_recover(crew->warden.pid);
    for (int rank = crew->plan.first; rank < crew->plan.n; rank++) {
        recover_heap_of((int)atomic_load(&crew->plan.shm->workers[rank].pid));
        recover_heap_of((int)atomic_load(&crew->plan.shm->workers[rank].standby_pid));
    }
}

static void await_end_of(int pid, int64_t deadline_ns)
{
    int pidfd = pid > 1 && pid != getpid() ? fmi_sys_watch_open(pid) : -ESRCH;
    if (pidfd >= 0) {
        (void)fmi_sys_await_end(pidfd, deadline_ns);
        close(pidfd);
    }
    /* no descriptor was to be had */
    while (pidfd < 0 && pidfd != -ESRCH && fmi_sys_birth(pid) != 0 && fmi_now_ns() < deadline_ns)
        usleep(GONE_US);
}

/* The warden is not reaped: it may still be waited for. */
void fmi_crew_await_end(struct fmi_crew *crew, int64_t timeout)
{
    int64_t deadline_ns = fmi_deadline_after(timeout);
    int rc = fmi_sys_await_end(crew->warden.pidfd, deadline_ns);
    if (rc == 0 && atomic_load(&crew->plan.shm->state) == FMI_CREW_OVER)
        return; /* it has ended all of them */
    for (int rank = crew->plan.first; rank < crew->plan.n; rank++) {
        await_end_of((int)atomic_load(&crew->plan.shm->workers[rank].pid), deadline_ns);
        await_end_of((int)atomic_load(&crew->plan.shm->workers[rank].standby_pid), deadline_ns);
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
