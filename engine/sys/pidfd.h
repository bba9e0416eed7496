/* SPDX-License-Identifier: MIT */
#ifndef FMI_PIDFD_H
#define FMI_PIDFD_H

/*
 * Descriptors of processes: they tell of its end, and send it signals, and are never those of another that has its number later.
 *
 * Where the kernel has no pidfds (before 5.3), or a filter of system calls refuses them, as some containers do, the process's directory in /proc stands in. It is that
 * of this process alone, too; but poll(2) does not tell when it is over, so whoever waits looks every 10 ms. (A pipe whose other end the process holds would
 * tell at once, but not before every process that was forked meanwhile has closed its copy.)
 */

#include <poll.h>
#include <stdint.h>
#include <sys/types.h>

/* Of a process that is not reaped meanwhile. fd >= 0; -ESRCH; -EMFILE, -ENOMEM; -ENOSYS, -EPERM there are none. */
int fmi_sys_pidfd_open(pid_t pid);
/* The same, or what stands in. For the functions below only. */
int fmi_sys_watch_open(pid_t pid);
/* The pid of the process for which `fd` stands in; 0: it is another descriptor. */
pid_t fmi_sys_stands_in_for(int fd);

/* 0; -ESRCH it is over; -EPERM. */
int fmi_sys_pidfd_signal(int fd, int signal);

/* As poll(2), for up to 4 descriptors: how many are ready. 0 also if a signal came, the kernel had no memory for a moment, or one stands in: then look again. -errno. */
int fmi_sys_poll(struct pollfd *wait, int n, int timeout_ms);
/* Waits for the end of the process, or until any other descriptor is readable. -ETIMEDOUT; deadline [ns]. */
int fmi_sys_await_end(int fd, int64_t deadline_ns);
/* Until one of two is. */
int fmi_sys_await_either(int fd, int other, int64_t deadline_ns);

#endif
