/* SPDX-License-Identifier: MIT */
/*
 * lock: what does it cost to keep other processes out?
 *
 * Peers      glibc's process-shared mutex, plain (mutex-plain) and robust (mutex-robust), and its semaphore (sem_t), in a
 *            mapping that the processes share; multiprocessing.Value under its own lock (mp.Value). For the case add: a
 *            fetch_add of C11 (C11-add), against fm_value_add() on a value without a lock (forkmap-add).
 * Unit       ns of wall time per turn: acquire, add 1 to a plain counter, release; or one atomic addition. From the moment
 *            at which all processes begin to that at which all have ended, by the turns of all.
 * Method     Every engine is a process of its own, which forks the others for each sample; each is bound to a core of its own.
 *            Samples alternate, and only one engine is not stopped at any time. After each sample the counter must be the number
 *            of all turns. Python takes a hundredth of the turns, because its are slow.
 * Cases      uncontended: one process. contended: two at once. add, add-contended: the same with atomic additions.
 * Warm-up    2 rounds thrown away.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "lock.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MP_DIVISOR    100
#define SMOKE_DIVISOR 200

enum { FORKMAP, FORKMAP_ADD, PLAIN, ROBUST, SEM, C11_ADD, MP_VALUE, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [FORKMAP] = {"forkmap", BENCH_OWN, NULL},
    [FORKMAP_ADD] = {"forkmap-add", BENCH_OWN, NULL},
    [PLAIN] = {"mutex-plain", BENCH_OWN, NULL},
    [ROBUST] = {"mutex-robust", BENCH_OWN, NULL},
    [SEM] = {"sem_t", BENCH_OWN, NULL},
    [C11_ADD] = {"C11-add", BENCH_OWN, NULL},
    [MP_VALUE] = {"mp.Value", BENCH_PYTHON, "mp_lock.py"},
};

static const struct lock_case {
    const char *name;
    int is_add, n_processes;
    int64_t n_turns; /* of each process */
} cases[] = {
    {"uncontended", 0, 1, 5000000},
    {"contended", 0, 2, 2000000},
    {"add", 1, 1, 5000000},
    {"add-contended", 1, 2, 2000000},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static int takes_part(const struct lock_case *c, int peer)
{
    return peer == MP_VALUE || (peer == FORKMAP_ADD || peer == C11_ADD) == c->is_add;
}

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    const struct lock_case *c = self;
    int64_t n = r->args.smoke ? c->n_turns / SMOKE_DIVISOR : c->n_turns;
    if (!takes_part(c, peer))
        return 1;
    snprintf(command, BENCH_LINE, "run %d %" PRId64, c->n_processes,
             peer == MP_VALUE ? n / MP_DIVISOR : n);
    return 0;
}

static void judge_case(const struct bench_run *r, const struct lock_case *c)
{
    const char *own = c->is_add ? "forkmap-add" : "forkmap";
    if (strcmp(c->name, "uncontended") == 0)
        bench_compare(r->bench, c->name, own, "mutex-plain", 1.2, BENCH_AT_MOST);
    if (strcmp(c->name, "contended") == 0)
        bench_compare(r->bench, c->name, own, "mutex-robust", 1.0, BENCH_AT_MOST);
    bench_compare(r->bench, c->name, "mp.Value", own, 20, BENCH_AT_LEAST);
}

static int measure(struct bench_run *r)
{
    int code = bench_run_start(r, (const char *const[]){NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++) {
        const struct lock_case *c = &cases[i];
        if (!bench_wants(&r->args, c->name, 1, 1))
            continue;
        code = bench_run_case(
            r, c->name, "ns", write_command, c,
            json_pack("{sI si}", "turns", (json_int_t)c->n_turns, "processes", c->n_processes));
        judge_case(r, c);
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "lock",
        .question = "what does it cost to keep other processes out?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_lock_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
