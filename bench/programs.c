/* SPDX-License-Identifier: MIT */
/*
 * programs: how do whole programs do, from their first map to their last?
 *
 * Peers      serial; libgomp and libomp (both bound to cores, active waiting) with every schedule and chunk of a sweep,
 *            of which the best of all is picked by hand after the run, per program; oneTBB's parallel_for; and for
 *            programs that are written in Python, too, CPython's multiprocessing.Pool with its default chunk.
 *            forkmap runs as it is: default options, nothing tuned, with the caller working and isolated.
 * Unit       ms per program, wall time of the caller: all its passes, and what is done between them.
 * Method     Every engine is a process of its own; samples alternate, one run of each engine per round, and only one
 *            engine is not stopped at any time. All C engines run one object file of the kernel; libomp's is called
 *            by the same loop compiled by clang. Before a case the kernel checks a serial result against its
 *            reference, and each result must have the checksum of the serial one. Python is too slow for these
 *            problems: it runs smaller ones ("small: ..."), forkmap too, and its results must have the sum of the
 *            serial ones. A chunk in an engine's name is in grains of the kernel: items that cost no more together
 *            than one. docking has no program in Python.
 * Cases      ep (NPB class W), blackscholes (2,000,000 options), mandelbrot (1536 x 1536), docking (8192 poses of
 *            bm1), spectral_norm (n=5500, 40 passes), nbody (8192 systems, 1000 steps), xs_lookup (100,000 lookups).
 *            "all" has the geometric means.
 * Warm-up    2 rounds thrown away; in each sample one item per worker of another kernel.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "programs.h"

#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BENCH_LIBOMP_PROGRAM
#define BENCH_LIBOMP_PROGRAM "programs_libomp"
#endif

#define MOST_SUM                                                                                   \
    1e-9 /* relative difference of Python's sum: its libm, and the order of additions */

/* ---- who is measured ---- */

enum { CALLER, ISOLATED, SERIAL, GOMP, OMP, TBB, MP_POOL, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [SERIAL] = {"serial", BENCH_OWN, NULL},
    [GOMP] = {"libgomp", BENCH_OPENMP, "active"},
    [OMP] = {"libomp", BENCH_OPENMP_PROGRAM, BENCH_LIBOMP_PROGRAM},
    [TBB] = {"TBB", BENCH_OWN, NULL},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_programs.py"},
};

/* What the OpenMP runtimes are tried with; quick runs leave some out. */
static const struct {
    const char *name, *schedule;
    int chunk, in_quick;
} sweep[] = {
    {"static", "static", 0, 1},       {"static,1", "static", 1, 0},
    {"static,16", "static", 16, 0},   {"dynamic,1", "dynamic", 1, 1},
    {"dynamic,4", "dynamic", 4, 0},   {"dynamic,16", "dynamic", 16, 1},
    {"dynamic,64", "dynamic", 64, 0}, {"dynamic,256", "dynamic", 256, 0},
    {"guided,1", "guided", 1, 1},     {"guided,16", "guided", 16, 0},
};
#define N_SWEEP (sizeof(sweep) / sizeof(sweep[0]))

static const struct program {
    const char *name;
    const char *full, *small; /* problems; Python runs the small one */
    int in_python;
} programs[] = {
    {"ep", "ep class=W", "ep m=16 block=2048", 1},
    {"blackscholes", "blackscholes n=10000000", "blackscholes n=100000", 1},
    {"mandelbrot", "mandelbrot n=1536 width=1536", "mandelbrot n=64 width=64", 1},
    {"docking", "docking n=8192", "docking n=256", 0},
    {"spectral_norm", "spectral_norm n=5500", "spectral_norm n=130", 1},
    {"nbody", "nbody n=8192", "nbody n=256 steps=50", 1},
    {"xs_lookup", "xs_lookup n=100000", "xs_lookup n=2000 nuclides=32 points=500 bins=256", 1},
};
#define N_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

struct progress { /* of this run */
    char checksum[20];
    double sum;          /* of the serial result of the problem at hand */
    double log_ratio[2]; /* forkmap-caller, forkmap-isolated: over all programs */
    int n_programs;
};

/* ---- sampling ---- */

/* Serial comes first for each problem: the others are held to it. */
static int check_result(struct bench_run *r, int peer, const char *answer)
{
    char checksum[20];
    double sum;
    struct progress *run = r->own;
    if (sscanf(answer, "%*f %19s %lf", checksum, &sum) != 2)
        return -1;
    if (peer == SERIAL) {
        memcpy(run->checksum, checksum, sizeof(checksum));
        run->sum = sum;
    }
    if (strcmp(checksum, run->checksum) == 0 ||
        (peer == MP_POOL && fabs(sum - run->sum) <= MOST_SUM * fabs(run->sum)))
        return 0;
    fprintf(stderr, "bench: %s: its results differ from the serial ones\n", peers[peer].name);
    return -1;
}

/* An engine's run of a problem, as `name` in the output. */
static int sample(struct bench_run *r, const char *case_name, const char *name, int peer,
                  const char *how, const char *problem, int keep)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    if (r->running[peer].pid == 0)
        return 0; /* missing */
    snprintf(command, sizeof(command), "run %s %s", how, problem);
    int code = bench_engine_ask(&r->running[peer], command, answer);
    if (code == 0)
        code = check_result(r, peer, answer);
    if (code == 0 && keep)
        bench_record(r->bench, case_name, name, "ms", strtod(answer, NULL));
    return code;
}

static int is_left_out(const struct bench_run *r, size_t s)
{
    return (r->args.quick || r->args.smoke) && !sweep[s].in_quick;
}

static void name_swept(char *name, size_t cap, int peer, size_t s)
{
    snprintf(name, cap, "%s-%s", peers[peer].name, sweep[s].name);
}

static int sample_openmp(struct bench_run *r, const struct program *p, const char *problem,
                         int peer, int keep)
{
    int code = 0;
    for (size_t s = 0; code == 0 && s < N_SWEEP; s++) {
        char name[48], how[32];
        if (is_left_out(r, s))
            continue;
        name_swept(name, sizeof(name), peer, s);
        snprintf(how, sizeof(how), "%s %d", sweep[s].schedule, sweep[s].chunk);
        code = sample(r, p->name, name, peer, how, problem, keep);
    }
    return code;
}

static int sample_all(struct bench_run *r, const struct program *p, const char *problem, int keep)
{
    static const int own[] = {SERIAL, CALLER, ISOLATED, TBB};
    int code = 0;
    for (size_t k = 0; code == 0 && k < sizeof(own) / sizeof(own[0]); k++)
        code = sample(r, p->name, peers[own[k]].name, own[k], "auto 0", problem, keep);
    for (int peer = GOMP; code == 0 && peer <= OMP; peer++)
        code = sample_openmp(r, p, problem, peer, keep);
    return code;
}

/* Beside Python, on its smaller problem. */
static int sample_small(struct bench_run *r, const struct program *p, int keep)
{
    static const int wanted[] = {SERIAL, CALLER, ISOLATED, MP_POOL};
    int code = 0;
    for (size_t k = 0; code == 0 && p->in_python && k < sizeof(wanted) / sizeof(wanted[0]); k++) {
        char name[48];
        snprintf(name, sizeof(name), "small: %s", peers[wanted[k]].name);
        code = sample(r, p->name, name, wanted[k], "auto 0", p->small, keep);
    }
    return code;
}

/* ---- verdicts ---- */

static void find_best_openmp(const struct bench_run *r, const char *case_name, char *best,
                             size_t cap)
{
    double best_ms = INFINITY;
    best[0] = '\0';
    for (int peer = GOMP; peer <= OMP; peer++)
        for (size_t s = 0; s < N_SWEEP; s++) {
            char name[48];
            name_swept(name, sizeof(name), peer, s);
            const double ms = bench_median(r->bench, case_name, name);
            if (!(ms < best_ms))
                continue;
            best_ms = ms;
            snprintf(best, cap, "%s", name);
        }
}

static void judge_program(struct bench_run *r, const struct program *p)
{
    char best[48];
    struct progress *run = r->own;
    find_best_openmp(r, p->name, best, sizeof(best));
    for (int peer = CALLER; peer <= ISOLATED && best[0] != '\0'; peer++) {
        bench_compare(r->bench, p->name, peers[peer].name, best, 1.03, BENCH_AT_MOST);
        run->log_ratio[peer] += log(bench_median(r->bench, p->name, peers[peer].name) /
                                    bench_median(r->bench, p->name, best));
    }
    run->n_programs += best[0] != '\0';
    bench_compare(r->bench, p->name, "small: mp.Pool", "small: forkmap-caller", 20, BENCH_AT_LEAST);
    bench_compare(r->bench, p->name, "small: mp.Pool", "small: forkmap-isolated", 20,
                  BENCH_AT_LEAST);
    bench_relate(r->bench, p->name, "serial", "forkmap-caller");
    bench_relate(r->bench, p->name, "forkmap-caller", "TBB");
}

static void judge_all(struct bench_run *r)
{
    const struct progress *run = r->own;
    for (int peer = CALLER; peer <= ISOLATED && run->n_programs > 0; peer++) {
        char what[96];
        snprintf(what, sizeof(what), "%s/best OpenMP, geometric mean of %d", peers[peer].name,
                 run->n_programs);
        bench_judge(r->bench, "all", what, exp(run->log_ratio[peer] / run->n_programs), 1.0,
                    BENCH_AT_MOST);
    }
}

/* ---- cases ---- */

/* The kernel's own check, of what all others are then compared with. */
static int check_reference(struct bench_run *r, const char *problem)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    snprintf(command, sizeof(command), "check %s", problem);
    return bench_engine_ask(&r->running[SERIAL], command, answer);
}

static int forget_problems(struct bench_run *r)
{
    char answer[BENCH_LINE];
    int code = 0;
    for (int peer = 0; code == 0 && peer < N_PEERS; peer++)
        if (r->running[peer].pid != 0)
            code = bench_engine_ask(&r->running[peer], "forget", answer);
    return code;
}

static int run_case(struct bench_run *r, const struct program *p)
{
    const char *problem = r->args.smoke ? p->small : p->full;
    int code = check_reference(r, problem);
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++) {
        code = sample_all(r, p, problem, round >= 0);
        if (code == 0 && (round == 0 || !r->args.smoke))
            code = sample_small(r, p, round >= 0);
    }
    if (code == 0)
        code = forget_problems(r);
    if (code != 0)
        return code;
    bench_case_end(r->bench, p->name, json_pack("{ss}", "problem", problem));
    judge_program(r, p);
    return 0;
}

/* ---- main ---- */

static int measure(struct bench_run *r)
{
    char workers[16];
    struct progress run = {.n_programs = 0};
    r->own = &run;
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    int code = bench_run_start(r, (const char *const[]){workers, NULL});
    for (size_t k = 0; code == 0 && k < N_PROGRAMS; k++)
        if (bench_wants(&r->args, programs[k].name, 1, 1))
            code = run_case(r, &programs[k]);
    judge_all(r);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "programs",
        .question = "how do whole programs do, from their first map to their last?",
        .unit = "ms",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 3,
        .run_engine = bench_programs_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
