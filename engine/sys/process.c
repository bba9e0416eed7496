/* SPDX-License-Identifier: MIT */
/* Processes, signals and the descriptors that tell of them; see process.h. */
#include "process.h"

#include "clock.h"
#include "fault.h"
#include "memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { MOST_SPAWN_FDS = 16, CHILDREN_BYTES = 4096, CHILDREN_READS = 4 };

pid_t fmi_sys_fork(void)
{
    int refused = FMI_FAULT_ERRNO("sys.fork");
    if (refused != 0)
        return refused;
    pid_t pid = fork();
    return pid < 0 ? -errno : pid;
}

/*
 * By its path, since under valgrind /proc/self/exe is valgrind; by that if no file has the path any more, as when a linker has made the
 * program anew while it ran.
 */
static const char *program_path(char path[PATH_MAX])
{
    static const char itself[] = "/proc/self/exe";
    ssize_t length = readlink(itself, path, PATH_MAX - 1);
    if (length <= 0)
        return itself;
    path[length] = '\0';
    return access(path, X_OK) == 0 ? path : itself;
}

int fmi_sys_execute_again(char *const argv[])
{
    char path[PATH_MAX];
    execv(program_path(path), argv);
    return -errno;
}

/* As fcntl(2) does: or -EMFILE also where `lowest` is above all that there may be, for which it says EINVAL. */
static int copy_fd(int fd, int lowest)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    return copy >= 0 ? copy : errno == EINVAL ? -EMFILE : -errno;
}

/* The targets lie below the copies, so that none is overwritten before it is copied. */
static int add_descriptors(posix_spawn_file_actions_t *actions, const int *fds, int *copies, int n)
{
    int rc = 0;
    for (int i = 0; i < n; i++)
        copies[i] = -1;
    for (int i = 0; i < n && rc == 0; i++) {
        copies[i] = copy_fd(fds[i], FMI_SPAWN_FD + n);
        rc = copies[i] < 0 ? -copies[i]
                           : posix_spawn_file_actions_adddup2(actions, copies[i], FMI_SPAWN_FD + i);
    }
    return rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, FMI_SPAWN_FD + n);
}

pid_t fmi_sys_spawn(char *const argv[], char *const environment[], const int *fds, int n)
{
    char path[PATH_MAX];
    int copies[MOST_SPAWN_FDS];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, child;
    pid_t pid;
    if (n > MOST_SPAWN_FDS)
        return -EINVAL;
    sigfillset(&all);
    sigemptyset(&child);
    sigaddset(&child,
              SIGCHLD); /* handlers go by themselves, what else is ignored stays so, as in a fork */
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &all);
    posix_spawnattr_setsigdefault(&attributes, &child);
    posix_spawn_file_actions_init(&actions);
    int rc = add_descriptors(&actions, fds, copies, n);
    if (rc == 0)
        rc = posix_spawn(&pid, program_path(path), &actions, &attributes, argv, environment);
    for (int i = 0; i < n && copies[i] >= 0; i++)
        close(copies[i]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc == 0 ? pid : -rc;
}

pid_t fmi_sys_ended_child(void)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        if (errno != EINTR)
            return -errno;
    return info.si_pid;
}

int fmi_sys_reap(pid_t pid, struct fmi_exit *out)
{
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) != pid)
        if (errno != EINTR)
            return -errno;
    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    out->code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    out->peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    return 0;
}

int fmi_sys_await_pidfd(int pidfd, int64_t deadline_ns)
{
    int rc = fmi_sys_await_end(pidfd, deadline_ns);
    if (rc != 0)
        return rc;
    siginfo_t info;
    pid_t pid = fmi_sys_stands_in_for(pidfd); /* its own until it is reaped */
    /* ECHILD: the host ignores SIGCHLD, or reaped it itself */
    (void)waitid(pid > 0 ? P_PID : (idtype_t)P_PIDFD, (id_t)(pid > 0 ? pid : pidfd), &info,
                 WEXITED | WNOHANG);
    return 0;
}

int fmi_sys_above_stdio(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int higher = copy_fd(fd, STDERR_FILENO + 1);
    close(fd);
    return higher;
}

void fmi_sys_kill(pid_t pid)
{
    if (pid > 1)
        kill(pid, SIGKILL);
}

int fmi_sys_notify_parent(pid_t expected)
{
    if (getppid() != expected)
        return -ESRCH;
    return kill(expected, SIGCHLD) == 0 ? 0 : -errno;
}

/* What one read gives of a file of /proc, as text. 0 or -errno. */
static int read_text(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t length;
    do
        length = read(fd, text, bytes - 1);
    while (length < 0 && errno == EINTR);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? 0 : -ESRCH;
}

/* statm: size, resident, shared, in pages. Copies of a parent's pages count as well as its own. */
size_t fmi_sys_private_bytes(void)
{
    char text[128];
    size_t resident, shared;
    if (read_text("/proc/self/statm", text, sizeof text) != 0)
        return 0;
    if (sscanf(text, "%*u %zu %zu", &resident, &shared) != 2 || shared > resident)
        return 0;
    return (resident - shared) * fmi_sys_page_bytes();
}

enum { PF_EXITING = 4 }; /* of the kernel's sched.h; the same since 2.6 */

/* Of a stat file of /proc: fields 3, 4, 9, 20 and 22. */
struct stat_fields {
    char state;
    pid_t parent;
    unsigned flags;
    int n_threads;
    unsigned long long start;
};

/* Field 2, a name, may hold spaces and brackets. 0 or -errno. */
static int read_stat(const char *path, struct stat_fields *out)
{
    char text[512];
    int rc = read_text(path, text, sizeof text);
    if (rc != 0)
        return rc;
    const char *end = strrchr(text, ')');
    return end != NULL &&
                   sscanf(end,
                          ") %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                          "%*d %d %*d %llu",
                          &out->state, &out->parent, &out->flags, &out->n_threads, &out->start) == 5
               ? 0
               : -EIO;
}

static int read_stat_of(pid_t pid, struct stat_fields *out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return read_stat(path, out);
}

/* The pid of its parent; or -errno. */
static pid_t parent_of(pid_t pid)
{
    struct stat_fields fields = {0};
    int rc = read_stat_of(pid, &fields);
    return rc == 0 ? fields.parent : rc;
}

int fmi_sys_process_start(pid_t pid, uint64_t *start)
{
    struct stat_fields fields = {0};
    int rc = read_stat_of(pid, &fields);
    *start = rc == 0 ? fields.start : 0;
    return rc;
}

/* A thread that was joined is there for some microseconds more. It is past its last instruction. */
static int is_ending(const char *tid)
{
    char path[64];
    struct stat_fields fields = {0};
    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", tid);
    return read_stat(path, &fields) != 0 || (fields.flags & PF_EXITING) != 0;
}

int fmi_sys_count_threads(void)
{
    int n = 0;
    if (__libc_single_threaded) /* glibc: it has never started one, or knows that all are gone */
        return 1;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return 1;
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks))
        n += entry->d_name[0] != '.' && !is_ending(entry->d_name);
    closedir(tasks);
    return n > 0 ? n : 1;
}

/*
 * Who sleeps until a thread's death looks before the process is a zombie; a process whose first thread has ended is one, and has
 * other threads.
 */
static int is_over(const struct stat_fields *fields)
{
    int has_left =
        fields->state == 'Z' || fields->state == 'X' || (fields->flags & PF_EXITING) != 0;
    return has_left && fields->n_threads <= 1;
}

uint64_t fmi_sys_birth(pid_t pid)
{
    struct stat_fields fields = {0};
    return read_stat_of(pid, &fields) != 0 || is_over(&fields) ? 0 : fields.start;
}

/* One that is ending still may have something to write; a zombie has not. */
int fmi_sys_is_over(const char *stat_path)
{
    struct stat_fields fields = {0};
    int rc = read_stat(stat_path, &fields);
    if (rc != 0)
        return rc == -ENOENT || rc == -ESRCH;
    return (fields.state == 'Z' || fields.state == 'X') && fields.n_threads <= 1;
}

int fmi_sys_is_alive(pid_t pid)
{
    int fd = fmi_sys_watch_open(pid);
    if (fd < 0)
        return fd != -ESRCH;
    int has_ended = fmi_sys_await_end(fd, 0) == 0;
    close(fd);
    return !has_ended;
}

int fmi_sys_is_child_of(pid_t pid, pid_t parent)
{
    pid_t found = parent_of(pid);
    return found == -ENOENT || found == -ESRCH ? 0 : found < 0 ? found : found == parent;
}

/* The kernel's own list, which is one read: of what this thread has forked, or all if there is no other. 0 or -errno; -E2BIG: it is longer. */
static int read_children(char *text, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
    int rc = read_text(path, text, bytes);
    if (rc == -ESRCH)
        return 0; /* an empty file: there is none */
    return rc != 0 ? rc : strlen(text) == bytes - 1 ? -E2BIG : 0;
}

/* It may leave some out while another ends, so it is to say the same twice. */
static int read_all_children(char *text, size_t bytes)
{
    char again[CHILDREN_BYTES];
    int rc = read_children(text, bytes);
    for (int i = 0; rc == 0 && i < CHILDREN_READS; i++) {
        rc = read_children(again, sizeof again);
        if (rc == 0 && strcmp(text, again) == 0)
            return 0;
        strcpy(text, again); /* NOLINT: of the same size */
    }
    return rc != 0 ? rc : -EAGAIN;
}

static void kill_children_in_proc(int (*keep)(pid_t pid, void *arg), void *arg)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return;
    pid_t self = getpid();
    for (struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && parent_of(pid) == self && !keep(pid, arg))
            kill(pid, SIGKILL);
    }
    closedir(proc);
}

/* Some kernels have no such list (CONFIG_PROC_CHILDREN): then all of /proc is read, which takes milliseconds. */
void fmi_sys_kill_children(int (*keep)(pid_t pid, void *arg), void *arg)
{
    char text[CHILDREN_BYTES], *rest = text;
    if (read_all_children(text, sizeof text) != 0) {
        kill_children_in_proc(keep, arg);
        return;
    }
    for (pid_t pid; (pid = (pid_t)strtol(rest, &rest, 10)) > 1;)
        if (!keep(pid, arg))
            kill(pid, SIGKILL);
}

void fmi_sys_die_with_parent(pid_t expected)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A parent that died before the call sends nothing. 193 of 3,483 were orphaned without this check, 0 with it. */
    if (getppid() != expected)
        _exit(1);
}

int fmi_sys_become_subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 ? 0 : -errno;
}

void fmi_sys_set_name(const char *name)
{
    prctl(PR_SET_NAME, name);
}

void fmi_sys_prefer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, "500", 3);
    (void)written; /* a wish */
    close(fd);
}

void fmi_sys_stdin_from_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd <= 0)
        return;
    dup2(fd, STDIN_FILENO);
    close(fd);
}

void fmi_sys_close_on_exec(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* glibc's list of all open streams; it offers no other way to them. */
extern FILE *_IO_list_all; // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

void fmi_sys_forget_output(void)
{
    for (FILE *stream = _IO_list_all; stream != NULL; stream = stream->_chain)
        if (__fpending(stream) > 0)
            __fpurge(stream);
}

void fmi_sys_flush_output(void)
{
    if (__fpending(stdout) > 0)
        fflush(stdout);
}

void fmi_sys_block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void fmi_sys_allow_stops(void)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTSTP);
    sigaddset(&stops, SIGTTIN);
    sigaddset(&stops, SIGTTOU);
    pthread_sigmask(SIG_UNBLOCK, &stops, NULL);
}

void fmi_sys_restore_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* SIG_DFL, SIG_IGN, or a handler: the first word of the kernel's struct. glibc's function takes three times as long, for each of 64 signals. */
static uintptr_t disposition_of(int number)
{
    uintptr_t action[16] = {0};
    size_t mask_bytes = _NSIG / 8;
    return syscall(SYS_rt_sigaction, number, NULL, action, mask_bytes) == 0 ? action[0] : 0;
}

void fmi_sys_reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number <= SIGRTMAX; number++) {
        uintptr_t before = disposition_of(number);
        if (before == (uintptr_t)SIG_DFL || (before == (uintptr_t)SIG_IGN && number != SIGCHLD))
            continue;
        sigaction(number, &action, NULL); /* refused for libc's own */
    }
    action.sa_handler = SIG_IGN;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
}

int fmi_sys_signalfd(int signal, int other)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigaddset(&set, other);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fmi_sys_above_stdio(fd);
}

int fmi_sys_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fmi_sys_above_stdio(fd);
}

void fmi_sys_eventfd_add(int fd, uint64_t n)
{
    while (write(fd, &n, sizeof n) < 0 && errno == EINTR) /* EAGAIN: it is ringing already */
        ;
}

void fmi_sys_eventfd_ring(int fd)
{
    fmi_sys_eventfd_add(fd, 1);
}

uint64_t fmi_sys_eventfd_take(int fd)
{
    uint64_t n = 0;
    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

void fmi_sys_drain(int fd)
{
    char bytes[1024];
    ssize_t n;
    do
        n = read(fd, bytes, sizeof bytes);
    while (n > 0 || (n < 0 && errno == EINTR));
}
