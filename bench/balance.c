/* SPDX-License-Identifier: MIT */
/*
 * balance: how much of the cores does a map use when items cost very different amounts?
 *
 * Peers      libgomp (schedule(runtime), bound to cores) with every schedule and chunk of a sweep, of which the best is
 *            picked by hand after the run, per case; multiprocessing.Pool.map with its default chunk, its items run
 *            by the same object code through ctypes. forkmap runs as it is: default options, nothing tuned,
 *            with the caller working and isolated.
 * Unit       ms per map, wall time of the caller. Efficiency: max(total / P, largest item) / time, where total is
 *            the serial time of all items in the same run and round, and the largest item is timed alone.
 *            Two cores of a shared machine do not do twice the work of one. So in every round P independent
 *            processes are timed against one alone, which gives X, the speed-up that this machine
 *            has to offer; "corrected" is with X instead of P (and the largest item P / X as long), and
 *            verdicts use it. Both are in the output.
 * Method     Every engine is a process of its own; samples alternate, one map of each engine per round, and only
 *            one engine is not stopped at any time. n items per worker, mean cost 20 us, from 1 us to 10 ms by
 *            distribution; the costs come from a table and are steps of arithmetic, not times. Each map's
 *            results must have the checksum of the serial ones.
 * Cases      triangular, reversed (triangular from the end), lognormal, pareto-1.5, one-giant (10 ms among 10 us),
 *            mandelbrot (rows of the shipped kernel).
 * Warm-up    2 rounds thrown away; in each sample one map of the first P items.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios and efficiencies are of medians.
 */
#include "balance.h"

#include "facts.h"
#include "suite.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BENCH_LIBRARY
#define BENCH_LIBRARY "libbench_items.so"
#endif

#define ITEMS_PER_WORKER 1000
#define SMOKE_ITEMS      50

/* ---- who is measured ---- */

enum { SERIAL, CALLER, ISOLATED, GOMP, MP_POOL, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [SERIAL] = {"serial", BENCH_OWN, NULL},
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [GOMP] = {"libgomp", BENCH_OPENMP, "active"},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_pool.py"},
};

static const struct balance_engine {
    const char *name, *schedule;
    int chunk, peer, in_quick;
} engines[] = {
    {"serial", "auto", 0, SERIAL, 1},
    {"forkmap-caller", "auto", 0, CALLER, 1},
    {"forkmap-isolated", "auto", 0, ISOLATED, 1},
    {"libgomp-static", "static", 0, GOMP, 1},
    {"libgomp-static,1", "static", 1, GOMP, 0},
    {"libgomp-static,16", "static", 16, GOMP, 0},
    {"libgomp-dynamic,1", "dynamic", 1, GOMP, 1},
    {"libgomp-dynamic,4", "dynamic", 4, GOMP, 0},
    {"libgomp-dynamic,16", "dynamic", 16, GOMP, 1},
    {"libgomp-dynamic,64", "dynamic", 64, GOMP, 0},
    {"libgomp-guided", "guided", 0, GOMP, 1},
    {"libgomp-guided,16", "guided", 16, GOMP, 0},
    {"libgomp-auto", "auto", 0, GOMP, 1},
    {"mp.Pool", "auto", 0, MP_POOL, 1},
};
#define N_ENGINES (sizeof(engines) / sizeof(engines[0]))

static const struct {
    const char *name;
    int in_quick, in_smoke;
} cases[] = {
    {"triangular", 1, 1}, {"reversed", 0, 0},  {"lognormal", 0, 0},
    {"pareto-1.5", 0, 0}, {"one-giant", 0, 0}, {"mandelbrot", 1, 1},
};

struct expected { /* what the engines' results are held to */
    char checksum[20];
};

/* ---- sampling ---- */

/* Serial comes first in a round, and its checksum is what the others are held to. */
static int check_results(struct bench_run *r, const char *engine, const char *answer)
{
    char checksum[20];
    struct expected *serial = r->own;
    if (sscanf(answer, "%*f %19s", checksum) != 1)
        return -1;
    if (strcmp(engine, "serial") == 0)
        snprintf(serial->checksum, sizeof(serial->checksum), "%s", checksum);
    if (strcmp(checksum, serial->checksum) == 0)
        return 0;
    fprintf(stderr, "bench: %s: its results differ from the serial ones\n", engine);
    return -1;
}

static int sample_engine(struct bench_run *r, const char *case_name, const struct balance_engine *e,
                         int keep)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    struct bench_engine *engine = &r->running[e->peer];
    if (engine->pid == 0 || (e->peer == MP_POOL && strcmp(case_name, "mandelbrot") == 0))
        return 0; /* missing; or a kernel that is not in the library which Python loads */
    if ((r->args.quick || r->args.smoke) && !e->in_quick)
        return 0;
    snprintf(command, sizeof(command), "run %s %s %d", case_name, e->schedule, e->chunk);
    int code = bench_engine_ask(engine, command, answer);
    if (code == 0)
        code = check_results(r, e->name, answer);
    if (code == 0 && keep)
        bench_record(r->bench, case_name, e->name, "ms", strtod(answer, NULL));
    return code;
}

static int sample_round(struct bench_run *r, const char *case_name, int keep)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    int code = 0;
    const double times = bench_calibrate(r->cores.places, r->cores.n, r->cores.steps_per_us);
    if (keep && !isnan(times))
        bench_record(r->bench, case_name, "processes", "x", times);
    if (keep)
        bench_record_calibration(r->bench, times);
    for (size_t e = 0; code == 0 && e < N_ENGINES; e++)
        code = sample_engine(r, case_name, &engines[e], keep);
    if (code != 0 || keep)
        return code;
    snprintf(command, sizeof(command), "largest %s", case_name);
    code = bench_engine_ask(&r->running[SERIAL], command, answer);
    if (code == 0)
        bench_record(r->bench, case_name, "largest-item", "ms alone", strtod(answer, NULL));
    return code;
}

/* ---- verdicts ---- */

static const char *find_best_peer(const struct bench_run *r, const char *case_name)
{
    const char *best = NULL;
    double best_ms = INFINITY;
    for (size_t e = 0; e < N_ENGINES; e++) {
        const double ms = bench_median(r->bench, case_name, engines[e].name);
        if (engines[e].peer == GOMP && ms < best_ms) {
            best_ms = ms;
            best = engines[e].name;
        }
    }
    return best;
}

/* Writes the efficiencies of one engine. Returns the corrected one. */
static double write_efficiency(const struct bench_run *r, const char *case_name, const char *engine)
{
    const double ms = bench_median(r->bench, case_name, engine);
    const double total_ms = bench_median(r->bench, case_name, "serial");
    const double largest_ms = bench_median(r->bench, case_name, "largest-item");
    const double times = bench_median(r->bench, case_name, "processes");
    const double ideal_ms = fmax(total_ms / r->cores.n, largest_ms);
    const double corrected = ideal_ms / ms * r->cores.n / times;
    if (!isnan(corrected))
        bench_write(r->bench, case_name,
                    json_pack("{ss ss sf sf sf sf}", "engine", engine, "unit", "efficiency", "raw",
                              ideal_ms / ms, "corrected", corrected, "ideal_ms", ideal_ms, "x",
                              times));
    return corrected;
}

static void judge_engine(const struct bench_run *r, const char *case_name, const char *engine,
                         double corrected)
{
    char what[96];
    const char *best = find_best_peer(r, case_name);
    snprintf(what, sizeof(what), "efficiency %s (corrected)", engine);
    if (strcmp(case_name, "triangular") == 0 || strcmp(case_name, "mandelbrot") == 0)
        bench_judge(r->bench, case_name, what, corrected, 0.95, BENCH_AT_LEAST);
    bench_judge(r->bench, case_name, what, corrected, 0.97, BENCH_AT_LEAST);
    if (best == NULL)
        return;
    snprintf(what, sizeof(what), "best %s/%s", best, engine);
    bench_judge(r->bench, case_name, what,
                bench_median(r->bench, case_name, best) / bench_median(r->bench, case_name, engine),
                0.99, BENCH_AT_LEAST);
}

static int run_case(struct bench_run *r, const char *case_name)
{
    int code = 0;
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        code = sample_round(r, case_name, round >= 0);
    if (code != 0)
        return code;
    bench_case_end(r->bench, case_name, NULL);
    for (size_t e = 0; e < N_ENGINES; e++) {
        const double corrected = write_efficiency(r, case_name, engines[e].name);
        if (engines[e].peer == CALLER || engines[e].peer == ISOLATED)
            judge_engine(r, case_name, engines[e].name, corrected);
    }
    return 0;
}

/* ---- main ---- */

/* The library is for Python. */
static int start_all(struct bench_run *r)
{
    char workers[16], items[24], steps[32];
    const int64_t n_items = (int64_t)r->cores.n * (r->args.smoke ? SMOKE_ITEMS : ITEMS_PER_WORKER);
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    snprintf(items, sizeof(items), "%" PRId64, n_items);
    snprintf(steps, sizeof(steps), "%.6f", r->cores.steps_per_us);
    return bench_run_start(r, (const char *const[]){workers, items, steps, BENCH_LIBRARY, NULL});
}

static int measure(struct bench_run *r)
{
    struct expected serial = {""};
    r->own = &serial;
    int code = start_all(r);
    for (size_t i = 0; code == 0 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (bench_wants(&r->args, cases[i].name, cases[i].in_quick, cases[i].in_smoke))
            code = run_case(r, cases[i].name);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "balance",
        .question = "how much of the cores does a map of uneven items use?",
        .unit = "ms",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 3,
        .run_engine = bench_balance_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
