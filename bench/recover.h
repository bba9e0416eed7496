/* SPDX-License-Identifier: MIT */
#ifndef BENCH_RECOVER_H
#define BENCH_RECOVER_H

/*
 * The engines of the recover benchmark, each in a process of its own. Command:
 *   die CASE STEPS     a map of BENCH_RECOVER_ITEMS items of STEPS steps each, in the middle of which a worker is killed; CASE: compute, lock, put, get
 * Answers, all in ns:
 *   forkmap              "REPLACED RERUN MAP UNDISTURBED COMPLETE": from the death to the replacement's first instruction in user code, and to the
 *                        item's next run; the map, and one without a death before it; 1 if all results and messages were there, else 0
 *   bare                 "REPLACED FORK": from the death to the first instruction of what its parent forks then; fork, exit and wait of one process
 *   ProcessPoolExecutor  "broken NS": from the death to the error in the caller; mp.Pool "hangs"; either also "done NS"
 */

enum {
    BENCH_RECOVER_ITEMS = 64,
    BENCH_RECOVER_HANG_MS =
        3000 /* after the death: a map that has not ended by then, and takes some ms, is said to hang */
};

/* `kind`: "forkmap", "bare"; args: the number of workers. Returns the exit code. */
int bench_recover_engine(const char *kind, char *const args[]);

#endif
