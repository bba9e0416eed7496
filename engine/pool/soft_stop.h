/* SPDX-License-Identifier: MIT */
#ifndef FMI_SOFT_STOP_H
#define FMI_SOFT_STOP_H

/*
 * FM_SIGNALS_SOFT: SIGINT and SIGTERM while maps of a pool run that has asked for it. Private to the process; nothing here is shared.
 *
 * The handlers are the process's, so they are counted: the first map that begins on any such pool installs them, the last that ends puts back
 * what was there. What is ignored stays ignored.
 *
 *   none told --first signal--> told      the handler lowers `stop` of every open job of such pools; what runs is finished
 *   told --another, later than ECHO_NS--> the signal's default action: the process dies of it, and its workers with it
 *   told --the last map ends--> none told
 *
 * timeout(1) and shells send a signal to a process and to its group: what follows within ECHO_NS is the same signal.
 * While told, a map that begins is stopped at once: it looks after it has published its job, the handler looks at jobs after it has told.
 *
 * The handler is async-signal-safe: it takes no lock, walks the list of handles (which only grows), and stores atomics. A map's end waits until no
 * handler is inside in another thread, so no pool is freed under one. In a child that was forked meanwhile the handler puts back what was there, too, and
 * raises the signal again.
 */

#include "handle.h"

/* Around each map on a pool, also one that is handed out. */
void fmi_soft_stop_begin(fm_pool *pool);
void fmi_soft_stop_end(fm_pool *pool);

/* The signal that has told this pool's maps to end; 0: none. */
int fmi_soft_stop_told(const fm_pool *pool);

#endif
