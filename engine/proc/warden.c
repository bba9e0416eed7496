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
#include "crew.h"

#include "cgroup.h"
#include "clock.h"
#include "filemap.h"
#include "forksafe.h"
#include "heap.h"
#include "message.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MOST_AT_ONCE = 64,
    MAX_START_DEATHS = 8, /* in a row, and two for each worker, before a crew is broken */
    RETRY_FORK_MS = 20,
    SETTLE_MS = 1,
    GIVE_UP_FORK_MS = 5000,
    ORPHANS_MS = 100,
};
#define GIVE_UP_START_NS FM_SECONDS(5)
#define USEFUL_LIFE_NS   FM_SECONDS(1)

enum { ORPHANS_NONE = 0, ORPHANS_LATER = 1, ORPHANS_NOW = 2 }; /* when to look for them */

struct ward {  /* one worker, as the warden knows it */
    pid_t pid; /* 0: none */
    uint32_t starts;
    int64_t begin_ns;
    uint64_t call;         /* the limited call that was seen running */
    int64_t call_ns;       /* for how long */
    uint64_t killed_call;  /* killed because of that call; 0: not killed */
    pid_t standby;         /* 0: none */
    int is_dismissed;      /* killed as it started: nobody waits for it any more */
    uint32_t trial;        /* of growing, for which it was started; 0: for none */
    uint32_t failed_trial; /* of growing, in which its start failed; 0: none */
    int is_unwanted;       /* killed because the host asked for it */
};

struct warden {
    const struct fmi_crew_plan *plan;
    struct fmi_crew_shm *shm;
    struct ward *wards; /* by rank */
    int host_pidfd, bell, children;
    int n_buried;            /* in the last round */
    int start_deaths;        /* in a row */
    int64_t start_deaths_ns; /* when the row began */
    int failing_rank;        /* of the last of them */
    int64_t fork_failing_ns; /* since when; 0: it is not */
    int64_t last_tick_ns;
    int may_have_orphans; /* ORPHANS_... */
    int64_t orphans_ns;   /* when they were looked for */
    int knows_oom_kills; /* the counter is first read in the first quiet moment after the workers started */
    uint64_t oom_kills;
};

static void wake_everyone(struct warden *w, int rank)
{
    w->plan->on_death(rank, w->plan->arg);
    fmi_park_wake_all(&w->shm->events); /* the dead may have been about to wake someone */
}

static void break_crew(struct warden *w, int why)
{
    atomic_store(&w->shm->why, why);
    atomic_store(&w->shm->state, FMI_CREW_BROKEN);
    wake_everyone(w, w->plan->first);
}

static int is_ward(pid_t pid, void *arg)
{
    struct warden *w = arg;
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        if (w->wards[rank].pid == pid || w->wards[rank].standby == pid)
            return 1;
    return 0;
}

static int rank_of(struct warden *w, pid_t pid)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        if (w->wards[rank].pid == pid)
            return rank;
    return -1;
}

/* Of a standby. */
static int rank_beside(struct warden *w, pid_t pid)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        if (w->wards[rank].standby == pid)
            return rank;
    return -1;
}

static int has_share(const struct warden *w, int rank)
{
    return w->plan->has_share != NULL && w->plan->has_share(rank, w->plan->arg);
}

static int is_needed(const struct warden *w, int rank)
{
    return rank < (int)atomic_load(&w->shm->wanted) || has_share(w, rank);
}

/* A share must be run, whatever else happens. */
static int is_on_trial(const struct warden *w, int rank)
{
    return atomic_load(&w->shm->trial) % 2 == 1 && rank >= (int)atomic_load(&w->shm->firm) &&
           !has_share(w, rank);
}

/* The host decides; the rank stays vacant meanwhile. */
static void fail_trial(struct warden *w, int rank, uint32_t trial, int code)
{
    w->wards[rank].failed_trial = trial;
    atomic_store(&w->shm->failed_rank, (uint32_t)rank);
    atomic_store(&w->shm->failed_code, code);
    atomic_store(&w->shm->failed_trial, trial); /* pairs with check_grown */
    fmi_park_wake_all(&w->shm->events);
}

/* starts is raised before the fork, so that a worker can be sure of its own number. */
static int start_worker(struct warden *w, int rank)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct ward *ward = &w->wards[rank];
    uint32_t starts = ward->starts + 1;
    pid_t self = getpid();
    atomic_store(&shared->starts, starts);
    atomic_store(&shared->call, 0);
    uint32_t trial = is_on_trial(w, rank) ? atomic_load(&w->shm->trial) : 0;
    if (trial != 0) { /* what an earlier one said is told already */
        atomic_store(&shared->init_code, 0);
        atomic_store(&shared->stack_code, 0);
    }
    pid_t pid = fmi_sys_fork();
    if (pid == 0)
        fmi_worker_run(w->plan, rank, starts, self, 0);
    if (pid < 0)
        return pid;
    *ward = (struct ward){.pid = pid, .starts = starts, .begin_ns = fmi_now_ns(), .trial = trial};
    atomic_store(&shared->pid, (uint32_t)pid);
    fmi_log(starts == 1 ? FM_LOG_DEBUG : FM_LOG_INFO, "worker %d is process %d (start %u)", rank,
            (int)pid, starts);
    return 0;
}

static int is_missing(const struct warden *w, int rank)
{
    const struct ward *ward = &w->wards[rank];
    if (ward->pid != 0 || !is_needed(w, rank))
        return 0;
    if (ward->failed_trial != 0 && ward->failed_trial == atomic_load(&w->shm->trial) &&
        !has_share(w, rank))
        return 0;
    int has_left = ward->starts != 0 && atomic_load(&w->shm->workers[rank].left) == ward->starts;
    return !has_left || atomic_load(&w->shm->command) == FMI_COMMAND_RUN;
}

static void start_missing(struct warden *w)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        if (!is_missing(w, rank))
            continue;
        int rc = start_worker(w, rank);
        if (rc == 0)
            continue;
        if (is_on_trial(w, rank)) {
            fail_trial(w, rank, atomic_load(&w->shm->trial), rc);
            continue;
        }
        if (w->fork_failing_ns == 0)
            w->fork_failing_ns = fmi_now_ns();
        else if (fmi_now_ns() - w->fork_failing_ns > GIVE_UP_FORK_MS * (int64_t)1000000)
            break_crew(w, rc);
        return; /* the poll loop tries again */
    }
    w->fork_failing_ns = 0;
}

static int is_retiring(struct warden *w, int rank)
{
    /* pairs with retire */
    return atomic_load(&w->shm->workers[rank].retiring) == w->wards[rank].starts;
}

/* Whoever retires then leaves without, and is replaced as after a death. */
static void deny_standby(struct warden *w, int rank)
{
    atomic_store(&w->shm->workers[rank].denied, w->wards[rank].starts); /* pairs with is_answered */
    fmi_park_wake_all(&w->shm->events);
}

/* `starts` stays that of the old one until this one has the rank. */
static void start_standby(struct warden *w, int rank)
{
    struct ward *ward = &w->wards[rank];
    pid_t self = getpid(), pid = fmi_sys_fork();
    if (pid == 0)
        fmi_worker_run(w->plan, rank, ward->starts + 1, self, 1);
    if (pid < 0) {
        deny_standby(w, rank);
        return;
    }
    ward->standby = pid;
    atomic_store(&w->shm->workers[rank].standby_pid, (uint32_t)pid);
    fmi_log(FM_LOG_DEBUG, "worker %d is to be process %d (start %u)", rank, (int)pid,
            ward->starts + 1);
}

static void start_standbys(struct warden *w)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        const struct ward *ward = &w->wards[rank];
        if (ward->pid == 0 || ward->standby != 0 || !is_retiring(w, rank) ||
            atomic_load(&w->shm->workers[rank].denied) == ward->starts)
            continue;
        if (is_needed(w, rank))
            start_standby(w, rank);
        else
            deny_standby(w, rank);
    }
}

/* Before the death record, at which the standby begins to work. */
static void prepare_turn(struct warden *w, int rank)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    if (w->wards[rank].standby == 0)
        return;
    atomic_store(&shared->starts, w->wards[rank].starts + 1);
    atomic_store(&shared->call, 0);
}

/* The rank is free: for its standby, if it has one. */
static void pass_rank(struct warden *w, int rank)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct ward *ward = &w->wards[rank];
    pid_t pid = ward->standby;
    if (pid == 0) {
        ward->pid = 0;
        return;
    }
    *ward = (struct ward){.pid = pid, .starts = ward->starts + 1, .begin_ns = fmi_now_ns()};
    atomic_store(&shared->standby_pid, 0);
    atomic_store(&shared->pid, (uint32_t)pid);
    fmi_log(FM_LOG_DEBUG, "worker %d is process %d (start %u)", rank, (int)pid, ward->starts);
}

static uint32_t how_it_died(struct warden *w, int rank, const struct fmi_exit *end)
{
    const struct ward *ward = &w->wards[rank];
    if (end->signal == 0)
        return end->code == 0 && is_retiring(w, rank) ? FMI_DEATH_RETIRED : FMI_DEATH_EXIT;
    if (end->signal != SIGKILL)
        return FMI_DEATH_SIGNAL;
    if (ward->is_unwanted)
        return FMI_DEATH_LATE;
    if (ward->killed_call != 0)
        return atomic_load(&w->shm->workers[rank].call) == ward->killed_call ? FMI_DEATH_TIMEOUT
                                                                             : FMI_DEATH_LATE;
    if (!w->knows_oom_kills)
        return FMI_DEATH_SIGNAL; /* in the first moments: nobody has filled the memory by then */
    uint64_t kills = fmi_sys_cgroup_oom_kills();
    if (kills <= w->oom_kills)
        return FMI_DEATH_SIGNAL;
    w->oom_kills++; /* two may have been killed at once */
    return FMI_DEATH_OOM;
}

static void publish_death(struct warden *w, int rank, const struct fmi_exit *end)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct ward *ward = &w->wards[rank];
    struct fmi_death_shm *death = &shared->death;
    death->how = how_it_died(w, rank, end);
    death->number = end->signal != 0 ? end->signal : end->code;
    death->pid = ward->pid;
    death->end_ns = fmi_now_ns();
    death->peak_bytes = end->peak_bytes;
    fmi_log(FM_LOG_INFO, "worker %d, process %d, ended: %s %d%s", rank, (int)ward->pid,
            end->signal != 0 ? "signal" : "exit code", death->number,
            death->how == FMI_DEATH_TIMEOUT   ? ", its call passed the time limit"
            : death->how == FMI_DEATH_RETIRED ? ", to be replaced"
                                              : "");
    atomic_store(&shared->pid, 0);
    /* release: pairs with fmi_worker_death and check_ready */
    atomic_store_explicit(&death->starts, ward->starts, memory_order_release);
    atomic_fetch_add_explicit(death->how == FMI_DEATH_RETIRED ? &w->shm->recycled : &w->shm->deaths,
                              1, memory_order_relaxed); /* counters for people */
}

/*
 * Workers that die before they came to a function, one after the other, will not do better. Unless someone kills them from outside: such
 * a storm may strike twenty starts in a row and be over a moment later, so it is given time.
 */
static void count_start_death(struct warden *w, int rank, int signal)
{
    int64_t now = fmi_now_ns();
    w->failing_rank = rank;
    if (w->start_deaths++ == 0)
        w->start_deaths_ns = now;
    if (w->start_deaths > MAX_START_DEATHS + 2 * w->plan->n &&
        (signal != SIGKILL || now - w->start_deaths_ns > GIVE_UP_START_NS))
        break_crew(w, FM_EINIT);
}

static int is_late(const struct warden *w, int rank)
{
    const struct ward *ward = &w->wards[rank];
    const struct fmi_worker_shm *shared = &w->shm->workers[rank];
    int is_of_another = ward->trial != 0 && ward->trial != atomic_load(&w->shm->trial);
    if (ward->pid == 0 || atomic_load(&shared->ready) == ward->starts ||
        atomic_load(&shared->standby) == ward->starts) /* that one is about to be ready */
        return 0;
    return is_of_another || !is_needed(w, rank);
}

/* Those that were started for nothing, and are ready late, or never: they would not see that they may leave. */
static void dismiss_late(struct warden *w)
{
    for (int rank = (int)atomic_load(&w->shm->firm); rank < w->plan->n; rank++)
        if (!w->wards[rank].is_dismissed && is_late(w, rank)) {
            w->wards[rank].is_dismissed = 1;
            fmi_sys_kill(w->wards[rank].pid);
        }
}

static void expect_orphans(struct warden *w, int when)
{
    if (when > w->may_have_orphans)
        w->may_have_orphans = when;
}

/* As it said, and as it was told. A clean end is believed at any time: what it was told may have changed since. */
static int has_left(const struct warden *w, int rank, const struct fmi_exit *end)
{
    if (w->wards[rank].is_dismissed)
        return 1;
    if (atomic_load(&w->shm->workers[rank].left) != w->wards[rank].starts)
        return 0;
    return (end->signal == 0 && end->code == 0) || !is_needed(w, rank) ||
           atomic_load(&w->shm->command) != FMI_COMMAND_RUN;
}

static void bury_worker(struct warden *w, int rank)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct ward *ward = &w->wards[rank];
    struct fmi_exit end;
    int was_useful = atomic_load(&shared->called) == ward->starts ||
                     fmi_now_ns() - ward->begin_ns > USEFUL_LIFE_NS;
    int was_ready = atomic_load(&shared->ready) == ward->starts, was_unwanted = ward->is_unwanted;
    fmi_heap_recover(ward->pid); /* before the reaping: its pid is its own until then */
    fmi_forksafe_forget(ward->pid);
    if (fmi_sys_reap(ward->pid, &end) != 0)
        return;
    if (ward->standby == 0 && has_left(w, rank, &end)) {
        expect_orphans(w, ORPHANS_NOW);
        ward->pid = 0;
        atomic_store(&shared->pid, 0);
        return;
    }
    prepare_turn(w, rank);
    publish_death(w, rank, &end);
    expect_orphans(w, shared->death.how == FMI_DEATH_RETIRED ? ORPHANS_LATER : ORPHANS_NOW);
    pass_rank(w, rank);
    if (!was_ready && ward->trial != 0)
        fail_trial(w, rank, ward->trial, FM_EINIT);
    /* Those who retire are many: they do not end the row of another rank. */
    else if (was_useful && (shared->death.how != FMI_DEATH_RETIRED || rank == w->failing_rank))
        w->start_deaths = 0;
    else if (!was_useful && !was_unwanted)
        count_start_death(w, rank, end.signal);
}

static void bury_standby(struct warden *w, int rank)
{
    struct ward *ward = &w->wards[rank];
    struct fmi_exit end;
    fmi_heap_recover(ward->standby);
    fmi_forksafe_forget(ward->standby);
    if (fmi_sys_reap(ward->standby, &end) != 0)
        return;
    fmi_log(FM_LOG_INFO, "worker %d, process %d, ended before its turn: %s %d", rank,
            (int)ward->standby, end.signal != 0 ? "signal" : "exit code",
            end.signal != 0 ? end.signal : end.code);
    expect_orphans(w, ORPHANS_NOW);
    ward->standby = 0;
    atomic_store(&w->shm->workers[rank].standby_pid, 0);
    atomic_fetch_add_explicit(&w->shm->deaths, 1, memory_order_relaxed); /* a counter for people */
    count_start_death(w, rank, end.signal);
    deny_standby(w, rank);
}

/* A look reads all of /proc, some milliseconds. Those that retire may be hundreds a second: their orphans, if any, live a little longer. */
static void end_orphans(struct warden *w)
{
    int64_t now = w->may_have_orphans == ORPHANS_NONE ? 0 : fmi_now_ns();
    if (w->may_have_orphans == ORPHANS_NONE ||
        (w->may_have_orphans == ORPHANS_LATER &&
         now - w->orphans_ns < ORPHANS_MS * (int64_t)1000000))
        return;
    fmi_sys_kill_children(is_ward, w);
    w->may_have_orphans = ORPHANS_NONE;
    w->orphans_ns = now;
}

static void bury_orphan(pid_t pid)
{
    struct fmi_exit ignored;
    fmi_forksafe_forget(pid);
    fmi_sys_reap(pid, &ignored);
}

/* Returns how many processes ended; at MOST_AT_ONCE there may be more, after a look at the host. */
static int bury_the_dead(struct warden *w)
{
    int any = 0;
    for (pid_t pid = fmi_sys_ended_child(); pid > 0 && any < MOST_AT_ONCE;
         pid = fmi_sys_ended_child()) {
        int rank = rank_of(w, pid), beside = rank_beside(w, pid);
        any++;
        if (rank < 0 && beside < 0) {
            expect_orphans(w, ORPHANS_NOW);
            bury_orphan(pid); /* a grandchild whose parent died before it */
            continue;
        }
        if (beside >= 0)
            bury_standby(w, beside);
        else
            bury_worker(w, rank);
        if (atomic_load(&w->shm->state) == FMI_CREW_RUNNING &&
            atomic_load(&w->shm->command) != FMI_COMMAND_KILL)
            start_missing(w);
        wake_everyone(w, rank >= 0 ? rank : beside);
    }
    return any;
}

static void check_limits(struct warden *w, int64_t tick_ns)
{
    int64_t now = fmi_now_ns(), passed = now - w->last_tick_ns;
    w->last_tick_ns = now;
    if (passed > 2 * tick_ns)
        passed = 2 * tick_ns; /* the tree was stopped */
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        struct ward *ward = &w->wards[rank];
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

static void end_unwanted(struct warden *w)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        struct ward *ward = &w->wards[rank];
        if (ward->pid == 0 || ward->is_unwanted ||
            atomic_load(&w->shm->workers[rank].unwanted) != ward->starts)
            continue;
        ward->is_unwanted = 1;
        fmi_sys_kill(ward->pid);
    }
}

static int count_workers(const struct warden *w)
{
    int n = 0;
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        n += (w->wards[rank].pid != 0) + (w->wards[rank].standby != 0);
    return n;
}

/* 1: some child is left. */
static int reap_ended(struct warden *w)
{
    struct fmi_exit ignored;
    pid_t pid;
    while ((pid = fmi_sys_ended_child()) > 0) {
        int rank = rank_of(w, pid), beside = rank_beside(w, pid);
        fmi_heap_recover(pid);
        fmi_forksafe_forget(pid);
        fmi_sys_reap(pid, &ignored);
        if (rank >= 0)
            w->wards[rank].pid = 0;
        if (beside >= 0)
            w->wards[beside].standby = 0;
    }
    return pid != -ECHILD;
}

/* Who is left when all workers are gone is an orphan of theirs, and orphans of orphans appear as their parents die. */
static _Noreturn void end_everything(struct warden *w, uint32_t state)
{
    struct pollfd wait = {.fd = w->children, .events = POLLIN};
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        fmi_sys_kill(w->wards[rank].pid);
        fmi_sys_kill(w->wards[rank].standby);
    }
    while (reap_ended(w)) {
        if (count_workers(w) == 0)
            fmi_sys_kill_children(is_ward, w); /* reads all of /proc */
        if (poll(&wait, 1, 100) >= 0)
            fmi_sys_drain(w->children);
    }
    if (atomic_load(&w->shm->state) == FMI_CREW_RUNNING)
        atomic_store(&w->shm->state, state);
    wake_everyone(w, w->plan->first);
    fmi_forksafe_forget(getpid()); /* the host may be gone */
    _exit(0);
}

static int poll_timeout_ms(const struct warden *w, int64_t tick_ns)
{
    if (w->n_buried == MOST_AT_ONCE)
        return 0;
    if (w->fork_failing_ns != 0)
        return RETRY_FORK_MS;
    if (!w->knows_oom_kills)
        return SETTLE_MS;
    int most = w->may_have_orphans == ORPHANS_NONE ? -1 : ORPHANS_MS;
    if (tick_ns <= 0)
        return most;
    int tick_ms = tick_ns < 1000000 ? 1 : (int)(tick_ns / 1000000);
    return most > 0 && most < tick_ms ? most : tick_ms;
}

static void note_oom_kills(struct warden *w)
{
    w->oom_kills = fmi_sys_cgroup_oom_kills();
    w->knows_oom_kills = 1;
}

/* What workers are to inherit. */
static void set_up(struct warden *w)
{
    fmi_log_set_name("warden");
    fmi_sys_reset_signals(); /* a host that ignores SIGCHLD would have the kernel reap ours */
    fmi_sys_forget_output(); /* of other threads of the host */
    fmi_sys_stdin_from_null();
    fmi_inner_threads_prepare();
    w->wards = calloc((size_t)w->plan->n, sizeof *w->wards);
    if (w->wards == NULL) {
        break_crew(w, -ENOMEM);
        _exit(1);
    }
}

/* What is its own, while the workers start. SIGCHLD is blocked: whoever has ended by then is seen. */
static void settle(struct warden *w)
{
    fmi_sys_set_name("fm-warden");
    fmi_sys_become_subreaper();
    fmi_sys_allow_stops(); /* or its clock would run on while Ctrl-Z holds the workers */
    w->children = fmi_sys_signalfd(SIGCHLD, SIGCHLD);
    if (w->children < 0) {
        break_crew(w, w->children);
        end_everything(w, FMI_CREW_BROKEN);
    }
}

_Noreturn void fmi_warden_run(struct fmi_crew_plan *plan, const int *fds)
{
    plan->host_pidfd = fds[FMI_LAUNCH_HOST];
    int host_pidfd = fds[FMI_LAUNCH_HOST], bell = fds[1];
    struct warden w = {.plan = plan, .shm = plan->shm, .host_pidfd = host_pidfd, .bell = bell};
    fmi_sys_life_begin(
        &w.shm->life); /* the last worker to be ready wakes the host, or the first to fail */
    set_up(&w);
    start_missing(&w);
    settle(&w);
    for (;;) {
        int64_t tick_ns = atomic_load(&w.shm->tick_ns);
        struct pollfd wait[] = {{.fd = w.children, .events = POLLIN},
                                {.fd = host_pidfd, .events = POLLIN},
                                {.fd = bell, .events = POLLIN}};
        int n_ready = poll(wait, 3, poll_timeout_ms(&w, tick_ns));
        if (n_ready < 0 && errno != EINTR)
            end_everything(&w, FMI_CREW_BROKEN);
        if (n_ready == 0 && !w.knows_oom_kills)
            note_oom_kills(&w);
        if (wait[1].revents != 0)
            end_everything(&w, FMI_CREW_OVER);
        fmi_sys_drain(bell);
        fmi_sys_drain(w.children);
        w.n_buried = bury_the_dead(&w);
        end_orphans(&w);
        fmi_filemap_drop_dead(); /* or the pages of a file that is gone would stay as long as the pool */
        uint32_t command = atomic_load(&w.shm->command);
        if (command == FMI_COMMAND_KILL || atomic_load(&w.shm->state) == FMI_CREW_BROKEN)
            end_everything(&w, FMI_CREW_OVER);
        start_missing(&w);
        dismiss_late(&w);
        start_standbys(&w);
        /* not while one that died has no successor yet: it may have had something to finish */
        if (command == FMI_COMMAND_LEAVE && count_workers(&w) == 0 && w.fork_failing_ns == 0)
            end_everything(&w, FMI_CREW_OVER);
        end_unwanted(&w);
        if (tick_ns > 0)
            check_limits(&w, tick_ns);
    }
}
