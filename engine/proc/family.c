/* SPDX-License-Identifier: MIT */
/* Who this process is, who its parent is, and which processes it has started; see family.h. */
#include "family.h"

#include "clock.h"
#include "error.h"
#include "forklock.h"
#include "process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TERM_NS  FM_SECONDS(3) /* for daemons to leave by themselves */
#define SLICE_NS FM_MS(20)
enum { NEW_KEY_BYTES = 32 };

static struct fm_process self = {
    .mark = FMI_PROCESS_LIVE,
    .kind = FMI_KIND_SELF,
    .phase = FMI_PHASE_STARTED,
    .person.name = "MainProcess",
    .lock = PTHREAD_MUTEX_INITIALIZER,
};
static struct fm_process parent = {.kind = FMI_KIND_PARENT, .lock = PTHREAD_MUTEX_INITIALIZER};
static int has_parent;

static struct fm_process
    *handles; /* of children, closed ones too; the latest first. Only added to */
static struct fmi_forklock lock = FMI_FORKLOCK;
static _Atomic unsigned n_created;

fm_process *fm_current_process(void)
{
    self.owner = self.person.pid = getpid();
    return &self;
}

struct fmi_person *fmi_family_self(void)
{
    return &fm_current_process()->person;
}

fm_process *fm_parent_process(void)
{
    return has_parent ? &parent : NULL;
}

/*
 * The handles here are the parent's: its children are not this process's, and their descriptors are closed. Their memory stays, as pointers to
 * them may be around.
 */
static void forget_children(void)
{
    for (struct fm_process *p = handles; p != NULL; p = p->next)
        if (atomic_load(&p->mark) == FMI_PROCESS_LIVE &&
            atomic_load(&p->phase) != FMI_PHASE_CREATED) {
            close(p->sentinel);
            close(p->keeper.pidfd);
        }
    handles = NULL;
    n_created = 0;
}

void fmi_family_begin(const struct fmi_person *me, const struct fmi_person *host, int host_pidfd)
{
    forget_children();
    self.person = *me;
    parent.person = *host;
    parent.sentinel = host_pidfd;
    parent.phase = FMI_PHASE_STARTED;
    parent.mark = FMI_PROCESS_LIVE;
    parent.owner = getpid();
    has_parent = 1;
    (void)fm_current_process();
}

/* ---- handles of children ----------------------------------------------------------------------- */

static void end_at_exit(void)
{
    fmi_family_end();
}

/* What is left when the program leaves by exit(). In a process of ours that is done by its own guard (usercode.h). */
static void watch_exit(void)
{
    static int is_watched;
    if (!is_watched && !has_parent)
        is_watched = atexit(end_at_exit) == 0;
}

unsigned fmi_family_next_number(void)
{
    return atomic_fetch_add(&n_created, 1) + 1;
}

struct fm_process *fmi_family_new_handle(void)
{
    struct fm_process *p;
    pid_t here = getpid();
    fmi_forklock_acquire(&lock);
    watch_exit();
    for (p = handles; p != NULL; p = p->next)
        if (atomic_load(&p->mark) == FMI_PROCESS_DEAD && p->owner == here)
            break;
    if (p == NULL && (p = calloc(1, sizeof *p)) != NULL) {
        pthread_mutex_init(&p->lock, NULL);
        p->next = handles;
        handles = p;
    }
    if (p != NULL) {
        size_t kept = offsetof(struct fm_process, owner); /* late-comers may look at the rest */
        memset((char *)p + kept, 0, sizeof *p - kept);
        p->owner = here;
        atomic_store(&p->mark, FMI_PROCESS_MADE);
    }
    fmi_forklock_release(&lock);
    return p;
}

static int is_running(struct fm_process *p)
{
    return atomic_load(&p->mark) == FMI_PROCESS_LIVE && p->owner == getpid() &&
           atomic_load(&p->phase) == FMI_PHASE_STARTED && fm_process_is_alive(p) == 1;
}

/* Under the lock, with which all walk the list: nobody looks at a handle that is being freed. */
int fmi_family_remove(struct fm_process *p)
{
    uint64_t live = FMI_PROCESS_LIVE;
    fmi_forklock_acquire(&lock);
    int is_first = atomic_compare_exchange_strong(&p->mark, &live, FMI_PROCESS_MADE);
    fmi_forklock_release(&lock);
    return is_first;
}

int fmi_family_make_key(struct fmi_person *person)
{
    int rc = 0;
    fmi_forklock_acquire(&lock);
    if (person->key_bytes == 0) {
        if (getrandom(person->key, NEW_KEY_BYTES, 0) == NEW_KEY_BYTES)
            person->key_bytes = NEW_KEY_BYTES;
        else
            rc = fmi_error(-errno, "getrandom: %s", fm_strerror(-errno));
    }
    fmi_forklock_release(&lock);
    return rc;
}

int fm_active_children(fm_process **list, int n)
{
    int found = 0;
    if (n < 0 || (n > 0 && list == NULL))
        return fmi_error(-EINVAL, "list is NULL or n is negative");
    fmi_forklock_acquire(&lock);
    for (struct fm_process *p = handles; p != NULL; p = p->next) {
        if (!is_running(p))
            continue;
        if (found < n)
            list[found] = p;
        found++;
    }
    fmi_forklock_release(&lock);
    return found;
}

/* ---- the end ----------------------------------------------------------------------------------- */

static void terminate_daemons(void)
{
    fmi_forklock_acquire(&lock);
    for (struct fm_process *p = handles; p != NULL; p = p->next)
        if (is_running(p) && p->person.is_daemon)
            (void)fm_process_terminate(p);
    fmi_forklock_release(&lock);
}

/* A daemon that does not go in time ignores SIGTERM, or is stopped. */
static void kill_daemons(void)
{
    for (struct fm_process *p = handles; p != NULL; p = p->next)
        if (is_running(p) && p->person.is_daemon)
            (void)fm_process_kill(p);
}

/* One that runs, or NULL. */
static struct fm_process *find_running(int is_daemon)
{
    for (struct fm_process *p = handles; p != NULL; p = p->next)
        if (p->person.is_daemon == is_daemon && is_running(p))
            return p;
    return NULL;
}

/* In slices: other threads may close their processes meanwhile. The end of one ends its slice. */
static void await_all(int is_daemon, int64_t deadline_ns)
{
    for (int is_left = 1; is_left;) {
        fmi_forklock_acquire(&lock);
        struct fm_process *p = find_running(is_daemon);
        is_left = p != NULL;
        if (is_left && fmi_now_ns() >= deadline_ns)
            kill_daemons();
        if (is_left && fm_process_join(p, SLICE_NS) == -EINVAL)
            is_left = 0;
        fmi_forklock_release(&lock);
    }
}

void fmi_family_end(void)
{
    terminate_daemons();
    await_all(1, fmi_deadline_after(TERM_NS));
    await_all(0, FMI_NEVER);
}
