/* SPDX-License-Identifier: MIT */
#ifndef BENCH_START_H
#define BENCH_START_H

/*
 * The engines of the start benchmark. Commands:
 *   heap BYTES     private memory, touched, in place of what it had before; 0: none. Answers "ok"
 *   arrays BYTES   the same in forkmap's shared heap
 *   start METHOD WORKERS MAX_STARTS MAX_NS
 *                  one start that does not count, then as many as told, fewer when they take longer than MAX_NS in
 *                  all; answers the mean time of one [ns]. METHOD is "fork", "forkserver" or "spawn"
 */

/* `kind`: its name in messages; there is one kind, forkmap. args: none. Returns the exit code. */
int bench_start_run_engine(const char *kind, char *const args[]);

#endif
