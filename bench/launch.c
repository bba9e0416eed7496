/* SPDX-License-Identifier: MIT */
/*
 * launch: what does an (almost) empty map cost, from call to return?
 *
 * Peers      libgomp with OMP_WAIT_POLICY active, passive and unset (OMP_PROC_BIND=true, OMP_PLACES=cores, one
 *            thread per worker), and multiprocessing.Pool.map (CPython has no pinning and gets none).
 * Unit       ns per launch, wall time of the caller.
 * Method     P workers, P items, one item each; an item adds 1 to a counter on a cache line of its own, by the
 *            same object code in all but Python. Every engine is a process of its own, its caller bound to the first
 *            core; samples alternate between the engines, round after round, and only one engine is not stopped
 *            at any time. A sample is the mean of a batch of launches (10 to 2000, as long as some ms). After it
 *            the counters must tell that every launch ran every item.
 *            Variants of forkmap: by default the static schedule is meant, where each worker has to take part, as
 *            in an OpenMP static loop; "-auto" is the default schedule, where who comes first may
 *            take the others' items.
 * Cases      hot: back to back. 10us .. 10ms: after the caller was busy for so long without a map. Busy, not
 *            asleep: a program computes between its maps; a sleeping core halts, and its own wake-up, the same for all,
 *            would be added to every figure. neighbour: another busy process is pinned to every core;
 *            a sample lasts 60 ms, which is many time slices.
 *            region-1.2us: back to back with 1.2 us of arithmetic per item, like the loops of LULESH.
 *            idle: CPU time of the pool's processes between 1 ms and 501 ms after a map, from
 *            /proc/PID/schedstat (ns) and stat (clock ticks).
 * Warm-up    2 rounds thrown away; within each sample 200 launches (2 after a gap; 20 of mp.Pool) before the timed ones.
 * Statistic  median, p10, p90 of 31 samples (all of them are in the output); ratios are of medians.
 */
#include "launch.h"

#include "bench_clock.h"
#include "facts.h"
#include "suite.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGION_US 1.2

/* ---- who is measured ---- */

enum { CALLER, ISOLATED, GOMP_ACTIVE, GOMP_PASSIVE, GOMP_DEFAULT, MP_POOL, N_PEERS };

static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [GOMP_ACTIVE] = {"libgomp-active", BENCH_OPENMP, "active"},
    [GOMP_PASSIVE] = {"libgomp-passive", BENCH_OPENMP, "passive"},
    [GOMP_DEFAULT] = {"libgomp-default", BENCH_OPENMP, NULL},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_pool.py"},
};

static const struct {
    const char *name, *variant;
    int peer;
} engines[] = {
    {"forkmap-caller", "static", CALLER},        {"forkmap-caller-auto", "auto", CALLER},
    {"forkmap-isolated", "static", ISOLATED},    {"forkmap-isolated-auto", "auto", ISOLATED},
    {"libgomp-active", "static", GOMP_ACTIVE},   {"libgomp-passive", "static", GOMP_PASSIVE},
    {"libgomp-default", "static", GOMP_DEFAULT}, {"mp.Pool", "static", MP_POOL},
};
#define N_ENGINES (sizeof(engines) / sizeof(engines[0]))

struct launch_case {
    const char *name;
    int64_t gap_ns, max_launches, max_ns;
    double item_us;
    int neighbours; /* 1: a busy process on every core */
    int in_quick, in_smoke;
};

static const struct launch_case cases[] = {
    {"hot", 0, 2000, 10000000, 0, 0, 1, 1},
    {"10us", 10000, 200, 10000000, 0, 0, 0, 1},
    {"100us", 100000, 50, 10000000, 0, 0, 0, 0},
    {"1ms", 1000000, 10, 10000000, 0, 0, 1, 0},
    {"10ms", 10000000, 3, 10000000, 0, 0, 0, 0},
    {"neighbour", 0, INT64_MAX / 2, 60000000, 0, 1, 0, 0},
    {"region-1.2us", 0, 2000, 10000000, REGION_US, 0, 0, 0},
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* ---- busy neighbours ---- */

static pid_t start_neighbour(int cpu)
{
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_pin(cpu);
        for (;;)
            bench_spin_ns(1000000);
    }
    return pid;
}

static pid_t *start_neighbours(const struct bench_run *r)
{
    pid_t *pids = calloc((size_t)r->cores.n, sizeof(*pids));
    for (int i = 0; pids != NULL && i < r->cores.n; i++)
        pids[i] = start_neighbour(r->cores.places[i].cpu);
    return pids;
}

static void end_neighbours(const struct bench_run *r, pid_t *pids)
{
    for (int i = 0; pids != NULL && i < r->cores.n; i++) {
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    }
    free(pids);
}

/* ---- sampling ---- */

static int sample_engine(struct bench_run *r, const struct launch_case *c, size_t e, int keep)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    const uint32_t steps = (uint32_t)(c->item_us * r->cores.steps_per_us);
    struct bench_engine *engine = &r->running[engines[e].peer];
    if (engine->pid == 0 || (engines[e].peer == MP_POOL && steps > 0))
        return 0; /* missing; or arithmetic that Python would not run at this speed */
    const int64_t shorter = r->args.smoke ? 10 : 1;
    snprintf(command, sizeof(command), "run %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu32,
             engines[e].variant, c->gap_ns, c->max_launches / shorter, c->max_ns / shorter, steps);
    const int code = bench_engine_ask(engine, command, answer);
    if (code == 0 && keep)
        bench_record(r->bench, c->name, engines[e].name, "ns", strtod(answer, NULL));
    return code;
}

static int run_case(struct bench_run *r, const struct launch_case *c)
{
    int code = 0;
    pid_t *pids = c->neighbours ? start_neighbours(r) : NULL;
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        for (size_t e = 0; code == 0 && e < N_ENGINES; e++)
            code = sample_engine(r, c, e, round >= 0);
    end_neighbours(r, pids);
    bench_case_end(r->bench, c->name, json_pack("{si}", "items", r->cores.n));
    return code;
}

static int sample_idle(struct bench_run *r, int peer, int64_t window_ns)
{
    char command[BENCH_LINE], answer[BENCH_LINE], *rest;
    char ns_name[48], ticks_name[48];
    snprintf(command, sizeof(command), "idle 1000000 %" PRId64, window_ns);
    snprintf(ns_name, sizeof(ns_name), "%s", peers[peer].name);
    snprintf(ticks_name, sizeof(ticks_name), "%s-ticks", peers[peer].name);
    const int code = bench_engine_ask(&r->running[peer], command, answer);
    if (code != 0)
        return code;
    bench_record(r->bench, "idle", ns_name, "ns CPU", strtod(answer, &rest));
    bench_record(r->bench, "idle", ticks_name, "ticks", strtod(rest, NULL));
    return 0;
}

static int run_idle(struct bench_run *r)
{
    const int64_t window_ns = r->args.smoke ? 20000000 : 500000000;
    int code = 0;
    for (int round = 0; code == 0 && round < r->args.n_samples; round++)
        for (int p = CALLER; code == 0 && p <= ISOLATED; p++)
            code = sample_idle(r, p, window_ns);
    bench_case_end(r->bench, "idle", json_pack("{sI}", "window_ns", (json_int_t)window_ns));
    return code;
}

/* ---- verdicts ---- */

static void judge_hot(struct bench *b)
{
    const double isolated_ns = bench_median(b, "hot", "forkmap-isolated");
    bench_compare(b, "hot", "forkmap-caller", "libgomp-active", 0.7, BENCH_AT_MOST);
    bench_compare(b, "hot", "forkmap-caller", "libgomp-active", 0.5, BENCH_AT_MOST);
    bench_judge(b, "hot", "forkmap-isolated [ns]", isolated_ns, 10000, BENCH_AT_MOST);
    bench_judge(b, "hot", "forkmap-isolated [ns]", isolated_ns, 8000, BENCH_AT_MOST);
    bench_compare(b, "hot", "mp.Pool", "forkmap-isolated", 25, BENCH_AT_LEAST);
    bench_compare(b, "hot", "mp.Pool", "forkmap-caller", 500, BENCH_AT_LEAST);
}

static void judge_cold(struct bench *b)
{
    static const char *const cold[] = {"1ms", "10ms"};
    for (size_t i = 0; i < sizeof(cold) / sizeof(cold[0]); i++) {
        bench_compare(b, cold[i], "forkmap-caller", "libgomp-passive", 1.1, BENCH_AT_MOST);
        bench_compare(b, cold[i], "forkmap-isolated", "libgomp-passive", 1.1, BENCH_AT_MOST);
    }
    bench_compare(b, "neighbour", "forkmap-caller-auto", "libgomp-default", 0.2, BENCH_AT_MOST);
}

/* p90, not the median: a pool that wakes now and then does use CPU. 10 us is about one stray wake-up. */
static void judge_idle(struct bench *b)
{
    bench_judge(b, "idle", "forkmap-caller CPU p90, idle [ticks]",
                bench_stats_for(b, "idle", "forkmap-caller-ticks").p90, 0, BENCH_AT_MOST);
    bench_judge(b, "idle", "forkmap-isolated CPU p90, idle [ticks]",
                bench_stats_for(b, "idle", "forkmap-isolated-ticks").p90, 0, BENCH_AT_MOST);
    bench_judge(b, "idle", "forkmap-caller CPU p90, idle [ns]",
                bench_stats_for(b, "idle", "forkmap-caller").p90, 10000, BENCH_AT_MOST);
    bench_judge(b, "idle", "forkmap-isolated CPU p90, idle [ns]",
                bench_stats_for(b, "idle", "forkmap-isolated").p90, 10000, BENCH_AT_MOST);
}

/* ---- main ---- */

static int measure(struct bench_run *r)
{
    char workers[16];
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    int code = bench_run_start(r, (const char *const[]){workers, NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++)
        if (bench_wants(&r->args, cases[i].name, cases[i].in_quick, cases[i].in_smoke))
            code = run_case(r, &cases[i]);
    if (code == 0 && bench_wants(&r->args, "idle", 1, 1))
        code = run_idle(r);
    judge_hot(r->bench);
    judge_cold(r->bench);
    judge_idle(r->bench);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "launch",
        .question = "what does an (almost) empty map cost?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_launch_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
