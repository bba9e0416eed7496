/* SPDX-License-Identifier: MIT */
/*
 * The warden: forks workers, replaces the dead, enforces time limits, ends with the host.
 *
 * It sleeps in poll() on three descriptors: SIGCHLD (a worker ended), the host's pidfd (the host ended) and the bell (the host
 * commands). What it knows of its workers, their pids above all, is in private memory; from shared memory it reads
 * the command, the tick, and what workers say of themselves, and believes none of it beyond its effect on that worker.
 *
 * A worker that retires gets its successor beside it, a standby, which has the rank once the old one is buried (crew.h).
 *
 * A call's time is counted by the warden's own ticks: while the whole process tree is stopped, none pass.
 */
#include "wards.h"

#include "clock.h"
#include "error.h"
#include "filemap.h"
#include "forksafe.h"
#include "heap.h"
#include "message.h"
#include "process.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { RETRY_FORK_MS = 20, SETTLE_MS = 1, MAX_TICK_NS = 1000000000 };

void fmi_wards_wake_everyone(struct fmi_warden *w, int rank)
{
    w->plan->on_death(rank, w->plan->arg);
    fmi_park_wake_all(&w->shm->events); /* the dead may have been about to wake someone */
}

void fmi_wards_break(struct fmi_warden *w, int why)
{
    atomic_store(&w->shm->why, why);
    atomic_store(&w->shm->state, FMI_CREW_BROKEN);
    fmi_wards_wake_everyone(w, w->plan->first);
}

int fmi_wards_has(pid_t pid, void *arg)
{
    struct fmi_warden *w = arg;
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        if (w->wards[rank].pid == pid || w->wards[rank].standby == pid)
            return 1;
    return pid == w->spare.pid;
}

int fmi_wards_rank_of(struct fmi_warden *w, pid_t pid)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        if (w->wards[rank].pid == pid)
            return rank;
    return -1;
}

int fmi_wards_rank_beside(struct fmi_warden *w, pid_t pid)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        if (w->wards[rank].standby == pid)
            return rank;
    return -1;
}

static void check_limits(struct fmi_warden *w, int64_t tick_ns)
{
    int64_t now = fmi_now_ns(), passed = now - w->last_tick_ns;
    w->last_tick_ns = now;
    if (passed > 2 * tick_ns)
        passed = 2 * tick_ns; /* the tree was stopped */
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        struct fmi_ward *ward = &w->wards[rank];
        uint64_t call = atomic_load(&w->shm->workers[rank].call);
        if (call != ward->call || call % 2 == 0) {
            ward->call = call;
            ward->call_ns = 0;
            continue;
        }
        ward->call_ns += passed;
        int64_t limit_ns = atomic_load(&w->shm->workers[rank].limit_ns);
        if (ward->call_ns >= limit_ns && limit_ns > 0 && ward->pid != 0 && ward->killed_call == 0) {
            ward->killed_call = call;
            fmi_sys_kill(ward->pid);
        }
    }
}

static void end_unwanted(struct fmi_warden *w)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        struct fmi_ward *ward = &w->wards[rank];
        if (ward->pid == 0 || ward->is_unwanted ||
            atomic_load(&w->shm->workers[rank].unwanted) != ward->starts)
            continue;
        ward->is_unwanted = 1;
        fmi_sys_kill(ward->pid);
    }
}

static int count_workers(const struct fmi_warden *w)
{
    int n = 0;
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        n += (w->wards[rank].pid != 0) + (w->wards[rank].standby != 0);
    return n;
}

/* 1: some child is left. */
static int reap_ended(struct fmi_warden *w)
{
    struct fmi_exit ignored;
    pid_t pid;
    while ((pid = fmi_sys_ended_child()) > 0) {
        int rank = fmi_wards_rank_of(w, pid), beside = fmi_wards_rank_beside(w, pid);
        fmi_heap_recover(pid);
        fmi_forksafe_forget(pid);
        fmi_sys_reap(pid, &ignored);
        if (rank >= 0)
            w->wards[rank].pid = 0;
        if (beside >= 0)
            w->wards[beside].standby = 0;
        if (pid == w->spare.pid)
            w->spare.pid = 0;
    }
    return pid != -ECHILD;
}

static void kill_workers(struct fmi_warden *w)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        fmi_sys_kill(w->wards[rank].pid);
        fmi_sys_kill(w->wards[rank].standby);
    }
    fmi_sys_kill(w->spare.pid);
}

/* Who is left when all workers are gone is an orphan of theirs, and orphans of orphans appear as their parents die. */
static _Noreturn void end_everything(struct fmi_warden *w, uint32_t state)
{
    struct pollfd wait = {.fd = w->children, .events = POLLIN};
    for (kill_workers(w); reap_ended(w); kill_workers(w)) {
        if (count_workers(w) == 0)
            fmi_sys_kill_children(fmi_wards_has, w);
        if (fmi_sys_poll(&wait, 1, 100) >= 0)
            fmi_sys_drain(w->children);
    }
    if (atomic_load(&w->shm->state) != FMI_CREW_BROKEN)
        atomic_store(&w->shm->state, state);
    fmi_wards_wake_everyone(w, w->plan->first);
    fmi_forksafe_forget(getpid()); /* the host may be gone */
    _exit(0);
}

/* Any number may stand there. */
static int64_t read_tick(const struct fmi_warden *w)
{
    int64_t tick_ns = atomic_load(&w->shm->tick_ns);
    return tick_ns > MAX_TICK_NS ? MAX_TICK_NS : tick_ns;
}

static int poll_timeout_ms(const struct fmi_warden *w, int64_t tick_ns)
{
    if (w->n_buried == FMI_WARDS_AT_ONCE)
        return 0;
    if (w->fork_failing_ns != 0)
        return RETRY_FORK_MS;
    if (!w->knows_oom_kills || w->spare.is_wanted || w->may_have_orphans == FMI_ORPHANS_SOON)
        return SETTLE_MS;
    int most = w->may_have_orphans == FMI_ORPHANS_NONE ? -1 : FMI_WARDS_ORPHANS_MS;
    if (tick_ns <= 0)
        return most;
    int tick_ms = tick_ns < 1000000 ? 1 : (int)(tick_ns / 1000000);
    return most > 0 && most < tick_ms ? most : tick_ms;
}

static void note_oom_kills(struct fmi_warden *w)
{
    fmi_sys_oom_counter_open(&w->oom_counter);
    w->oom_kills = fmi_sys_oom_counter_read(&w->oom_counter);
    w->knows_oom_kills = 1;
}

/* Nobody is woken: the last worker to be ready wakes the host, or the first to fail. */
static void begin_life(struct fmi_warden *w)
{
    int rc = fmi_sys_life_begin(&w->shm->life);
    if (rc != 0)
        fmi_launch_refuse(fmi_error(rc, "set_robust_list in the warden: %s", fm_strerror(rc)));
}

/* What workers are to inherit. */
static void set_up(struct fmi_warden *w)
{
    fmi_log_set_name("warden");
    fmi_sys_reset_signals(); /* a host that ignores SIGCHLD would have the kernel reap ours */
    fmi_sys_forget_output(); /* of other threads of the host */
    fmi_sys_stdin_from_null();
    fmi_inner_threads_prepare();
    w->wards = calloc((size_t)w->plan->n, sizeof *w->wards);
    if (w->wards == NULL) {
        fmi_wards_break(w, -ENOMEM);
        _exit(1);
    }
}

/* What is its own, while the workers start. SIGCHLD is blocked: whoever has ended by then is seen. */
static void settle(struct fmi_warden *w)
{
    fmi_sys_set_name("fm-warden");
    fmi_sys_become_subreaper();
    fmi_sys_allow_stops(); /* or its clock would run on while Ctrl-Z holds the workers */
    w->children = fmi_sys_signalfd(SIGCHLD, SIGCHLD);
    if (w->children < 0) {
        fmi_wards_break(w, w->children);
        end_everything(w, FMI_CREW_BROKEN);
    }
}

_Noreturn void fmi_warden_run(struct fmi_crew_plan *plan, const int *fds)
{
    plan->host_pidfd = fds[FMI_LAUNCH_HOST];
    int host_pidfd = fds[FMI_LAUNCH_HOST], bell = fds[1];
    struct fmi_warden w = {.plan = plan, .shm = plan->shm, .host_pidfd = host_pidfd, .bell = bell};
    begin_life(&w);
    set_up(&w);
    fmi_wards_start_missing(&w);
    settle(&w);
    for (;;) {
        int64_t tick_ns = read_tick(&w);
        struct pollfd wait[] = {{.fd = w.children, .events = POLLIN},
                                {.fd = host_pidfd, .events = POLLIN},
                                {.fd = bell, .events = POLLIN}};
        int n_ready = fmi_sys_poll(wait, 3, poll_timeout_ms(&w, tick_ns));
        if (n_ready < 0)
            end_everything(&w, FMI_CREW_BROKEN);
        int is_quiet = n_ready == 0;
        if (is_quiet && !w.knows_oom_kills)
            note_oom_kills(&w);
        if (wait[1].revents != 0)
            end_everything(&w, FMI_CREW_OVER);
        if (fmi_sys_eventfd_take(bell) >= FMI_BELL_KILL)
            end_everything(&w, FMI_CREW_OVER);
        fmi_sys_drain(w.children);
        w.n_buried = fmi_wards_bury(&w);
        fmi_wards_end_orphans(&w, is_quiet);
        fmi_filemap_drop_dead(); /* or the pages of a file that is gone would stay as long as the pool */
        uint32_t command = atomic_load(&w.shm->command);
        if (command == FMI_COMMAND_KILL || atomic_load(&w.shm->state) == FMI_CREW_BROKEN)
            end_everything(&w, FMI_CREW_OVER);
        fmi_wards_start_missing(&w);
        fmi_wards_dismiss_late(&w);
        fmi_wards_start_standbys(&w);
        /* not while one that died has no successor yet: it may have had something to finish */
        if (command == FMI_COMMAND_LEAVE && count_workers(&w) == 0 && w.fork_failing_ns == 0)
            end_everything(&w, FMI_CREW_OVER);
        end_unwanted(&w);
        if (tick_ns > 0)
            check_limits(&w, tick_ns);
        if (is_quiet)
            fmi_wards_make_spare(&w);
    }
}
