/* SPDX-License-Identifier: MIT */
#ifndef FMI_PROCESS_H
#define FMI_PROCESS_H

/* Processes: the only file that forks, waits, kills and asks who the parent is. 0 or -errno unless said otherwise. */

#include "pidfd.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As fork(2), with -errno instead of -1. */
pid_t fmi_sys_fork(void);

/*
 * Executes the program of this process anew, with argv and environment; all signals are blocked there. It has stdin, stdout and stderr, and
 * the n descriptors as FMI_SPAWN_FD, FMI_SPAWN_FD + 1, ..., and no others. Returns the pid, or -errno.
 */
enum { FMI_SPAWN_FD = 3 };
pid_t fmi_sys_spawn(char *const argv[], char *const environment[], const int *fds, int n);
/* The same in this process: does not return, or -errno. Descriptors that are close-on-exec are closed. */
int fmi_sys_execute_again(char *const argv[]);

struct fmi_exit {
    int signal;         /* that killed it; 0: it exited */
    int code;           /* exit status */
    int64_t peak_bytes; /* largest resident size */
};

/* A child that has ended and is not reaped yet; 0: none has; -ECHILD: there are no children. Leaves the zombie. */
pid_t fmi_sys_ended_child(void);
/* Reaps the ended child `pid`. */
int fmi_sys_reap(pid_t pid, struct fmi_exit *out);
/* Waits for the process of a pidfd and reaps it if it is ours to reap. -ETIMEDOUT; deadline [ns]. */
int fmi_sys_await_pidfd(int pidfd, int64_t deadline_ns);

/* SIGKILL. Own children only: their pids cannot be reused before they are reaped. */
void fmi_sys_kill(pid_t pid);

/* SIGCHLD to the parent, if that is still `expected`: a signal that it waits for anyway. 0, or -errno. */
int fmi_sys_notify_parent(pid_t expected);

/* When it began, in ticks since the machine did; tells processes with the same pid apart. 0: there is none, it has ended, or the system does not tell. */
uint64_t fmi_sys_birth(pid_t pid);
/* 1 if the process of a stat file of /proc has ended. */
int fmi_sys_is_over(const char *stat_path);
/* 1 if there is such a process, and it has not ended. */
int fmi_sys_is_alive(pid_t pid);
/* 1 if `parent` is the parent of `pid`, 0 if not; -EMFILE ... it cannot be told. */
int fmi_sys_is_child_of(pid_t pid, pid_t parent);
/* When it began, in clock ticks since the machine's; 0 on failure. Together with the pid it names a process that is no other's. */
int fmi_sys_process_start(pid_t pid, uint64_t *start);

/* [bytes] resident in this process that it shares with no file or shared memory; 0 if the system does not tell. */
size_t fmi_sys_private_bytes(void);

/* Sends SIGKILL to every child of this process, which has one thread, for which keep() is 0: orphans that a subreaper inherited. */
void fmi_sys_kill_children(int (*keep)(pid_t pid, void *arg), void *arg);

/* Threads of this process, without those that are ending; 1 if the system does not tell. */
int fmi_sys_count_threads(void);

/* Dies with the parent, `expected`; exits at once if that is gone already. The parent must be single-threaded. */
void fmi_sys_die_with_parent(pid_t expected);
int fmi_sys_become_subreaper(void);
void fmi_sys_set_name(const char *name); /* at most 15 bytes */
void fmi_sys_prefer_for_oom(void); /* asks the kernel to kill this process before its parents */
void fmi_sys_stdin_from_null(void);
void fmi_sys_close_on_exec(int fd);
void fmi_sys_forget_output(void); /* what waits in any stream is another process's */
void fmi_sys_flush_output(void);  /* stdout, when something waits there */

void fmi_sys_block_signals(sigset_t *before);
void fmi_sys_restore_signals(const sigset_t *before);
void fmi_sys_allow_stops(void); /* unblocks what the terminal stops a process group with */
/* All handlers to default, what is ignored stays ignored (but SIGCHLD), SIGINT and SIGQUIT (the terminal's, for the whole group) ignored. */
void fmi_sys_reset_signals(void);

/*
 * A host that has closed its stdin, as daemons do, gets 0 from the kernel for the next descriptor, and what is then put into a child's stdin would
 * replace that. So the library's own are never below 3. `fd` < 0 is handed on.
 */
int fmi_sys_above_stdio(int fd);

/* Both: fd, or -errno; non-blocking, close-on-exec. The signals must be blocked; `other` may be the same. */
int fmi_sys_signalfd(int signal, int other);
int fmi_sys_eventfd(void);
void fmi_sys_eventfd_ring(int fd);
void fmi_sys_eventfd_add(int fd, uint64_t n);
uint64_t fmi_sys_eventfd_take(int fd); /* what was added since the last time */
void fmi_sys_drain(int fd);            /* reads whatever is there */

#endif
