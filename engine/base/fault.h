/* SPDX-License-Identifier: MIT */
#ifndef FMI_FAULT_H
#define FMI_FAULT_H

/*
 * Fault points: at FMI_FAULT("range.claim") a test that has armed it kills the process, stops it, or holds it up. The names
 * are the transitions of the state tables. Where a call can fail, FMI_FAULT_ERRNO("sys.fork") is the code with which it is to fail, or 0. Nothing is
 * compiled in without FORKMAP_FAULTS.
 *
 * A test arms a point before it forks; the counter lies in memory that all its children share, so that
 * exactly one process dies at the nth passage, and its replacement does not. A hook is for what these actions do not do.
 */

#ifdef FORKMAP_FAULTS
#define FMI_FAULT(name)       fmi_fault_reached(name)
#define FMI_FAULT_ERRNO(name) fmi_fault_error(name)
void fmi_fault_reached(const char *name);
int fmi_fault_error(const char *name);

enum {
    FMI_FAULT_KILL = 1,  /* SIGKILL */
    FMI_FAULT_STOP = 2,  /* SIGSTOP: until somebody sends SIGCONT */
    FMI_FAULT_SLEEP = 3, /* for `value` [ms] */
    FMI_FAULT_FAIL = 4,  /* FMI_FAULT_ERRNO gives -value; a point that cannot fail aborts */
    FMI_FAULT_WAIT = 5   /* until fmi_fault_let_go() */
};
/*
 * Does `action` to the process that passes `name` for the nth time (from 1) in all processes together, and to those that pass it then, `times` in
 * all. NULL disarms. Returns 0 or -ENOMEM.
 */
int fmi_fault_arm_to(int action, int value, const char *name, int nth, int times);
/* The same with FMI_FAULT_KILL. */
int fmi_fault_arm(const char *name, int nth, int times);
/* Only processes of this name in the kernel, without digits at its end, count and are hit: "fm-w" for workers. NULL: all. Arming ends it. */
void fmi_fault_only(const char *process);
/* This process passes all points unharmed; its children do not inherit that. A host under test survives its own. */
void fmi_fault_spare_this_process(void);
/* How often the armed point was passed so far. */
int fmi_fault_passages(void);
/* The pid of the process that was hit last, 0: none was; and its name in the kernel. */
int fmi_fault_victim(void);
const char *fmi_fault_victim_name(void);
/* From now on, until something is armed, it is noted who passes what, by its name without digits. */
void fmi_fault_watch(void);
/* The nth that was noted, from 0, each point and process once. Returns 0: there are not so many. */
int fmi_fault_seen(int n, const char **point, const char **process);
/* How many wait there now, and their release, once for all that wait. */
int fmi_fault_waiting(void);
void fmi_fault_let_go(void);
/*
 * What is armed lies in the file `path` from now on, which is made, and programs that this process executes, or its children do, see it,
 * by their environment. Before anything is armed. Returns 0 or -errno.
 */
int fmi_fault_share(const char *path);
/*
 * Calls `hook` at every point, before the armed action, in this process and in those that it forks from now on: a test
 * can hold one of them there. The hook must not pass a point itself. NULL: none.
 */
void fmi_fault_hook(void (*hook)(const char *name));
#else
#define FMI_FAULT(name)       ((void)0)
#define FMI_FAULT_ERRNO(name) 0
#endif

#endif
