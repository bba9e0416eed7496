/* SPDX-License-Identifier: MIT */
/*
 * tasks: what does it cost to hand over a single call, and to get its result?
 *
 * Peers      libgomp (`omp task` and `taskwait` in a parallel region, bound to cores), oneTBB (a task_group per submitter,
 *            its threads bound to cores), multiprocessing.Pool.apply_async, and concurrent.futures.ProcessPoolExecutor
 *            (CPython pins nothing and gets no pinning). libgomp and TBB are threads: nothing leaves the process.
 * Unit       ns per task, wall time by all tasks of all submitters. Verdicts give 10^6 tasks per second.
 * Method     Every engine is a process of its own with one worker, or thread, per core, submitters among the threads of libgomp and TBB;
 *            samples alternate between the engines, and only one is not stopped at any time. A task copies its argument of 64
 *            bytes to its result of 64 bytes and adds 1 to the first word, by the same object code in all but Python,
 *            where both are bytes objects. A submitter asks for 1024 tasks, then gets and frees their results in
 *            order, for 20 ms (at least once). Submitter i is bound to the core of worker i. Every result is checked.
 * Cases      1-submitter, 2-submitters: threads on one pool (libgomp: in one region). round-trip: one submitter,
 *            each result is got before the next task is asked for.
 * Warm-up    2 rounds thrown away; in each sample one batch (16 round trips) before the timed ones.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "tasks.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>

#define BATCH       1024
#define SAMPLE_NS   20000000
#define SMOKE_BATCH 16
#define SMOKE_NS    1000000

enum { CALLER, ISOLATED, GOMP, TBB, MP_POOL, EXECUTOR, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [GOMP] = {"libgomp", BENCH_OPENMP, "active"},
    [TBB] = {"TBB", BENCH_OWN, NULL},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_pool.py"},
    [EXECUTOR] = {"ProcessPoolExecutor", BENCH_PYTHON, "mp_pool.py"},
};

static const struct tasks_case {
    const char *name;
    int n_submitters, batch;
} cases[] = {
    {"1-submitter", 1, BATCH},
    {"2-submitters", 2, BATCH},
    {"round-trip", 1, 1},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    const struct tasks_case *c = self;
    (void)peer;
    if (r->args.smoke)
        snprintf(command, BENCH_LINE, "run %d %d %d", c->n_submitters,
                 c->batch > 1 ? SMOKE_BATCH : 1, SMOKE_NS);
    else
        snprintf(command, BENCH_LINE, "run %d %d %d", c->n_submitters, c->batch, SAMPLE_NS);
    return 0;
}

/* ---- verdicts ---- */

static void judge_rate(struct bench *b, const char *case_name)
{
    char what[64];
    const double caller_ns = bench_median(b, case_name, peers[CALLER].name);
    const double isolated_ns = bench_median(b, case_name, peers[ISOLATED].name);
    const int best = caller_ns <= isolated_ns ? CALLER : ISOLATED;
    snprintf(what, sizeof(what), "%s, the best [10^6 per s]", peers[best].name);
    bench_judge(b, case_name, what, 1e3 / bench_median(b, case_name, peers[best].name), 5,
                BENCH_AT_LEAST);
    bench_compare(b, case_name, "TBB", peers[best].name, 1, BENCH_AT_LEAST);
    bench_compare(b, case_name, "mp.Pool", peers[best].name, 200, BENCH_AT_LEAST);
}

static void judge_trip(struct bench *b, const char *case_name)
{
    bench_judge(b, case_name, "forkmap-caller [ns]", bench_median(b, case_name, "forkmap-caller"),
                1000, BENCH_AT_MOST);
    bench_compare(b, case_name, "mp.Pool", "forkmap-caller", 200, BENCH_AT_LEAST);
}

/* ---- main ---- */

static int measure(struct bench_run *r)
{
    char workers[16];
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    int code = bench_run_start(r, (const char *const[]){workers, NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++) {
        const struct tasks_case *c = &cases[i];
        if (!bench_wants(&r->args, c->name, 1, 1))
            continue;
        code =
            bench_run_case(r, c->name, "ns", write_command, c,
                           json_pack("{si si}", "submitters", c->n_submitters, "batch", c->batch));
        if (c->batch > 1)
            judge_rate(r->bench, c->name);
        else
            judge_trip(r->bench, c->name);
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "tasks",
        .question = "what does it cost to hand over a single call?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_tasks_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
