/* SPDX-License-Identifier: MIT */
/* Pidfds, and directories of /proc in their place; see pidfd.h. */
#include "pidfd.h"

#include "clock.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FDS = 4, LOOK_NS = 10000000, MOMENT_NS = 1000000 };

static int is_refused(int error)
{
    return error == ENOSYS || error == EPERM;
}

int fmi_sys_pidfd_open(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* always close-on-exec */
    return fd < 0 ? -errno : fmi_sys_above_stdio(fd);
}

int fmi_sys_watch_open(pid_t pid)
{
    char path[32];
    int fd = fmi_sys_pidfd_open(pid);
    if (fd >= 0 || !is_refused(-fd))
        return fd;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? (errno == ENOENT ? -ESRCH : -errno) : fmi_sys_above_stdio(fd);
}

pid_t fmi_sys_stands_in_for(int fd)
{
    struct stat status;
    char link[32], path[32];
    int pid;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISDIR(status.st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    return sscanf(path, "/proc/%d", &pid) == 1 ? pid : 0;
}

/* The file is not there any more, or says so. */
static int is_over(int directory)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/self/fd/%d/stat", directory);
    return fmi_sys_is_over(path);
}

/* ---- signals --------------------------------------------------------------------------------- */

/* For a pidfd whose signals are refused. 0: it is over. */
static pid_t pid_of_pidfd(int fd)
{
    char path[48], line[64];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Pid: %d", &pid) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return pid > 0 ? pid : 0;
}

int fmi_sys_pidfd_signal(int fd, int signal)
{
    if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0)
        return 0;
    int error = errno;
    if (!is_refused(error) && error != EBADF)
        return -error;
    pid_t pid = fmi_sys_stands_in_for(fd);
    if (pid != 0 && is_over(fd))
        return -ESRCH;
    if (pid == 0 && is_refused(error))
        pid = pid_of_pidfd(fd);
    if (pid <= 1)
        return -error;
    return kill(pid, signal) == 0 ? 0 : -errno;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* The kernel had no memory for a moment. */
static int is_passing(int error)
{
    return error == EAGAIN || error == ENOMEM;
}

static void let_pass(void)
{
    const struct timespec moment = {.tv_nsec = MOMENT_NS};
    nanosleep(&moment, NULL);
}

/* How many of them are ready by now; those that stand in are not for the kernel. */
static int look_at_standins(struct pollfd *wait, struct pollfd *real, int n, int *n_standins)
{
    int n_over = 0;
    for (int i = 0; i < n; i++) {
        real[i] = wait[i];
        wait[i].revents = 0;
        if (fmi_sys_stands_in_for(wait[i].fd) == 0)
            continue;
        real[i].fd = -1;
        ++*n_standins;
        if (is_over(wait[i].fd)) {
            wait[i].revents = POLLIN;
            n_over++;
        }
    }
    return n_over;
}

/* Once: 0 may be early, see fmi_sys_poll. -EINTR: a signal came first. */
static int poll_until(struct pollfd *wait, int n, int64_t deadline_ns)
{
    struct pollfd real[MOST_FDS];
    int n_standins = 0, n_over = look_at_standins(wait, real, n, &n_standins);
    int64_t now = fmi_now_ns(), left = deadline_ns == FMI_NEVER ? INT64_MAX : deadline_ns - now;
    if (left < 0 || n_over > 0)
        left = 0;
    if (n_standins > 0 && left > LOOK_NS)
        left = LOOK_NS;
    struct timespec time = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    int rc = ppoll(real, (nfds_t)n, left == INT64_MAX ? NULL : &time, NULL);
    int error = rc < 0 ? errno : 0;
    for (int i = 0; rc > 0 && i < n; i++)
        if (real[i].fd >= 0)
            wait[i].revents = real[i].revents;
    if (is_passing(error))
        let_pass();
    else if (error != 0)
        return -error;
    return n_over + (rc > 0 ? rc : 0);
}

int fmi_sys_poll(struct pollfd *wait, int n, int timeout_ms)
{
    if (n > MOST_FDS)
        return -EINVAL;
    int64_t limit_ns = timeout_ms * INT64_C(1000000);
    int rc = poll_until(wait, n, timeout_ms < 0 ? FMI_NEVER : fmi_deadline_after(limit_ns));
    return rc == -EINTR ? 0 : rc;
}

int fmi_sys_await_either(int fd, int other, int64_t deadline_ns)
{
    struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    for (;;) {
        int64_t now = fmi_now_ns();
        int rc = poll_until(wait, 2, deadline_ns);
        if (rc == -EINTR)
            continue;
        if (rc != 0)
            return rc > 0 ? 0 : rc;
        if (deadline_ns != FMI_NEVER && now >= deadline_ns)
            return -ETIMEDOUT;
    }
}

int fmi_sys_await_end(int fd, int64_t deadline_ns)
{
    return fmi_sys_await_either(fd, -1, deadline_ns); /* poll() leaves out -1 */
}
