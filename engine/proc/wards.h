/* SPDX-License-Identifier: MIT */
#ifndef FMI_WARDS_H
#define FMI_WARDS_H

/*
 * The warden's workers, as it knows them: who is started, when and beside whom (wards_start.c), what a death is followed by (wards_bury.c), and the
 * process that waits for the next one (wards_spare.c).
 * All of it is private memory of the warden; the protocol is in crew.h.
 */

#include "cgroup.h"
#include "crew.h"

#include <sys/types.h>

enum { FMI_WARDS_AT_ONCE = 64, FMI_WARDS_ORPHANS_MS = 100, FMI_WARDS_QUIET_MS = 20 };
enum {
    FMI_ORPHANS_NONE = 0,
    FMI_ORPHANS_LATER = 1, /* after FMI_WARDS_ORPHANS_MS */
    FMI_ORPHANS_SOON = 2   /* in the first quiet moment, or after FMI_WARDS_QUIET_MS */
};                         /* when to look for them */

struct fmi_ward { /* one worker, as the warden knows it */
    pid_t pid;    /* 0: none */
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

struct fmi_spare {
    pid_t pid; /* 0: none */
    int orders;
    int is_wanted; /* in the next quiet moment */
    int rank;      /* the last that needed one */
    int n_deaths;  /* before an order, in a row */
};

struct fmi_warden {
    const struct fmi_crew_plan *plan;
    struct fmi_crew_shm *shm;
    struct fmi_ward *wards; /* by rank */
    int host_pidfd, bell, children;
    int n_buried;            /* in the last round */
    int start_deaths;        /* in a row */
    int64_t start_deaths_ns; /* when the row began */
    int failing_rank;        /* of the last of them */
    int64_t fork_failing_ns; /* since when; 0: it is not */
    int64_t last_tick_ns;
    int may_have_orphans; /* FMI_ORPHANS_... */
    int64_t
        orphans_ns; /* when they were looked for; FMI_ORPHANS_SOON: since when they may be there */
    int knows_oom_kills; /* the counter is opened in the first quiet moment after the workers started */
    struct fmi_oom_counter oom_counter;
    uint64_t oom_kills;
    struct fmi_spare spare;
};

/* Whoever sleeps looks again: after a death of that rank. */
void fmi_wards_wake_everyone(struct fmi_warden *w, int rank);
/* The crew cannot go on. */
void fmi_wards_break(struct fmi_warden *w, int why);
/* 1 if it is a worker, a standby, or the spare. arg: the fmi_warden; for fmi_sys_kill_children(). */
int fmi_wards_has(pid_t pid, void *arg);
/* -1: it is none. */
int fmi_wards_rank_of(struct fmi_warden *w, pid_t pid);
/* The same of a standby. */
int fmi_wards_rank_beside(struct fmi_warden *w, pid_t pid);

/* ---- wards_start.c ---- */

/* The rank is wanted, or has a share in a map. */
int fmi_wards_needs(const struct fmi_warden *w, int rank);
/* Starts a worker for each rank that needs one and has none. */
void fmi_wards_start_missing(struct fmi_warden *w);
/* Starts one beside each worker that retires. */
void fmi_wards_start_standbys(struct fmi_warden *w);
/* Ends workers that were started to grow, and are late. */
void fmi_wards_dismiss_late(struct fmi_warden *w);
/* The worker of that rank wants to be replaced. */
int fmi_wards_retires(struct fmi_warden *w, int rank);
/* Whoever retires then leaves without, and is replaced as after a death. */
void fmi_wards_deny_standby(struct fmi_warden *w, int rank);
/* A worker for a pool that grows could not be started. The host decides; the rank stays vacant meanwhile. */
void fmi_wards_fail_trial(struct fmi_warden *w, int rank, uint32_t trial, int code);

/* ---- wards_bury.c ---- */

/* Buries the dead and starts their successors. Returns how many processes ended; at FMI_WARDS_AT_ONCE there may be more, after a look at the host. */
int fmi_wards_bury(struct fmi_warden *w);
/* 1 if the kernel has killed one more for want of memory: whoever was just killed is taken for that. */
int fmi_wards_note_oom_kill(struct fmi_warden *w);
/* Ends what the dead have left, when it is time to look for that. */
void fmi_wards_end_orphans(struct fmi_warden *w, int is_quiet);

/* ---- wards_spare.c ---- */

/* Makes one, if it is wanted. */
void fmi_wards_make_spare(struct fmi_warden *w);
/* The spare begins as (rank, starts). Returns its pid; 0 if there is none. */
pid_t fmi_wards_give_spare(struct fmi_warden *w, int rank, uint32_t starts);
/* It ended while it waited. */
void fmi_wards_bury_spare(struct fmi_warden *w);

#endif
