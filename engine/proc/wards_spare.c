/* SPDX-License-Identifier: MIT */
/* The spare: made in a quiet moment, given a rank when a worker has died; see crew.h. */
#include "wards.h"

#include "forksafe.h"
#include "heap.h"
#include "message.h"
#include "process.h"

#include <signal.h>
#include <unistd.h>

enum { MOST_DEATHS = 8 };

static void close_orders(struct fmi_spare *spare)
{
    close(spare->orders);
    spare->orders = -1;
    spare->pid = 0;
}

void fmi_wards_make_spare(struct fmi_warden *w)
{
    struct fmi_spare *spare = &w->spare;
    pid_t self = getpid();
    if (!spare->is_wanted || spare->pid != 0)
        return;
    spare->is_wanted = 0; /* what fails here is not tried again before the next death */
    if (spare->n_deaths >= MOST_DEATHS || w->fork_failing_ns != 0 ||
        atomic_load(&w->shm->command) != FMI_COMMAND_RUN || (spare->orders = fmi_sys_eventfd()) < 0)
        return;
    pid_t pid = fmi_sys_fork();
    if (pid == 0)
        fmi_spare_run(w->plan, w->plan->cpus[spare->rank], spare->orders, self);
    if (pid < 0) {
        close_orders(spare);
        return;
    }
    spare->pid = pid;
    fmi_log(FM_LOG_DEBUG, "process %d waits for the next death", (int)pid);
}

/* Whether it is still to come to its wait, or is dead and not buried yet: the rank has a process, and what follows is as after a fork. */
pid_t fmi_wards_give_spare(struct fmi_warden *w, int rank, uint32_t starts)
{
    struct fmi_spare *spare = &w->spare;
    pid_t pid = spare->pid;
    spare->rank = rank;
    spare->is_wanted = 1;
    if (pid == 0)
        return 0;
    fmi_sys_eventfd_add(spare->orders, fmi_order_of(rank, starts));
    close_orders(spare);
    spare->n_deaths = 0;
    return pid;
}

void fmi_wards_bury_spare(struct fmi_warden *w)
{
    struct fmi_exit end;
    pid_t pid = w->spare.pid;
    fmi_heap_recover(pid);
    fmi_forksafe_forget(pid);
    if (fmi_sys_reap(pid, &end) != 0)
        return;
    fmi_log(FM_LOG_INFO, "process %d, which waited for a death, ended: %s %d", (int)pid,
            end.signal != 0 ? "signal" : "exit code", end.signal != 0 ? end.signal : end.code);
    close_orders(&w->spare);
    if (end.signal == SIGKILL)
        (void)fmi_wards_note_oom_kill(w);
    w->spare.n_deaths++;
    w->spare.is_wanted = 1;
}
