/* SPDX-License-Identifier: MIT */
#ifndef T_INJECT_H
#define T_INJECT_H

/*
 * System calls that fail. A host runs in a child of the test under a filter of system calls, which its children inherit; the kernel asks the test about each call
 * of one kind, in whichever of these processes it is made, and the test lets it be, or answers with an error in its place.
 *
 *     test ──fork──> host ──> warden, workers, server, keeper ...
 *      └────────<── "may I?" ──────────┘
 *
 * Calls are counted over all processes together, while the host has armed it. So one can let the first fail, then the second, and so on, until
 * there is none that is left: see t_inject_sweep.
 */

#include <linux/seccomp.h>
#include <stdint.h>

struct t_inject {
    int call;  /* SYS_... */
    int error; /* errno */
    int nth;   /* the first that fails, from 1; 0: none */
    int n;     /* how many from there on; INT_MAX: all */
    /* Whether it is one to be counted. NULL: each is. */
    int (*applies)(const struct seccomp_data *call);
};

enum { T_SAID_BYTES = 256 };

struct t_injected {
    int status; /* of the host, as of waitpid() */
    int n_seen, n_failed;
    int is_late; /* the host had not ended in time, and was killed */
    int is_left; /* after its end a process of it was there for a second and more */
    int64_t took_ns;
    char victim[32]; /* the process, by its name, whose call failed first */
    char said[T_SAID_BYTES];
};

/* NULL, or what is missing for it here. */
const char *t_inject_lacks(void);

/* Runs the host with the calls that are to fail, until all its processes are gone. One that has not ended after limit_s [s] is killed. */
void t_inject(void (*host)(void *), void *arg, const struct t_inject *what, int limit_s,
              struct t_injected *out);

/* In the host: calls are counted and fail, from here to there. */
void t_inject_arm(void);
void t_inject_disarm(void);
/* In the host: for the test to read. */
void t_inject_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * In the host, which adopts orphans: 1 if no process is left, and none appears while the rest ends; it gets a second. And the number of descriptors that are open.
 */
int t_inject_is_alone(void);
int t_inject_n_fds(void);

#endif
