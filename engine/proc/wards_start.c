/* SPDX-License-Identifier: MIT */
/* Starting workers, and standbys beside those that retire; see wards.h. */
#include "wards.h"

#include "clock.h"
#include "message.h"
#include "process.h"

#include <unistd.h>

enum { GIVE_UP_FORK_MS = 5000 };

static int has_share(const struct fmi_warden *w, int rank)
{
    return w->plan->has_share != NULL && w->plan->has_share(rank, w->plan->arg);
}

int fmi_wards_needs(const struct fmi_warden *w, int rank)
{
    return (uint32_t)rank < atomic_load(&w->shm->wanted) || has_share(w, rank);
}

/* Which trial a process of this rank is part of; 0: of none, as a share must be run, whatever else happens. */
static uint32_t trial_of(const struct fmi_warden *w, int rank)
{
    uint32_t trial = atomic_load(&w->shm->trial);
    return trial % 2 == 1 && (uint32_t)rank >= atomic_load(&w->shm->firm) && !has_share(w, rank)
               ? trial
               : 0;
}

void fmi_wards_fail_trial(struct fmi_warden *w, int rank, uint32_t trial, int code)
{
    w->wards[rank].failed_trial = trial;
    atomic_store(&w->shm->failed_rank, (uint32_t)rank);
    atomic_store(&w->shm->failed_code, code);
    atomic_store(&w->shm->failed_trial, trial); /* pairs with check_grown */
    fmi_park_wake_all(&w->shm->events);
}

/*
 * The spare, if there is one, in the place of one that died. Not for a trial: whether a fork succeeds is what that is about. Returns a pid, or -errno of
 * the fork.
 */
static pid_t start_process(struct fmi_warden *w, int rank, uint32_t starts, uint32_t trial)
{
    pid_t self = getpid(),
          pid = starts > 1 && trial == 0 ? fmi_wards_give_spare(w, rank, starts) : 0;
    if (pid == 0)
        pid = fmi_sys_fork();
    if (pid == 0)
        fmi_worker_run(w->plan, rank, starts, self, 0);
    return pid;
}

/* starts is raised before the fork, so that a worker can be sure of its own number. */
static int start_worker(struct fmi_warden *w, int rank, uint32_t trial)
{
    struct fmi_worker_shm *shared = &w->shm->workers[rank];
    struct fmi_ward *ward = &w->wards[rank];
    uint32_t starts = ward->starts + 1;
    atomic_store(&shared->starts, starts);
    atomic_store(&shared->call, 0);
    if (trial != 0) { /* what an earlier one said is told already */
        atomic_store(&shared->init_code, 0);
        atomic_store(&shared->stack_code, 0);
    }
    pid_t pid = start_process(w, rank, starts, trial);
    if (pid < 0)
        return pid;
    *ward =
        (struct fmi_ward){.pid = pid, .starts = starts, .begin_ns = fmi_now_ns(), .trial = trial};
    atomic_store(&shared->pid, (uint32_t)pid);
    fmi_log(starts == 1 ? FM_LOG_DEBUG : FM_LOG_INFO, "worker %d is process %d (start %u)", rank,
            (int)pid, starts);
    return 0;
}

static int is_missing(const struct fmi_warden *w, int rank)
{
    const struct fmi_ward *ward = &w->wards[rank];
    if (ward->pid != 0 || !fmi_wards_needs(w, rank))
        return 0;
    if (ward->failed_trial != 0 && ward->failed_trial == atomic_load(&w->shm->trial) &&
        !has_share(w, rank))
        return 0;
    int has_left = ward->starts != 0 && atomic_load(&w->shm->workers[rank].left) == ward->starts;
    return !has_left || atomic_load(&w->shm->command) == FMI_COMMAND_RUN;
}

/* The host, while it opens the crew, decides whether it can do without. */
static void tell_unforked(struct fmi_warden *w, int rank, int code)
{
    uint32_t word = code == 0 ? 0 : (uint32_t)(rank + 1) << 16 | (uint32_t)-code;
    if (atomic_load(&w->shm->unforked) == word)
        return;
    atomic_store(&w->shm->unforked, word); /* pairs with check_forks */
    fmi_park_wake_all(&w->shm->events);
}

void fmi_wards_start_missing(struct fmi_warden *w)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        if (!is_missing(w, rank))
            continue;
        uint32_t trial =
            trial_of(w, rank); /* as it begins: a fork may last longer than its trial */
        int rc = start_worker(w, rank, trial);
        if (rc == 0)
            continue;
        if (trial != 0) {
            fmi_wards_fail_trial(w, rank, trial, rc);
            continue;
        }
        tell_unforked(w, rank, rc);
        if (w->fork_failing_ns == 0)
            w->fork_failing_ns = fmi_now_ns();
        else if (fmi_now_ns() - w->fork_failing_ns > GIVE_UP_FORK_MS * (int64_t)1000000)
            fmi_wards_break(w, rc);
        return; /* the poll loop tries again */
    }
    w->fork_failing_ns = 0;
    tell_unforked(w, 0, 0);
}

int fmi_wards_retires(struct fmi_warden *w, int rank)
{
    /* pairs with retire */
    return atomic_load(&w->shm->workers[rank].retiring) == w->wards[rank].starts;
}

void fmi_wards_deny_standby(struct fmi_warden *w, int rank)
{
    atomic_store(&w->shm->workers[rank].denied, w->wards[rank].starts); /* pairs with is_answered */
    fmi_park_wake_all(&w->shm->events);
}

/* `starts` stays that of the old one until this one has the rank. */
static void start_standby(struct fmi_warden *w, int rank)
{
    struct fmi_ward *ward = &w->wards[rank];
    pid_t self = getpid(), pid = fmi_sys_fork();
    if (pid == 0)
        fmi_worker_run(w->plan, rank, ward->starts + 1, self, 1);
    if (pid < 0) {
        fmi_wards_deny_standby(w, rank);
        return;
    }
    ward->standby = pid;
    atomic_store(&w->shm->workers[rank].standby_pid, (uint32_t)pid);
    fmi_log(FM_LOG_DEBUG, "worker %d is to be process %d (start %u)", rank, (int)pid,
            ward->starts + 1);
}

void fmi_wards_start_standbys(struct fmi_warden *w)
{
    for (int rank = w->plan->first; rank < w->plan->n; rank++) {
        const struct fmi_ward *ward = &w->wards[rank];
        if (ward->pid == 0 || ward->standby != 0 || !fmi_wards_retires(w, rank) ||
            atomic_load(&w->shm->workers[rank].denied) == ward->starts)
            continue;
        if (fmi_wards_needs(w, rank))
            start_standby(w, rank);
        else
            fmi_wards_deny_standby(w, rank);
    }
}

static int is_late(const struct fmi_warden *w, int rank)
{
    const struct fmi_ward *ward = &w->wards[rank];
    const struct fmi_worker_shm *shared = &w->shm->workers[rank];
    int is_of_another = ward->trial != 0 && ward->trial != atomic_load(&w->shm->trial);
    if (ward->pid == 0 || atomic_load(&shared->ready) == ward->starts ||
        atomic_load(&shared->standby) == ward->starts) /* that one is about to be ready */
        return 0;
    return is_of_another || !fmi_wards_needs(w, rank);
}

/* Those that were started for nothing, and are ready late, or never: they would not see that they may leave. */
void fmi_wards_dismiss_late(struct fmi_warden *w)
{
    uint32_t firm = atomic_load(&w->shm->firm); /* any number may stand there */
    for (int rank = w->plan->first; rank < w->plan->n; rank++)
        if ((uint32_t)rank >= firm && !w->wards[rank].is_dismissed && is_late(w, rank)) {
            w->wards[rank].is_dismissed = 1;
            fmi_sys_kill(w->wards[rank].pid);
        }
}
