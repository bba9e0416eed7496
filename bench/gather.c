/* SPDX-License-Identifier: MIT */
/*
 * gather: what does it take until a caller has the results that workers have made?
 *
 * Peers      MPI_Gather of Open MPI on one machine, whose root is a rank that makes its part in place. multiprocessing.Pool.map, whose
 *            results are bytes objects. joblib.Parallel (loky), whose results are NumPy arrays (joblib), and the same where each
 *            call writes into a numpy.memmap that the caller has made, as joblib's documentation advises (joblib-memmap).
 * Unit       ns of wall time, from the moment at which the last worker has made its part (it notes CLOCK_MONOTONIC) to
 *            the moment at which the caller has all of them.
 * Method     Every engine is a program of its own; samples alternate, one gather of each engine per round, and only one engine
 *            is not stopped at any time. Each of P workers makes one part, an equal share of the results, by setting every byte of it; the value is
 *            another one in each sample, and the first and the last byte of each part are compared with it. The memory
 *            for results is made when a case begins, where an engine lets one do so: forkmap's array, MPI's buffers, joblib's memmap.
 *            Making the parts does not count. forkmap runs with default options and a static schedule.
 * Cases      4GiB, 512MiB, 32MiB, 1MiB of results. ...-read: for the caller to read a byte of each page of 4 KiB afterwards, which is what
 *            engines that move nothing might have put off. moved: bytes of results, of all cases, that forkmap's caller found
 *            elsewhere than where the worker had written them. Python's pools that send results have no part in 4GiB: a sample would take
 *            tens of seconds and 16 GiB. --quick leaves 512MiB out, and takes a quarter of the sizes above 1 MiB. A size whose copies would leave less
 *            than 2 GiB of memory to the machine is halved until they fit, and that is told; the verdicts, and "result_bytes" of the JSON
 *            lines, say which size it was.
 * Warm-up    2 rounds thrown away; in each sample a gather of a page a part (MPI: a barrier) before the one that counts.
 * Verdicts   forkmap moves no byte, and the most results take 1.2 times as long as the fewest, or less.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "gather.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BENCH_MPI_GATHER
#define BENCH_MPI_GATHER "mpi_gather"
#endif

#define MIB           ((int64_t)1 << 20)
#define MARGIN_BYTES  (2048 * MIB) /* for everything else on the machine */
#define COPIES        5            /* of a case's results, at some time, in all engines together */
#define COPIES_PIPES  13           /* the same with those that send them */
#define QUICK_DIVISOR 4
#define SMOKE_DIVISOR 512

/* ---- who is measured ---- */

enum { CALLER, ISOLATED, MPI, MP_POOL, JOBLIB, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [MPI] = {"MPI_Gather", BENCH_PROGRAM, BENCH_MPI_GATHER},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_gather.py"},
    [JOBLIB] = {"joblib", BENCH_PYTHON, "mp_gather.py"},
};

static const struct engine {
    const char *name, *command;
    int peer;
    int sends; /* 1: results go through a pipe */
} engines[] = {
    {"forkmap-caller", "gather", CALLER, 0}, {"forkmap-isolated", "gather", ISOLATED, 0},
    {"MPI_Gather", "gather", MPI, 0},        {"joblib-memmap", "memmap", JOBLIB, 0},
    {"mp.Pool", "gather", MP_POOL, 1},       {"joblib", "gather", JOBLIB, 1},
};
#define N_ENGINES (sizeof(engines) / sizeof(engines[0]))
#define N_OWN     2 /* the first so many are forkmap */

static const struct gather_case {
    const char *name;
    int64_t bytes;  /* of all results */
    int with_pipes; /* 1: also engines that send them through a pipe */
    int in_quick, in_smoke;
} cases[] = {
    /* the most first: there is most memory left then */
    {"4GiB", 4096 * MIB, 0, 1, 1},
    {"512MiB", 512 * MIB, 1, 0, 0},
    {"32MiB", 32 * MIB, 1, 1, 0},
    {"1MiB", MIB, 1, 1, 1},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

struct progress {
    int value; /* of the next sample */
    double moved[N_ENGINES];
    int64_t bytes[N_CASES]; /* 0: the case has not been run */
};

/* ---- sampling ---- */

/* Half of it, or a quarter ..., until all engines' copies leave the margin. */
static int64_t fit_bytes(const struct bench_args *args, const struct gather_case *c)
{
    const int64_t left_bytes = fm_memory_left();
    const int64_t divisor = c->bytes == MIB ? 1
                            : args->smoke   ? SMOKE_DIVISOR
                            : args->quick   ? QUICK_DIVISOR
                                            : 1;
    const int64_t wanted_bytes = c->bytes / divisor;
    int64_t bytes = wanted_bytes;
    while (bytes > MIB &&
           bytes > (left_bytes - MARGIN_BYTES) / (c->with_pipes ? COPIES_PIPES : COPIES))
        bytes /= 2;
    if (bytes < wanted_bytes)
        fprintf(stderr,
                "bench: gather: %s with %" PRId64 " MiB: only %" PRId64 " MiB of memory are left\n",
                c->name, bytes / MIB, left_bytes / MIB);
    return bytes;
}

/* Whole pages: an MPI count of them fits an int. */
static int64_t part_bytes(const struct bench_run *r, int64_t bytes)
{
    const int64_t pages = bytes / r->cores.n / BENCH_GATHER_PAGE_BYTES;
    return (pages > 0 ? pages : 1) * BENCH_GATHER_PAGE_BYTES;
}

static int sample_engine(struct bench_run *r, const struct gather_case *c, int64_t bytes, size_t i,
                         int keep)
{
    struct progress *p = r->own;
    const struct engine *e = &engines[i];
    char command[BENCH_LINE], answer[BENCH_LINE], read_case[32];
    double gather_ns, read_ns, moved;
    if (r->running[e->peer].pid == 0 || (e->sends && !c->with_pipes))
        return 0;
    snprintf(command, sizeof(command), "%s %" PRId64 " %d", e->command, part_bytes(r, bytes),
             p->value++ & 255);
    const int code = bench_engine_ask(&r->running[e->peer], command, answer);
    if (code != 0)
        return code;
    if (sscanf(answer, "%lf %lf %lf", &gather_ns, &read_ns, &moved) != 3)
        return -1;
    p->moved[i] += moved;
    if (!keep)
        return 0;
    snprintf(read_case, sizeof(read_case), "%s-read", c->name);
    bench_record(r->bench, c->name, e->name, "ns", gather_ns);
    bench_record(r->bench, read_case, e->name, "ns", read_ns);
    return 0;
}

/* ---- verdicts ---- */

/* The case with most results beside each other one: only the fewest have a target. */
static void judge_growth(struct bench_run *r, const char *name)
{
    const struct progress *p = r->own;
    char what[96];
    for (size_t i = N_CASES - 1; i > 0; i--) {
        const double growth = bench_median(r->bench, cases[0].name, name) /
                              bench_median(r->bench, cases[i].name, name);
        snprintf(what, sizeof(what), "%s, %" PRId64 " MiB/%" PRId64 " MiB", name, p->bytes[0] / MIB,
                 p->bytes[i] / MIB);
        if (i == N_CASES - 1)
            bench_judge(r->bench, cases[0].name, what, growth, 1.2, BENCH_AT_MOST);
        else
            bench_tell_value(r->bench, cases[0].name, what, growth);
    }
}

static void judge_case(struct bench_run *r, const struct gather_case *c)
{
    for (size_t own = 0; own < N_OWN; own++)
        for (size_t i = N_OWN; i < N_ENGINES; i++)
            bench_relate(r->bench, c->name, engines[i].name, engines[own].name);
}

static void judge_all(struct bench_run *r)
{
    const struct progress *p = r->own;
    char what[96];
    for (size_t own = 0; own < N_OWN; own++) {
        judge_growth(r, engines[own].name);
        snprintf(what, sizeof(what), "%s [bytes]", engines[own].name);
        bench_judge(r->bench, "moved", what, p->moved[own], 0, BENCH_AT_MOST);
    }
}

/* ---- main ---- */

static int run_case(struct bench_run *r, const struct gather_case *c)
{
    struct progress *p = r->own;
    char read_case[32];
    const int64_t bytes = fit_bytes(&r->args, c);
    int code = 0;
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        for (size_t i = 0; code == 0 && i < N_ENGINES; i++)
            code = sample_engine(r, c, bytes, i, round >= 0);
    p->bytes[c - cases] = bytes;
    const json_int_t result_bytes = (json_int_t)part_bytes(r, bytes) * r->cores.n;
    snprintf(read_case, sizeof(read_case), "%s-read", c->name);
    bench_case_end(r->bench, c->name, json_pack("{sI}", "result_bytes", result_bytes));
    bench_case_end(r->bench, read_case, json_pack("{sI}", "result_bytes", result_bytes));
    judge_case(r, c);
    return code;
}

/* Without joblib in a smoke run: most of its time would be that of joblib's start. */
static int start_engines(struct bench_run *r, const char *const args[])
{
    int code = 0;
    if (!r->args.smoke)
        return bench_run_start(r, args);
    fprintf(stderr, "bench: skipped: joblib (a smoke run leaves it out)\n");
    for (int peer = 0; code >= 0 && peer < JOBLIB; peer++) {
        code = bench_run_start_peer(r, peer, args);
        if (code > 0 && peer <= ISOLATED)
            return -1;
    }
    return code < 0 ? code : 0;
}

static int measure(struct bench_run *r)
{
    char workers[16];
    struct progress progress = {.value = 1};
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    r->own = &progress;
    int code = start_engines(r, (const char *const[]){workers, NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++)
        if (bench_wants(&r->args, cases[i].name, cases[i].in_quick, cases[i].in_smoke))
            code = run_case(r, &cases[i]);
    if (code == 0 && r->args.n_wanted > 0)
        judge_all(r);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "gather",
        .question = "what does it take until a caller has what workers have made?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_gather_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
