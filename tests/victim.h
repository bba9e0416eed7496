/* SPDX-License-Identifier: MIT */
#ifndef T_VICTIM_H
#define T_VICTIM_H

/*
 * Helpers of the crash tests: a host that maps for ever in a child process, its processes' pids, and a random number
 * generator whose seed is printed, so that a failure can be run again (T_SEED=n).
 */

#include <forkmap/forkmap.h>
#include <sys/types.h>

struct t_random {
    uint64_t state;
};
struct t_random t_random_begin(void); /* seed from T_SEED, else from the clock; printed */
uint64_t t_random_below(struct t_random *random, uint64_t n);
void t_sleep_us(int64_t us);

/* SIGKILL to one worker of the pool, whichever. A pid of the warden's, reaped by it alone: at worst the process is gone already. */
void t_kill_a_worker(fm_pool *pool, struct t_random *random);

/* Shared between the test and its victim, so that the test knows whom to kill. */
struct t_victim {
    _Atomic int host, warden, workers[8];
    _Atomic int is_mapping;
};
struct t_victim *
t_victim_new(void); /* shared anonymous memory; lives as long as the test process */

/* A host with `n_workers` workers, in the calling (child) process: opens a pool, maps until it is killed; _exit(2) if a map is
 * wrong, _exit(3) if the pool breaks. Publishes its pids. */
_Noreturn void t_victim_host(struct t_victim *victim, int n_workers);

#endif
