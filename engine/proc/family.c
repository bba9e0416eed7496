/* SPDX-License-Identifier: MIT */
/* Who this process is, who its parent is, and which processes it has started; see family.h. */
#include "family.h"

#include "clock.h"
#include "error.h"
#include "message.h"
#include "process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TERM_NS FM_SECONDS(5) /* for a daemon to leave by itself */

static struct fm_process self = {
    .mark = FMI_PROCESS_LIVE,
    .kind = FMI_KIND_SELF,
    .phase = FMI_PHASE_STARTED,
    .person.name = "MainProcess",
    .lock = PTHREAD_MUTEX_INITIALIZER,
};
static struct fm_process parent = {.kind = FMI_KIND_PARENT, .lock = PTHREAD_MUTEX_INITIALIZER};
static int has_parent;

static struct fm_process *handles; /* of children, closed ones too; the latest first */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned n_created;

struct fmi_person *fmi_family_self(void)
{
    return &self.person;
}

fm_process *fm_current_process(void)
{
    self.owner = self.person.pid = getpid();
    return &self;
}

fm_process *fm_parent_process(void)
{
    return has_parent ? &parent : NULL;
}

/* The handles here are the parent's: its children are not this process's. Their memory stays, as pointers to them may be around. */
void fmi_family_begin(const struct fmi_person *me, const struct fmi_person *mother,
                      int mother_pidfd)
{
    pthread_mutex_init(&lock, NULL); /* another thread of the parent may have had it */
    handles = NULL;
    n_created = 0;
    self.person = *me;
    parent.person = *mother;
    parent.sentinel = mother_pidfd;
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
    pthread_mutex_lock(&lock);
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
    pthread_mutex_unlock(&lock);
    return p;
}

static int is_running(struct fm_process *p)
{
    return atomic_load(&p->mark) == FMI_PROCESS_LIVE && p->owner == getpid() &&
           atomic_load(&p->phase) == FMI_PHASE_STARTED && fm_process_is_alive(p) == 1;
}

int fm_active_children(fm_process **list, int n)
{
    int found = 0;
    if (n < 0 || (n > 0 && list == NULL))
        return fmi_error(-EINVAL, "list is NULL or n is negative");
    pthread_mutex_lock(&lock);
    for (struct fm_process *p = handles; p != NULL; p = p->next) {
        if (!is_running(p))
            continue;
        if (found < n)
            list[found] = p;
        found++;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* ---- the end ----------------------------------------------------------------------------------- */

static void for_each_running(void (*act)(struct fm_process *p))
{
    for (struct fm_process *p = handles; p != NULL; p = p->next)
        if (is_running(p))
            act(p);
}

static void terminate_daemon(struct fm_process *p)
{
    if (p->person.is_daemon)
        (void)fm_process_terminate(p);
}

static void await_child(struct fm_process *p)
{
    int64_t timeout = p->person.is_daemon ? TERM_NS : FM_FOREVER;
    int rc;
    do
        rc = fm_process_join(p, timeout);
    while (rc == -EINTR);
    if (rc != -ETIMEDOUT)
        return;
    (void)fm_process_kill(p); /* it ignores SIGTERM, or is stopped */
    rc = fm_process_join(p, TERM_NS);
    if (rc != 0)
        fmi_log(FM_LOG_ERROR, "process %d does not end: %s", p->person.pid, fm_strerror(rc));
}

/* Without the lock: no other thread starts processes while this one leaves, and a handle is never freed. */
void fmi_family_end(void)
{
    for_each_running(terminate_daemon);
    for_each_running(await_child);
}
