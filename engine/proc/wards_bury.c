/* SPDX-License-Identifier: MIT */
/* How workers ended, and what follows from that; see wards.h. */
#include "wards.h"

#include "clock.h"
#include "forksafe.h"
#include "heap.h"
#include "message.h"
#include "process.h"

#include <signal.h>

enum {
    MAX_START_DEATHS = 8 /* in a row, and two for each worker, before a crew is broken */
};
#define GIVE_UP_START_NS FM_SECONDS(5)
#define USEFUL_LIFE_NS   FM_SECONDS(1)

/* Before the death record, at which the standby begins to work. */
static void prepare_turn(struct fmi_warden *w, int rank)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    if (w->wards[rank].standby == 0)
        return;
    atomic_store(&shared->starts, w->wards[rank].starts + 1);
    atomic_store(&shared->call, 0);
}

/* The rank is free: for its standby, if it has one. */
static void pass_rank(struct fmi_warden *w, int rank)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct fmi_ward *ward = &w->wards[rank];
    pid_t pid = ward->standby;
    if (pid == 0) {
        ward->pid = 0;
        return;
    }
    *ward = (struct fmi_ward){.pid = pid, .starts = ward->starts + 1, .begin_ns = fmi_now_ns()};
    atomic_store(&shared->standby_pid, 0);
    atomic_store(&shared->pid, (uint32_t)pid);
    fmi_log(FM_LOG_DEBUG, "worker %d is process %d (start %u)", rank, (int)pid, ward->starts);
}

int fmi_wards_note_oom_kill(struct fmi_warden *w)
{
    /* in the first moments nobody has filled the memory yet */
    if (!w->knows_oom_kills || fmi_sys_oom_counter_read(&w->oom_counter) <= w->oom_kills)
        return 0;
    w->oom_kills++; /* two may have been killed at once */
    return 1;
}

static uint32_t how_it_died(struct fmi_warden *w, int rank, const struct fmi_exit *end)
{
    const struct fmi_ward *ward = &w->wards[rank];
    if (end->signal == 0)
        return end->code == 0 && fmi_wards_retires(w, rank) ? FMI_DEATH_RETIRED : FMI_DEATH_EXIT;
    if (end->signal != SIGKILL)
        return FMI_DEATH_SIGNAL;
    if (ward->is_unwanted)
        return FMI_DEATH_LATE;
    if (ward->killed_call != 0)
        return atomic_load(&w->shm->workers[rank].call) == ward->killed_call ? FMI_DEATH_TIMEOUT
                                                                             : FMI_DEATH_LATE;
    return fmi_wards_note_oom_kill(w) ? FMI_DEATH_OOM : FMI_DEATH_SIGNAL;
}

static void publish_death(struct fmi_warden *w, int rank, const struct fmi_exit *end)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct fmi_ward *ward = &w->wards[rank];
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
static void count_start_death(struct fmi_warden *w, int rank, int signal)
{
    int64_t now = fmi_now_ns();
    w->failing_rank = rank;
    if (w->start_deaths++ == 0)
        w->start_deaths_ns = now;
    if (w->start_deaths > MAX_START_DEATHS + 2 * w->plan->n &&
        (signal != SIGKILL || now - w->start_deaths_ns > GIVE_UP_START_NS))
        fmi_wards_break(w, FM_EINIT);
}

static void expect_orphans(struct fmi_warden *w, int when)
{
    if (when <= w->may_have_orphans)
        return;
    w->may_have_orphans = when;
    if (when == FMI_ORPHANS_SOON)
        w->orphans_ns = fmi_now_ns();
}

/* As it said, and as it was told. A clean end is believed at any time: what it was told may have changed since. */
static int has_left(const struct fmi_warden *w, int rank, const struct fmi_exit *end)
{
    if (w->wards[rank].is_dismissed)
        return 1;
    if (atomic_load(&w->shm->workers[rank].left) != w->wards[rank].starts)
        return 0;
    return (end->signal == 0 && end->code == 0) || !fmi_wards_needs(w, rank) ||
           atomic_load(&w->shm->command) != FMI_COMMAND_RUN;
}

static void bury_worker(struct fmi_warden *w, int rank)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct fmi_ward *ward = &w->wards[rank];
    struct fmi_exit end;
    int was_useful = atomic_load(&shared->called) == ward->starts ||
                     fmi_now_ns() - ward->begin_ns > USEFUL_LIFE_NS;
    int was_ready = atomic_load(&shared->ready) == ward->starts, was_unwanted = ward->is_unwanted;
    fmi_heap_recover(ward->pid); /* before the reaping: its pid is its own until then */
    fmi_forksafe_forget(ward->pid);
    if (fmi_sys_reap(ward->pid, &end) != 0)
        return;
    if (ward->standby == 0 && has_left(w, rank, &end)) {
        expect_orphans(w, FMI_ORPHANS_SOON);
        ward->pid = 0;
        atomic_store(&shared->pid, 0);
        return;
    }
    prepare_turn(w, rank);
    publish_death(w, rank, &end);
    expect_orphans(w,
                   shared->death.how == FMI_DEATH_RETIRED ? FMI_ORPHANS_LATER : FMI_ORPHANS_SOON);
    pass_rank(w, rank);
    if (!was_ready && ward->trial != 0)
        fmi_wards_fail_trial(w, rank, ward->trial, FM_EINIT);
    /* Those who retire are many: they do not end the row of another rank. */
    else if (was_useful && (shared->death.how != FMI_DEATH_RETIRED || rank == w->failing_rank))
        w->start_deaths = 0;
    else if (!was_useful && !was_unwanted)
        count_start_death(w, rank, end.signal);
}

static void bury_standby(struct fmi_warden *w, int rank)
{
    struct fmi_ward *ward = &w->wards[rank];
    struct fmi_exit end;
    fmi_heap_recover(ward->standby);
    fmi_forksafe_forget(ward->standby);
    if (fmi_sys_reap(ward->standby, &end) != 0)
        return;
    fmi_log(FM_LOG_INFO, "worker %d, process %d, ended before its turn: %s %d", rank,
            (int)ward->standby, end.signal != 0 ? "signal" : "exit code",
            end.signal != 0 ? end.signal : end.code);
    expect_orphans(w, FMI_ORPHANS_SOON);
    ward->standby = 0;
    atomic_store(&w->shm->workers[rank].standby_pid, 0);
    atomic_fetch_add_explicit(&w->shm->deaths, 1, memory_order_relaxed); /* a counter for people */
    count_start_death(w, rank, end.signal);
    fmi_wards_deny_standby(w, rank);
}

/*
 * A look may have to read all of /proc, some milliseconds, which the replacement of the dead would wait for. Those that retire may be hundreds a second: their
 * orphans, if any, live a little longer.
 */
void fmi_wards_end_orphans(struct fmi_warden *w, int is_quiet)
{
    int is_soon = w->may_have_orphans == FMI_ORPHANS_SOON;
    int64_t now = w->may_have_orphans == FMI_ORPHANS_NONE ? 0 : fmi_now_ns();
    int64_t most_ns = FM_MS(is_soon ? FMI_WARDS_QUIET_MS : FMI_WARDS_ORPHANS_MS);
    if (w->may_have_orphans == FMI_ORPHANS_NONE ||
        (now - w->orphans_ns < most_ns && !(is_soon && is_quiet)))
        return;
    fmi_sys_kill_children(fmi_wards_has, w);
    w->may_have_orphans = FMI_ORPHANS_NONE;
    w->orphans_ns = now;
}

static void bury_orphan(pid_t pid)
{
    struct fmi_exit ignored;
    fmi_forksafe_forget(pid);
    fmi_sys_reap(pid, &ignored);
}

/* Returns how many processes ended; at FMI_WARDS_AT_ONCE there may be more, after a look at the host. */
int fmi_wards_bury(struct fmi_warden *w)
{
    int any = 0;
    for (pid_t pid = fmi_sys_ended_child(); pid > 0 && any < FMI_WARDS_AT_ONCE;
         pid = fmi_sys_ended_child()) {
        int rank = fmi_wards_rank_of(w, pid), beside = fmi_wards_rank_beside(w, pid);
        any++;
        if (pid == w->spare.pid) {
            fmi_wards_bury_spare(w);
            continue;
        }
        if (rank < 0 && beside < 0) {
            expect_orphans(w, FMI_ORPHANS_SOON);
            bury_orphan(pid); /* a grandchild whose parent died before it */
            continue;
        }
        if (beside >= 0)
            bury_standby(w, beside);
        else
            bury_worker(w, rank);
        if (atomic_load(&w->shm->state) == FMI_CREW_RUNNING &&
            atomic_load(&w->shm->command) != FMI_COMMAND_KILL)
            fmi_wards_start_missing(w);
        fmi_wards_wake_everyone(w, rank >= 0 ? rank : beside);
    }
    return any;
}
