/* SPDX-License-Identifier: MIT */
/* Failing system calls by a filter that asks the test; see t_inject.h. */
#include "t_inject.h"

#include "t.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

enum { NO_FILTER = 70, MOST_FDS = 256, GRACE_MS = 2000, LOOK_MS = 20 };

/* What host and test share. */
struct meeting {
    _Atomic int listener; /* its number in the host; 0: not yet, < 0: -errno */
    _Atomic int is_taken; /* the test has a copy of it */
    _Atomic int is_armed;
    int call;
    void (*host)(void *);
    void *arg;
    char said[T_SAID_BYTES];
};
static struct meeting *shared;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the host -------------------------------------------------------------------------------- */

static int listen_to(int call)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                          &program);
    return fd < 0 ? -errno : fd;
}

static void be_host(void *unused)
{
    const struct timespec moment = {.tv_nsec = 20000};
    (void)unused;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int fd = listen_to(shared->call);
    atomic_store(&shared->listener, fd);
    if (fd < 0)
        _exit(NO_FILTER);
    while (atomic_load(&shared->is_taken) == 0)
        nanosleep(&moment, NULL);
    close(fd);
    shared->host(shared->arg);
}

void t_inject_arm(void)
{
    atomic_store(&shared->is_armed, 1);
}

void t_inject_disarm(void)
{
    atomic_store(&shared->is_armed, 0);
}

void t_inject_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(shared->said, sizeof shared->said, format, args);
    va_end(args);
}

int t_inject_is_alone(void)
{
    const struct timespec moment = {.tv_nsec = 500000};
    for (int64_t until = now_ns() + 1000000000;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return 1;
        if (pid == 0 && now_ns() > until)
            return 0;
        if (pid == 0)
            nanosleep(&moment, NULL);
    }
}

int t_inject_n_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < MOST_FDS; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- the test -------------------------------------------------------------------------------- */

static int pidfd_of(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The host's listener, in this process. */
static int take_listener(int host)
{
    const struct timespec moment = {.tv_nsec = 20000};
    int fd;
    struct pollfd wait = {.fd = host, .events = POLLIN};
    while ((fd = atomic_load(&shared->listener)) == 0 && poll(&wait, 1, 0) == 0)
        nanosleep(&moment, NULL);
    if (fd > 0)
        fd = (int)syscall(SYS_pidfd_getfd, host, fd, 0);
    if (fd > 0)
        atomic_store(&shared->is_taken, 1);
    return fd;
}

static void note_victim(struct t_injected *out, uint32_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fscanf(file, "%31[^\n]", out->victim) != 1)
        out->victim[0] = '\0';
    fclose(file);
}

/* One question. A process that was killed meanwhile does not wait for the answer. */
static void answer(int listener, const struct t_inject *what, struct t_injected *out)
{
    struct seccomp_notif asked = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0)
        return;
    struct seccomp_notif_resp reply = {.id = asked.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (atomic_load(&shared->is_armed) && (what->applies == NULL || what->applies(&asked.data))) {
        out->n_seen++;
        if (what->nth > 0 && out->n_seen >= what->nth && out->n_seen - what->nth < what->n) {
            reply.flags = 0;
            reply.error = -what->error;
            if (out->n_failed++ == 0)
                note_victim(out, asked.pid);
        }
    }
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

/* Until no process has the filter any more. */
static void serve(int listener, pid_t host, const struct t_inject *what, int limit_s,
                  struct t_injected *out)
{
    int has_ended = 0;
    for (int64_t until = now_ns() + limit_s * INT64_C(1000000000);;) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        (void)poll(&wait, 1, LOOK_MS);
        if ((wait.revents & POLLIN) != 0)
            answer(listener, what, out);
        if (!has_ended && waitpid(host, &out->status, WNOHANG) == host) {
            has_ended = 1;
            until = now_ns() + GRACE_MS * INT64_C(1000000);
        }
        while (has_ended && waitpid(-1, NULL, WNOHANG) > 0) /* adopted; the filter goes with them */
            ;
        if (has_ended && (wait.revents & POLLHUP) != 0)
            return;
        if (now_ns() < until)
            continue;
        if (has_ended) {
            out->is_left = 1;
            return;
        }
        out->is_late = 1;
        kill(host, SIGKILL);
        until += limit_s * INT64_C(1000000000);
    }
}

void t_inject(void (*host)(void *), void *arg, const struct t_inject *what, int limit_s,
              struct t_injected *out)
{
    if (shared == NULL)
        shared =
            mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    memset(shared, 0, sizeof *shared);
    memset(out, 0, sizeof *out);
    shared->call = what->call;
    shared->host = host;
    shared->arg = arg;
    int64_t begin_ns = now_ns();
    pid_t pid = t_start_child(be_host, NULL);
    int pidfd = pidfd_of(pid), listener = take_listener(pidfd);
    if (listener < 0) {
        kill(pid, SIGKILL);
        out->status = t_wait_child(pid);
        close(pidfd);
        fail_msg("no filter that asks: %s", strerror(errno));
    }
    serve(listener, pid, what, limit_s, out);
    close(listener);
    close(pidfd);
    out->took_ns = now_ns() - begin_ns;
    memcpy(out->said, shared->said, sizeof out->said);
    out->said[sizeof out->said - 1] = '\0';
}

const char *t_inject_lacks(void)
{
    uint32_t action = SECCOMP_RET_USER_NOTIF;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return "SECCOMP_RET_USER_NOTIF (Linux 5.5)";
    int self = pidfd_of(getpid());
    int copy = self < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, self, STDERR_FILENO, 0);
    if (copy >= 0)
        close(copy);
    if (self >= 0)
        close(self);
    return copy < 0 ? "pidfd_getfd (Linux 5.6)" : NULL;
}
