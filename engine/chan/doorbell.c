/* SPDX-License-Identifier: MIT */
/* A descriptor that other processes make readable; see doorbell.h. */
#include "doorbell.h"

#include "error.h"
#include "fault.h"
#include "forklock.h"
#include "party.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RINGING = 1, N_YIELDS = 200 };

/* Private to the process; what a forked child inherits is another's. */
struct own {
    struct own *next;
    struct fmi_doorbell_shm *bell;
    uint64_t serial;
    int pid;            /* who made it */
    int epoll, out, in; /* out, in: the pipe */
    int pidfd;          /* -1: none */
    int is_lost;        /* the process to be watched cannot be: always readable */
    uint64_t watched;   /* 0: none */
};
static struct own *owned;
static struct fmi_forklock lock = FMI_FORKLOCK;

void fmi_doorbell_init(struct fmi_doorbell_shm *bell)
{
    static _Atomic uint64_t n;
    atomic_init(&bell->armed, 0);
    atomic_init(&bell->serial, (uint64_t)getpid() << 40 | (atomic_fetch_add(&n, 1) + 1));
    bell->number = 0;
    atomic_init(&bell->pid, 0);
    atomic_init(&bell->fd, -1);
    atomic_init(&bell->inode, 0);
    atomic_init(&bell->device, 0);
}

void fmi_doorbell_fini(struct fmi_doorbell_shm *bell)
{
    atomic_store(&bell->serial, 0); /* what others have open for it is dead: drop_dead */
}

/* ---- who rings ------------------------------------------------------------------------------------- */

static int is_its_pipe(const struct fmi_doorbell_shm *bell, const struct stat *st)
{
    return S_ISFIFO(st->st_mode) && st->st_ino == atomic_load(&bell->inode) &&
           st->st_dev == atomic_load(&bell->device);
}

int fmi_doorbell_reach(struct fmi_doorbell_shm *bell, int *error)
{
    char path[48];
    struct stat st;
    *error = 0;
    if (fmi_doorbell_armed(bell) == 0)
        return -1;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)atomic_load(&bell->pid),
             (int)atomic_load(&bell->fd));
    if (stat(path, &st) != 0 || !is_its_pipe(bell, &st))
        return -1; /* the owner is dead, or another now */
    /* For both, or its owner's end would be a SIGPIPE here. */
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        *error = errno == ENOENT || errno == ESRCH ? 0 : -errno;
        return -1;
    }
    if (fstat(fd, &st) == 0 && is_its_pipe(bell, &st))
        return fmi_sys_above_stdio(fd);
    close(fd);
    return -1;
}

static void put_byte(int fd)
{
    ssize_t written = write(fd, "", 1);
    (void)written; /* EAGAIN: there are 65,536 */
}

/* Since it was opened another may have made it his bell, and armed it. It is closed then, and -1. */
static int check_pipe(const struct fmi_doorbell_shm *bell, int fd)
{
    struct stat st;
    if (fd < 0 || (fstat(fd, &st) == 0 && is_its_pipe(bell, &st)))
        return fd;
    close(fd);
    return -1;
}

/* r3. Who finds RINGING rings, too: the other may be dead, and his death no news to the owner. */
static int begin_ring(struct fmi_doorbell_shm *bell, uint64_t *armed)
{
    uint64_t ringing = *armed | RINGING;
    int is_mine = atomic_compare_exchange_strong(&bell->armed, armed, ringing);
    is_mine = is_mine || *armed == ringing;
    *armed = ringing;
    return is_mine;
}

int fmi_doorbell_ring_by(struct fmi_doorbell_shm *bell, uint64_t armed, int fd)
{
    int error = 0;
    if (armed != 0)
        fd = check_pipe(bell, fd);
    if (fd < 0 && armed != 0)
        fd = fmi_doorbell_reach(bell, &error);
    if (fd < 0)
        return error;
    FMI_FAULT("doorbell.ring");
    if (armed != 0 && begin_ring(bell, &armed)) {
        FMI_FAULT("doorbell.byte");
        put_byte(fd);
        FMI_FAULT("doorbell.rung");
        atomic_compare_exchange_strong(&bell->armed, &armed, 0);
    }
    close(fd);
    return 0;
}

int fmi_doorbell_ring(struct fmi_doorbell_shm *bell)
{
    return fmi_doorbell_ring_by(bell, fmi_doorbell_armed(bell), -1);
}

/* ---- what this process has open -------------------------------------------------------------------- */

/* Of the parent's nothing is closed: by now the numbers may be other descriptors' here. */
static void close_one(struct own *own)
{
    const int fds[] = {own->epoll, own->out, own->in, own->pidfd};
    for (size_t i = 0; own->pid == getpid() && i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(own);
}

/* With the lock. What belongs to bells that are gone, or was the parent's; and that of `bell`. */
static void drop_dead(const struct fmi_doorbell_shm *bell)
{
    for (struct own **at = &owned, *own; (own = *at) != NULL;) {
        if (own->bell != bell && own->pid == getpid() &&
            atomic_load(&own->bell->serial) == own->serial) {
            at = &own->next;
            continue;
        }
        *at = own->next;
        close_one(own);
    }
}

/* Nobody else closes it: the caller has the lock of its side. */
static struct own *find(const struct fmi_doorbell_shm *bell)
{
    fmi_forklock_acquire(&lock);
    struct own *own = owned;
    while (own != NULL &&
           (own->bell != bell || own->pid != getpid() || own->serial != atomic_load(&bell->serial)))
        own = own->next;
    fmi_forklock_release(&lock);
    return own;
}

static int add_to_epoll(const struct own *own, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(own->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int open_parts(struct own *own)
{
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return -errno;
    own->out = fmi_sys_above_stdio(fds[0]);
    own->in = fmi_sys_above_stdio(fds[1]);
    own->epoll = fmi_sys_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (own->out < 0 || own->in < 0 || own->epoll < 0)
        return own->epoll == -1 ? -errno : -EMFILE;
    return add_to_epoll(own, own->out);
}

static int make(struct own **out, struct fmi_doorbell_shm *bell)
{
    struct own *own = malloc(sizeof *own);
    if (own == NULL)
        return -ENOMEM;
    *own = (struct own){.bell = bell, .serial = atomic_load(&bell->serial), .pid = getpid()};
    own->epoll = own->out = own->in = own->pidfd = -1;
    int rc = open_parts(own);
    if (rc != 0) {
        close_one(own);
        return rc;
    }
    fmi_forklock_acquire(&lock);
    drop_dead(bell);
    own->next = owned;
    owned = own;
    fmi_forklock_release(&lock);
    *out = own;
    return 0;
}

static int write_record(struct fmi_doorbell_shm *bell, const struct own *own)
{
    struct stat st, found;
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", own->pid, own->in);
    if (fstat(own->in, &st) != 0 || stat(path, &found) != 0 || st.st_ino != found.st_ino)
        return fmi_error(-ENOSYS, "%s: others cannot reach it; is /proc mounted?", path);
    atomic_store(&bell->inode, st.st_ino);
    atomic_store(&bell->device, st.st_dev);
    atomic_store(&bell->fd, own->in);
    atomic_store(&bell->pid, own->pid);
    return 0;
}

/* ---- the owner ------------------------------------------------------------------------------------- */

int fmi_doorbell_is_here(const struct fmi_doorbell_shm *bell)
{
    int pid =
        atomic_load_explicit(&bell->pid, memory_order_relaxed); /* under the lock of the side */
    return pid != 0 && pid == getpid();
}

int fmi_doorbell_open(struct fmi_doorbell_shm *bell)
{
    struct own *own = find(bell);
    int rc = own == NULL ? make(&own, bell) : 0;
    if (rc != 0)
        return fmi_error(rc, "a descriptor to wait on cannot be made: %s", fm_strerror(rc));
    if (fmi_doorbell_is_here(bell) && atomic_load(&bell->fd) == own->in)
        return own->epoll;
    (void)fmi_doorbell_ring(bell); /* who had it open before is to look, and may open it again */
    atomic_store(&bell->armed, 0);
    rc = write_record(bell, own);
    return rc == 0 ? own->epoll : rc;
}

/* Lets somebody at r4 finish. He may be dead, so not for ever. */
static void await_ringer(const struct fmi_doorbell_shm *bell)
{
    for (int i = 0; i < N_YIELDS && (atomic_load(&bell->armed) & RINGING) != 0; i++)
        sched_yield();
}

void fmi_doorbell_arm(struct fmi_doorbell_shm *bell)
{
    struct own *own = find(bell);
    if (own == NULL)
        return;
    await_ringer(bell);
    fmi_sys_drain(own->out);
    FMI_FAULT("doorbell.arm");
    atomic_store(&bell->armed, ++bell->number << 1); /* seq_cst: o2, pairs with r2 */
    FMI_FAULT("doorbell.armed");
}

void fmi_doorbell_show(struct fmi_doorbell_shm *bell)
{
    struct own *own = atomic_load(&bell->armed) != 0 ? find(bell) : NULL;
    if (own == NULL)
        return; /* a byte is there */
    put_byte(own->in);
    atomic_store(&bell->armed, 0);
}

void fmi_doorbell_watch(struct fmi_doorbell_shm *bell, uint64_t process)
{
    struct own *own = find(bell);
    if (own == NULL || (own->watched == process && !own->is_lost))
        return;
    if (own->pidfd >= 0)
        close(own->pidfd); /* which takes it out of the set */
    own->watched = process;
    own->pidfd = process == 0 ? -1 : fmi_sys_pidfd_open(fmi_party_pid(process));
    own->is_lost = process != 0 && (own->pidfd < 0 || add_to_epoll(own, own->pidfd) != 0);
    if (own->is_lost)
        fmi_doorbell_show(bell); /* dead, or not to be watched: the caller of poll is to look */
}

void fmi_doorbell_close(struct fmi_doorbell_shm *bell)
{
    fmi_forklock_acquire(&lock);
    drop_dead(bell);
    fmi_forklock_release(&lock);
}
