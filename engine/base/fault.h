/* SPDX-License-Identifier: MIT */
#ifndef FMI_FAULT_H
#define FMI_FAULT_H

/*
 * Fault points: FMI_FAULT("range.claim") kills the process there when a test has armed it. The names
 * are the transitions of the state tables. Nothing is compiled in without FORKMAP_FAULTS.
 *
 * A test arms a point before it forks; the counter lies in memory that all its children share, so that
 * exactly one process dies at the nth passage, and its replacement does not. A hook is for what a death does not do.
 */

#ifdef FORKMAP_FAULTS
#define FMI_FAULT(name) fmi_fault_reached(name)
void fmi_fault_reached(const char *name);
/* Kills the process that passes `name` for the nth time (from 1) in all processes together, `times` times
 * in a row. NULL disarms. Returns 0 or -ENOMEM. */
int fmi_fault_arm(const char *name, int nth, int times);
/* This process passes all points unharmed; its children do not inherit that. A host under test survives its own. */
void fmi_fault_spare_this_process(void);
/* How often the armed point was passed so far. */
int fmi_fault_passages(void);
/*
 * Calls `hook` at every point, before the armed kill, in this process and in those that it forks from now on: a test
 * can hold one of them there. The hook must not pass a point itself. NULL: none.
 */
void fmi_fault_hook(void (*hook)(const char *name));
#else
#define FMI_FAULT(name) ((void)0)
#endif

#endif
