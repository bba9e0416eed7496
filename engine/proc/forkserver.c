/* SPDX-License-Identifier: MIT */
/*
 * The forkserver: a process without threads that forks when it is asked. It is a fork of the host, or, if a fork of the host would not be safe
 * any more, the program executed anew.
 *
 * It sleeps in poll() on the socket of its host, the host's pidfd and SIGCHLD. Each request names a launch record in the heap, and brings the
 * descriptors of the launch, stdout, stderr and the working directory, which a child has as the host has them now. The answer brings the
 * child's pidfd, made before the child can be reaped.
 *
 *   SERVER          who dies here
 *   starting        the server: its socket ends, and fm_forkserver_start() says so. The host: the server sees its pidfd
 *   asked           the server: the host sees its pidfd, or the end of the socket. The launch is revoked, so a child that was forked already exits
 *                   (launch.h); a new server is started, once, and asked for a new launch
 *   idle            the server: the next request finds out. What it has forked lives on
 */
#include "clock.h"
#include "error.h"
#include "fault.h"
#include "forklock.h"
#include "forksafe.h"
#include "heap.h"
#include "launch.h"
#include "message.h"
#include "opts.h"
#include "process.h"
#include "socket.h"
#include "topo.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_NS FM_SECONDS(60)
#define STOP_NS  FM_SECONDS(1)
enum { REQUEST_STDOUT = 1, REQUEST_STDERR = 2, REQUEST_DIRECTORY = 4 };

struct request {
    uint64_t record;
    int32_t n_fds; /* of the launch; then come those of `also` */
    uint32_t also;
};

struct answer {
    int32_t code; /* 0, or why not */
    int32_t pid;
    char detail[248];
};

/* ---- the server ------------------------------------------------------------------------------ */

struct server {
    int host, socket, children;
};

/* The host sees the end of the server, and starts another. */
static _Noreturn void leave_in_trouble(const char *what, int code)
{
    fmi_log(FM_LOG_WARNING, "%s: %s; the forkserver ends", what, fm_strerror(code));
    fmi_forksafe_forget(getpid());
    _exit(1);
}

static void answer(const struct server *s, int code, pid_t pid, int pidfd)
{
    struct answer a = {.code = code, .pid = pid};
    if (code != 0)
        snprintf(a.detail, sizeof a.detail, "%s", fm_error_detail());
    int rc = fmi_sys_socket_send(s->socket, &a, sizeof a, &pidfd, pidfd >= 0);
    if (rc != 0 && rc != -EPIPE && rc != -ECONNRESET)
        leave_in_trouble("an answer cannot be sent", rc); /* for which the host would wait */
}

/* In the child. Each descriptor goes where it belongs, if the host has it. */
static void take_surroundings(const struct request *r, const int *fds)
{
    const int *next = fds + r->n_fds;
    if ((r->also & REQUEST_STDOUT) != 0)
        dup2(*next++, STDOUT_FILENO);
    if ((r->also & REQUEST_STDERR) != 0)
        dup2(*next++, STDERR_FILENO);
    if ((r->also & REQUEST_DIRECTORY) != 0 && fchdir(*next++) != 0)
        fmi_log(FM_LOG_WARNING, "the host's working directory cannot be entered: %s",
                fm_strerror(-errno));
    for (const int *fd = fds + r->n_fds; fd < next; fd++)
        close(*fd);
}

static _Noreturn void become_child(const struct server *s, const struct request *r, int *fds)
{
    close(s->host);
    close(s->socket);
    close(s->children);
    take_surroundings(r, fds);
    fmi_launch_enter((struct fmi_launch_shm *)(uintptr_t)r->record, fds, r->n_fds);
}

static void serve(const struct server *s, const struct request *r, int *fds, int n_fds)
{
    if (r->n_fds < 1 || r->n_fds > n_fds || r->n_fds + __builtin_popcount(r->also) != n_fds ||
        !fmi_heap_contains((void *)(uintptr_t)r->record, sizeof(struct fmi_launch_shm))) {
        answer(s, fmi_error(FM_ECORRUPT, "the forkserver does not understand the request"), 0, -1);
        return;
    }
    FMI_FAULT("forkserver.fork");
    pid_t pid = fmi_sys_fork();
    if (pid == 0)
        become_child(s, r, fds);
    if (pid < 0) {
        answer(s, fmi_error(pid, "the forkserver cannot fork: %s", fm_strerror(pid)), 0, -1);
        return;
    }
    FMI_FAULT("forkserver.answer");
    int pidfd = fmi_sys_watch_open(pid);
    if (pidfd < 0) {
        fmi_sys_kill(pid);
        answer(s, fmi_error(pidfd, "pidfd_open in the forkserver: %s", fm_strerror(pidfd)), 0, -1);
        return;
    }
    answer(s, 0, pid, pidfd);
    close(pidfd);
}

static void reap_children(const struct server *s)
{
    struct fmi_exit ignored; /* whoever launched them has their pidfd */
    fmi_sys_drain(s->children);
    for (pid_t pid = fmi_sys_ended_child(); pid > 0; pid = fmi_sys_ended_child()) {
        fmi_forksafe_forget(pid);
        if (fmi_sys_reap(pid, &ignored) != 0)
            break;
    }
}

static void receive(const struct server *s)
{
    struct request r;
    int fds[FMI_SOCKET_FDS], n_fds;
    int rc = fmi_sys_socket_receive(s->socket, &r, sizeof r, fds, &n_fds, 0);
    if (rc == -EPIPE || rc == -ECONNRESET) { /* the host has closed it */
        reap_children(s);
        _exit(0);
    }
    if (rc == -ETIMEDOUT)
        return;
    if (rc != 0 && rc != -EMFILE && rc != -EPROTO) /* it would come again, and be answered twice */
        leave_in_trouble("a request cannot be received", rc);
    if (rc != 0)
        answer(s, fmi_error(rc, "a request to the forkserver: %s", fm_strerror(rc)), 0, -1);
    else
        serve(s, &r, fds, n_fds);
    for (int i = 0; i < n_fds; i++)
        close(fds[i]);
}

/* `names`: texts that end with an empty one. */
static int preload(const char *names)
{
    for (const char *name = names; *name != '\0'; name += strlen(name) + 1) {
        void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL); /* stays open */
        if (library == NULL)
            return fmi_error(FM_ENOFUNC, "%s", dlerror());
    }
    return 0;
}

static int set_up(struct server *s, const char *names)
{
    fmi_sys_set_name("fm-forkserver");
    fmi_log_set_name("forkserver");
    fmi_sys_reset_signals();
    fmi_sys_allow_stops();
    fmi_sys_forget_output();
    fmi_sys_stdin_from_null();
    s->children = fmi_sys_signalfd(SIGCHLD, SIGCHLD);
    if (s->children < 0)
        return fmi_error(s->children, "signalfd: %s", fm_strerror(s->children));
    fmi_ticks_per_ns(); /* what each child would measure and read for itself */
    (void)fmi_sys_topo_n_cores();
    return preload(names);
}

static _Noreturn void run_server(void *names, const int *fds)
{
    struct server s = {.host = fds[FMI_LAUNCH_HOST], .socket = fds[1]};
    int rc = set_up(&s, names);
    answer(&s, rc, getpid(), -1);
    while (rc == 0) {
        struct pollfd wait[] = {{.fd = s.socket, .events = POLLIN},
                                {.fd = s.host, .events = POLLIN},
                                {.fd = s.children, .events = POLLIN}};
        if (fmi_sys_poll(wait, 3, -1) < 0)
            break;
        if (wait[1].revents != 0)
            break;
        reap_children(&s);
        if (wait[0].revents != 0)
            receive(&s);
    }
    fmi_forksafe_forget(getpid()); /* the host may be gone */
    _exit(rc == 0 ? 0 : 1);
}

/* ---- the host -------------------------------------------------------------------------------- */

static struct { /* this process's server */
    struct fmi_child child;
    _Atomic pid_t owner; /* else it is the parent's */
    _Atomic pid_t pid;   /* of one that has answered, or 0: for those who ask without the lock */
    int socket;          /* -1: none */
    int is_behind;       /* an answer may be yet to come: the next request would get it */
    char *names;         /* of the libraries that it opens, for the next one, too; in the heap */
} own = {.socket = -1};
static struct fmi_forklock lock = FMI_FORKLOCK;

void fmi_forkserver_forget(void)
{
    if (own.socket >= 0) {
        close(own.socket);
        close(own.child.pidfd);
    }
    own.socket = -1;
    own.names = NULL;
}

/* A child that the program forked by itself has its parent's server in its memory. */
static int lock_own(int64_t deadline_ns)
{
    int rc = fmi_forklock_acquire_until(&lock, deadline_ns);
    if (rc != 0)
        return fmi_error(rc, "another thread waits for the forkserver, process %d", own.child.pid);
    if (atomic_load(&own.owner) != getpid())
        fmi_forkserver_forget();
    return 0;
}

static void stop_server(void)
{
    int socket = own.socket;
    if (socket < 0)
        return;
    own.socket = -1; /* before its number may be another's: see fmi_forkserver_forget */
    atomic_store(&own.pid, 0);
    fmi_sys_socket_end(socket); /* then it leaves by itself, after it has reaped whom it can */
    (void)fmi_child_await(&own.child, fmi_deadline_after(STOP_NS));
    fmi_child_end(&own.child);
}

static void stop_at_exit(void)
{
    if (atomic_load(&own.owner) == getpid())
        (void)fm_forkserver_stop();
}

static int has_died(void)
{
    return fmi_error(FM_EBROKEN, "the forkserver, process %d, has died", own.child.pid);
}

/* Its end may not be that of the socket: a process that another thread forked meanwhile may have it, too. */
static int receive_answer(struct answer *a, int *pidfd, int64_t deadline_ns)
{
    int fds[FMI_SOCKET_FDS], n_fds;
    int rc = fmi_sys_await_either(own.socket, own.child.pidfd, deadline_ns);
    if (rc == 0)
        rc = fmi_sys_socket_receive(own.socket, a, sizeof *a, fds, &n_fds, 0);
    if (rc == -EPIPE || rc == -ECONNRESET ||
        (rc == -ETIMEDOUT && fmi_sys_await_end(own.child.pidfd, 0) == 0))
        return has_died();
    own.is_behind = rc != 0 && rc != -EMFILE;
    if (rc != 0)
        return fmi_error(rc, "no answer of the forkserver, process %d: %s%s", own.child.pid,
                         fm_strerror(rc), rc == -EMFILE ? " (see ulimit -n)" : "");
    *pidfd = n_fds > 0 ? fds[0] : -1;
    return a->code == 0 ? 0 : fmi_error(a->code, "%s", a->detail);
}

/* All names, in the heap, as the server may be no fork. */
static int copy_names(char **out, const char *const *preload)
{
    size_t bytes = 1;
    void *block;
    for (int i = 0; preload != NULL && preload[i] != NULL; i++)
        bytes += strlen(preload[i]) + 1;
    int rc = fmi_heap_alloc(&block, bytes, FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    char *at = *out = block;
    for (int i = 0; preload != NULL && preload[i] != NULL; i++)
        at = stpcpy(at, preload[i]) + 1;
    return 0;
}

static int choose_method(void)
{
    if (fmi_forksafe_is_clean())
        return FM_FORK;
    if (fmi_spawn_is_possible())
        return FM_SPAWN;
    return fmi_error(
        FM_ENOINIT,
        "this program has several threads, so a forkserver cannot be forked any more: call "
        "fm_forkserver_start() before they start, or fm_init(argc, argv) first in main");
}

static int launch_server(int64_t deadline_ns)
{
    int sockets[2], method = choose_method();
    if (method < 0)
        return method;
    int rc = fmi_sys_socketpair(sockets);
    if (rc != 0)
        return fmi_error(rc, "socketpair: %s", fm_strerror(rc));
    struct fmi_launch launch = {.method = method,
                                .entry = run_server,
                                .arg = own.names,
                                .fd = sockets[1],
                                .deadline_ns = deadline_ns};
    own.socket = sockets[0]; /* first: a fork closes it as what is its parent's */
    atomic_store(&own.owner, getpid());
    rc = fmi_launch(&own.child, &launch);
    close(sockets[1]);
    if (rc != 0) {
        close(sockets[0]);
        own.socket = -1;
    }
    return rc;
}

/* A child that refused its launch has ended, and so has its socket: its record says why. */
static int start_server(int64_t deadline_ns)
{
    struct answer hello;
    int ignored, rc = own.names == NULL ? copy_names(&own.names, NULL) : 0;
    if (rc == 0)
        rc = launch_server(deadline_ns);
    if (rc == 0) {
        rc = receive_answer(&hello, &ignored, deadline_ns);
        if (rc == FM_EBROKEN && fmi_child_await(&own.child, deadline_ns) == 0)
            rc = fmi_child_trouble(&own.child);
        if (rc != 0)
            stop_server();
        else
            fmi_child_begun(&own.child);
    }
    if (rc != 0)
        return rc;
    atomic_store(&own.pid, own.child.pid);
    static int is_watched; /* it would end with the host in any case, a moment later */
    if (!is_watched)
        is_watched = atexit(stop_at_exit) == 0;
    fmi_log(FM_LOG_INFO, "the forkserver is process %d", own.child.pid);
    return 0;
}

static int open_directory(void)
{
    return open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int add_fd(int *fds, int *n_fds, int fd, uint32_t flag, uint32_t *also)
{
    if (fd < 0 || fcntl(fd, F_GETFD) < 0)
        return 0;
    fds[(*n_fds)++] = fd;
    *also |= flag;
    return 1;
}

static int ask(struct fmi_child *child, const int *launch_fds, int n_launch_fds,
               int64_t deadline_ns)
{
    struct request r = {.record = (uintptr_t)child->record, .n_fds = n_launch_fds};
    struct answer a;
    int fds[FMI_SOCKET_FDS], n_fds = n_launch_fds, directory = open_directory();
    memcpy(fds, launch_fds, (size_t)n_launch_fds * sizeof *fds);
    add_fd(fds, &n_fds, STDOUT_FILENO, REQUEST_STDOUT, &r.also);
    add_fd(fds, &n_fds, STDERR_FILENO, REQUEST_STDERR, &r.also);
    add_fd(fds, &n_fds, directory, REQUEST_DIRECTORY, &r.also);
    int rc = fmi_sys_socket_send(own.socket, &r, sizeof r, fds, n_fds);
    if (directory >= 0)
        close(directory);
    if (rc != 0)
        return rc == -EPIPE || rc == -ECONNRESET
                   ? has_died()
                   : fmi_error(rc, "the forkserver, process %d, cannot be asked: %s", own.child.pid,
                               fm_strerror(rc));
    rc = receive_answer(&a, &child->pidfd, deadline_ns);
    child->pid = rc == 0 ? a.pid : 0;
    return rc;
}

/* Whoever it has forked for this launch finds it revoked. A late answer would be taken for that of the next request. */
static int ask_another(struct fmi_child *child, const int *fds, int n_fds, int64_t deadline_ns)
{
    fmi_log(FM_LOG_WARNING, "%s; a new one is started", fm_error_detail());
    stop_server();
    int rc = fmi_launch_revoke(child, 1);
    if (rc == 0)
        rc = start_server(deadline_ns);
    return rc != 0 ? rc : ask(child, fds, n_fds, deadline_ns);
}

int fmi_forkserver_fork(struct fmi_child *child, const int *fds, int n_fds, int64_t deadline_ns)
{
    int rc = lock_own(deadline_ns);
    if (rc != 0)
        return rc;
    rc = own.socket >= 0 ? 0 : start_server(deadline_ns);
    if (rc == 0) {
        rc = ask(child, fds, n_fds, deadline_ns);
        if (rc == FM_EBROKEN)
            rc = ask_another(child, fds, n_fds, deadline_ns);
        if (rc != 0)
            (void)fmi_launch_revoke(child, 0);
        if (own.socket >= 0 && own.is_behind) {
            fmi_log(FM_LOG_WARNING, "%s; it is ended", fm_error_detail());
            stop_server();
        }
    }
    fmi_forklock_release(&lock);
    return rc;
}

/* ---- public ---------------------------------------------------------------------------------- */

static int is_running(void)
{
    return own.socket >= 0 && fmi_sys_await_end(own.child.pidfd, 0) == -ETIMEDOUT;
}

int fm_forkserver_start(const fm_forkserver_opts *opts)
{
    fm_forkserver_opts o;
    int rc = fmi_opts_copy(&o, sizeof o, opts);
    if (rc == 0 && o.timeout < 0)
        rc = fmi_error(-EINVAL, "timeout may not be negative");
    if (rc != 0)
        return rc;
    int64_t deadline_ns = fmi_deadline_after(o.timeout > 0 ? o.timeout : START_NS);
    int has_names = o.preload != NULL && o.preload[0] != NULL;
    rc = lock_own(deadline_ns);
    if (rc != 0)
        return rc;
    if (is_running()) {
        if (has_names)
            rc = fmi_error(-EALREADY,
                           "the forkserver runs already, as process %d: it opens no "
                           "libraries any more",
                           own.child.pid);
    } else {
        stop_server();
        if (has_names || own.names == NULL) {
            (void)fmi_heap_free(own.names);
            own.names = NULL;
            rc = copy_names(&own.names, o.preload);
        }
        if (rc == 0)
            rc = start_server(deadline_ns);
    }
    fmi_forklock_release(&lock);
    return rc;
}

int fm_forkserver_stop(void)
{
    int rc = lock_own(FMI_NEVER); /* whoever has it waits no longer than its own timeout */
    if (rc != 0)
        return rc;
    stop_server();
    (void)fmi_heap_free(own.names);
    own.names = NULL;
    fmi_forklock_release(&lock);
    return 0;
}

/* Without the lock, which another thread may have while it waits. */
int fm_forkserver_pid(void)
{
    int pid = atomic_load(&own.owner) == getpid() ? atomic_load(&own.pid) : 0;
    return pid > 0 && fmi_sys_is_alive(pid) ? pid : 0;
}
