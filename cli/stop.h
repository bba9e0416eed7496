/* SPDX-License-Identifier: MIT */
#ifndef FMC_STOP_H
#define FMC_STOP_H

/*
 * SIGINT, SIGTERM and SIGHUP while there is something to clean up. The first one asks the work to stop;
 * the second of the same kind ends the command at once.
 */

/* Catches them from now on (those that are ignored stay ignored), and lets a write to a closed pipe fail. */
void fmc_stop_install(void);

/* The signal that asked to stop, 0 if none did. */
int fmc_stop_signal(void);

/* The same signal, seen by someone else: a pool handles SIGINT and SIGTERM while it maps. 0: there was none. */
void fmc_stop_note(int number);

#endif
