/* SPDX-License-Identifier: MIT */
/* Launching by fork, and what the other methods share; see launch.h. */
#include "launch.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "forksafe.h"
#include "heap.h"
#include "process.h"
#include "topo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SPIN_NS = 20000, LOOK_NS = 2000000 }; /* how often a wait looks at its peer */
#define END_NS FM_SECONDS(5)

/* ---- the child ------------------------------------------------------------------------------- */

static struct fmi_launch_shm *entered; /* private to the child */

_Noreturn void fmi_launch_refuse(int code)
{
    snprintf(entered->detail, sizeof entered->detail, "%s", fm_error_detail());
    /* release: pairs with fmi_child_trouble */
    atomic_store_explicit(&entered->error, code, memory_order_release);
    _exit(1);
}

static void await_confirmation(struct fmi_launch_shm *record, int host)
{
    while (atomic_load(&record->state) == FMI_LAUNCH_OFFERED) {
        if (fmi_sys_await_end(host, 0) == 0)
            _exit(1);
        (void)fmi_sys_futex_wait(&record->state, FMI_LAUNCH_OFFERED, fmi_deadline_after(LOOK_NS));
    }
    if (atomic_load(&record->state) != FMI_LAUNCH_CONFIRMED)
        _exit(1);
    FMI_FAULT("launch.confirmed");
}

_Noreturn void fmi_launch_enter(struct fmi_launch_shm *record, int *fds, int n_fds)
{
    union { /* ISO C has no cast between the two */
        void *object;
        fmi_entry *function;
    } entry;
    FMI_FAULT("launch.enter");
    entered = record;
    if (record->magic != FMI_LAUNCH_MAGIC || record->layout != FMI_LAUNCH_LAYOUT ||
        record->n_fds != (uint32_t)n_fds)
        fmi_launch_refuse(fmi_error(FM_ESTALE, "the program was started by another version of "
                                               "itself, or of libforkmap"));
    await_confirmation(record, fds[FMI_LAUNCH_HOST]);
    if (record->entry.address != 0) /* would be the host's */
        fmi_launch_refuse(fmi_error(FM_ECORRUPT, "the launch record is overwritten"));
    int rc = fmi_function_resolve(&record->entry, &entry.object);
    if (rc != 0)
        fmi_launch_refuse(rc);
    entry.function((void *)(uintptr_t)record->arg, fds);
    _exit(1);
}

/* ---- the host -------------------------------------------------------------------------------- */

static int write_record(struct fmi_launch_shm **out, const struct fmi_launch *launch, int n_fds)
{
    union {
        fmi_entry *function;
        const void *object;
    } entry = {.function = launch->entry};
    void *block;
    int rc = fmi_heap_alloc(&block, sizeof **out, FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    struct fmi_launch_shm *record = *out = block;
    record->magic = FMI_LAUNCH_MAGIC;
    record->layout = FMI_LAUNCH_LAYOUT;
    record->n_fds = (uint32_t)n_fds;
    record->arg = (uintptr_t)launch->arg;
    atomic_store(&record->state, FMI_LAUNCH_OFFERED);
    return launch->method == FM_FORK ? 0
                                     : fmi_function_describe(NULL, entry.object, &record->entry);
}

int fmi_launch_revoke(struct fmi_child *child, int again)
{
    struct fmi_launch_shm *old = child->record;
    void *block;
    child->record = NULL;
    int rc = again ? fmi_heap_alloc(&block, sizeof *old, 0) : 0;
    if (again && rc == 0) {
        child->record = memcpy(block, old, sizeof *old);
        atomic_store(&child->record->state, FMI_LAUNCH_OFFERED);
    }
    atomic_store(
        &old->state,
        FMI_LAUNCH_REVOKED); /* last: a waiting child exits, and may have no more to read */
    fmi_sys_futex_wake_all(&old->state);
    return rc;
}

static void confirm(struct fmi_child *child)
{
    atomic_store(&child->record->state, FMI_LAUNCH_CONFIRMED);
    fmi_sys_futex_wake_all(&child->record->state);
}

/* Between the forks nothing of the host's may run: its signals stay blocked until the child is itself. */
static int launch_by_fork(struct fmi_child *child, const struct fmi_launch *launch, const int *fds)
{
    sigset_t before;
    int rc = fmi_forksafe_prepare();
    if (rc != 0)
        return rc;
    fmi_sys_block_signals(&before);
    FMI_FAULT("launch.fork");
    fmi_modules_hold();
    fmi_sys_topo_hold();
    pid_t pid = fmi_sys_fork();
    if (pid == 0) {
        fmi_forkserver_forget();
        entered = child->record;
        await_confirmation(entered, fds[FMI_LAUNCH_HOST]);
        launch->entry(launch->arg, fds);
        _exit(1);
    }
    fmi_sys_topo_let_go();
    fmi_modules_let_go();
    fmi_sys_restore_signals(&before);
    if (pid < 0)
        return fmi_error(pid, "fork: %s (see ulimit -u)", fm_strerror(pid));
    child->pid = pid;
    return 0;
}

/* A child that the server forked came with its pidfd. Others are not reaped before this, so the pid is their own. */
static int meet(struct fmi_child *child)
{
    struct fmi_exit ignored;
    if (child->pidfd < 0)
        child->pidfd = fmi_sys_watch_open(child->pid);
    if (child->pidfd >= 0) {
        confirm(child);
        return 0;
    }
    if (child->pidfd == -ESRCH) /* it ended at once, and the host waits for any child */
        return fmi_child_trouble(child);
    int rc = fmi_error(child->pidfd, "pidfd_open: %s (see ulimit -n)", fm_strerror(child->pidfd));
    (void)fmi_launch_revoke(child, 0); /* so it has touched nothing */
    fmi_sys_kill(child->pid);
    fmi_sys_reap(child->pid, &ignored);
    return rc;
}

int fmi_launch(struct fmi_child *child, const struct fmi_launch *launch)
{
    *child = (struct fmi_child){.pidfd = -1};
    fflush(
        stdout); /* what the child prints comes later; and its exit would print a fork's copy again */
    fflush(stderr);
    int fds[FMI_LAUNCH_FDS] = {fmi_sys_watch_open(getpid()), launch->fd, -1};
    int n_fds = launch->fd < 0 ? 1 : 2;
    if (fds[FMI_LAUNCH_HOST] < 0)
        return fmi_error(fds[0], "pidfd_open: %s (see ulimit -n)", fm_strerror(fds[0]));
    int rc = write_record(&child->record, launch, n_fds);
    if (rc == 0 && launch->method == FM_FORK)
        rc = launch_by_fork(child, launch, fds);
    else if (rc == 0 && launch->method == FM_SPAWN)
        rc = fmi_spawn(child, launch, fds, n_fds);
    else if (rc == 0)
        rc = fmi_forkserver_fork(child, fds, n_fds, launch->deadline_ns);
    if (rc != 0)
        fmi_child_begun(child);
    close(fds[FMI_LAUNCH_HOST]);
    return rc != 0 ? rc : meet(child);
}

void fmi_child_begun(struct fmi_child *child)
{
    (void)fmi_heap_free(child->record);
    child->record = NULL;
}

int fmi_child_trouble(struct fmi_child *child)
{
    if (child->record == NULL)
        return fmi_error(FM_EBROKEN, "process %d ended as it started", child->pid);
    char detail[sizeof child->record->detail];
    /* acquire: pairs with fmi_launch_refuse */
    int code = atomic_load_explicit(&child->record->error, memory_order_acquire);
    memcpy(detail, child->record->detail, sizeof detail);
    detail[sizeof detail - 1] = '\0';
    fmi_child_begun(child);
    if (code < 0)
        return fmi_error(code, "%s", detail);
    return fmi_error(FM_EBROKEN,
                     "process %d ended before it had begun: it was killed, or main left before it "
                     "came to fm_init()",
                     child->pid);
}

int fmi_child_await_begin(struct fmi_child *child, struct fmi_park_shm *events,
                          const struct fmi_life_shm *life, int64_t deadline_ns)
{
    for (;;) {
        uint32_t seen = fmi_park_seen(events);
        if (atomic_load(&life->word) != 0)
            break;
        int64_t look_ns = fmi_deadline_after(LOOK_NS);
        fmi_park(events, seen, SPIN_NS, look_ns < deadline_ns ? look_ns : deadline_ns);
        if (fmi_child_await(child, 0) == 0 && atomic_load(&life->word) == 0)
            return fmi_child_trouble(child);
        if (fmi_now_ns() >= deadline_ns)
            return fmi_error(-ETIMEDOUT, "process %d has not begun in time", child->pid);
    }
    fmi_child_begun(child);
    return 0;
}

int fmi_child_await(const struct fmi_child *child, int64_t deadline_ns)
{
    int rc = fmi_sys_await_end(child->pidfd, deadline_ns);
    if (rc != 0)
        return rc;
    fmi_forksafe_forget(child->pid); /* before the reaping: its pid is its own until then */
    return fmi_sys_await_pidfd(child->pidfd, deadline_ns);
}

void fmi_child_end(struct fmi_child *child)
{
    fmi_sys_pidfd_signal(child->pidfd, SIGKILL);
    (void)fmi_child_await(child, fmi_deadline_after(END_NS));
    close(child->pidfd);
    child->pidfd = -1;
    fmi_child_begun(child);
}
