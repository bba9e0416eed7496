/* SPDX-License-Identifier: MIT */
/*
 * memory: what do workers, and arrays that they share, take of the machine's memory?
 *
 * Peers      multiprocessing.Pool (start method fork), whose items are bytes objects of 1 MiB, and the threads of libgomp over plain
 *            private memory.
 * Unit       KiB of PSS, from /proc/PID/smaps_rollup: a process's private pages, and its share of those that it has in common with
 *            others. Page tables are no part of PSS; they are told beside it (tables).
 * Method     The program of each engine is a new one in each sample, since what a program once had it may keep; samples alternate
 *            between the engines, and there is only one program at any time. The driver reads what all of its processes
 *            have, from outside: when the program is ready, and again when it has a pool whose workers have done one trivial
 *            item each. All are stopped meanwhile.
 * Cases      worker: PSS of a worker process, the mean of P. (A thread has none.) added: what all processes of the program have more
 *            than before it opened a pool of P, by P: forkmap's warden is in it. added-32: the same with 32 workers. tables: page
 *            tables of a worker process. data: PSS of all processes, program and libraries included, after a map of 512 MiB to 512 MiB, by
 *            those 1024 MiB. data-tables: page tables of all processes then [KiB]. --quick takes a quarter of these sizes. A
 *            size that would leave less than 3 GiB of memory to the machine is halved until it fits, and that is told; the verdict, and
 *            "data_bytes" of the JSON lines, say which size it was.
 * Warm-up    2 rounds thrown away: files come into the page cache.
 * Verdicts   a worker 512 KiB; data 1.02 of their size.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "memory.h"

#include "pss.h"
#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB           ((int64_t)1 << 20)
#define DATA_BYTES    (1024 * MIB)
#define MARGIN_BYTES  (3072 * MIB) /* for everything else on the machine */
#define COPIES        3            /* that mp.Pool has of some of the data at some time */
#define QUICK_DIVISOR 4
#define SMOKE_DIVISOR 64
#define MANY_WORKERS  32

enum { FORKMAP, GOMP, MP_POOL, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [FORKMAP] = {"forkmap", BENCH_OWN, NULL},
    [GOMP] = {"libgomp", BENCH_OPENMP, "passive"},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_memory.py"},
};

struct reading {
    struct bench_pss before, after; /* all processes of the program */
    struct bench_pss workers;       /* after, its workers alone */
};

/* ---- samples ---- */

/* Begins a program, has it do one thing, reads what it has, ends it. Returns 0, 1: the peer is missing, < 0. */
static int read_program(struct bench_run *r, int peer, const char *command, struct reading *got)
{
    char cores[16], answer[BENCH_LINE];
    struct bench_engine *e = &r->running[peer];
    const pid_t nobody[2] = {0, 0};
    *got = (struct reading){.before = {.n = 0}};
    snprintf(cores, sizeof(cores), "%d", r->cores.n);
    int code = bench_run_start_peer(r, peer, (const char *const[]){cores, NULL});
    if (code != 0)
        return code > 0 && peer == FORKMAP ? -1 : code;
    code = bench_pss_add_group(e->pid, nobody, &got->before);
    if (code == 0)
        code = bench_engine_ask(e, command, answer);
    if (code == 0)
        code = bench_pss_add_group(e->pid, nobody, &got->after);
    if (code == 0) {
        const pid_t others[2] = {e->pid, atoi(answer)};
        code = bench_pss_add_group(e->pid, others, &got->workers);
    }
    bench_engine_end(e);
    return code;
}

static void record_pool(struct bench_run *r, int peer, int n_workers, const struct reading *got)
{
    const char *name = peers[peer].name;
    const double added_kib = got->after.kib - got->before.kib;
    if (n_workers == MANY_WORKERS) {
        bench_record(r->bench, "added-32", name, "KiB", added_kib / n_workers);
        return;
    }
    bench_record(r->bench, "added", name, "KiB", added_kib / n_workers);
    if (got->workers.n == 0)
        return; /* threads */
    bench_record(r->bench, "worker", name, "KiB", got->workers.kib / got->workers.n);
    bench_record(r->bench, "tables", name, "KiB", got->workers.tables_kib / got->workers.n);
}

/* Each of the n_workers must be there: a sum without one would be too good. */
static int sample_pool(struct bench_run *r, int peer, int n_workers, int keep)
{
    char command[BENCH_LINE];
    struct reading got;
    snprintf(command, sizeof(command), "open %d", n_workers);
    const int code = read_program(r, peer, command, &got);
    if (code == 0 && got.workers.n != (peer == GOMP ? 0 : n_workers)) {
        fprintf(stderr, "bench: memory: %s has %d workers instead of %d\n", peers[peer].name,
                got.workers.n, n_workers);
        return -1;
    }
    if (code == 0 && keep)
        record_pool(r, peer, n_workers, &got);
    return code < 0 ? code : 0;
}

static int sample_data(struct bench_run *r, int peer, int64_t data_bytes, int keep)
{
    char command[BENCH_LINE];
    struct reading got;
    snprintf(command, sizeof(command), "map %" PRId64, data_bytes);
    const int code = read_program(r, peer, command, &got);
    if (code == 0 && keep) {
        bench_record(r->bench, "data", peers[peer].name, "KiB", got.after.kib);
        bench_record(r->bench, "data-tables", peers[peer].name, "KiB", got.after.tables_kib);
    }
    return code < 0 ? code : 0;
}

/* ---- cases ---- */

static int run_pools(struct bench_run *r, int n_workers)
{
    int code = 0;
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        for (int peer = 0; code == 0 && peer < N_PEERS; peer++)
            code = sample_pool(r, peer, n_workers, round >= 0);
    return code;
}

static int run_own(struct bench_run *r)
{
    struct bench *b = r->bench;
    const int code = run_pools(r, r->cores.n);
    bench_case_end(b, "worker", json_pack("{si}", "workers", r->cores.n));
    bench_case_end(b, "tables", json_pack("{si}", "workers", r->cores.n));
    bench_case_end(b, "added", json_pack("{si}", "workers", r->cores.n));
    bench_judge(b, "worker", "forkmap [KiB]", bench_median(b, "worker", "forkmap"), 512,
                BENCH_AT_MOST);
    bench_relate(b, "worker", "forkmap", "mp.Pool");
    bench_relate(b, "added", "forkmap", "mp.Pool");
    bench_relate(b, "added", "forkmap", "libgomp");
    return code;
}

static int run_many(struct bench_run *r)
{
    struct bench *b = r->bench;
    const int code = run_pools(r, MANY_WORKERS);
    bench_case_end(b, "added-32", json_pack("{si}", "workers", MANY_WORKERS));
    bench_relate(b, "added-32", "forkmap", "mp.Pool");
    bench_relate(b, "added-32", "forkmap", "libgomp");
    return code;
}

/* Half of it, or a quarter ..., until all copies of it leave the margin. */
static int64_t fit_data(const struct bench_args *args)
{
    const int64_t left_bytes = fm_memory_left();
    const int64_t wanted_bytes = DATA_BYTES / (args->smoke   ? SMOKE_DIVISOR
                                               : args->quick ? QUICK_DIVISOR
                                                             : 1);
    int64_t bytes = wanted_bytes;
    while (bytes > 2 * MIB && bytes > (left_bytes - MARGIN_BYTES) / COPIES)
        bytes /= 2;
    if (bytes < wanted_bytes)
        fprintf(stderr,
                "bench: memory: %" PRId64 " MiB of data instead of %" PRId64 ": only %" PRId64
                " MiB of memory are left\n",
                bytes / MIB, wanted_bytes / MIB, left_bytes / MIB);
    return bytes;
}

static int run_data(struct bench_run *r)
{
    char what[64];
    struct bench *b = r->bench;
    const int64_t bytes = fit_data(&r->args);
    int code = 0;
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        for (int peer = 0; code == 0 && peer < N_PEERS; peer++)
            code = sample_data(r, peer, bytes, round >= 0);
    bench_case_end(b, "data", json_pack("{sI}", "data_bytes", (json_int_t)bytes));
    bench_case_end(b, "data-tables", json_pack("{sI}", "data_bytes", (json_int_t)bytes));
    for (int peer = 0; peer < N_PEERS; peer++) {
        const double share = bench_median(b, "data", peers[peer].name) * 1024 / (double)bytes;
        snprintf(what, sizeof(what), "%s, PSS/%" PRId64 " MiB", peers[peer].name, bytes / MIB);
        if (peer == FORKMAP)
            bench_judge(b, "data", what, share, 1.02, BENCH_AT_MOST);
        else
            bench_tell_value(b, "data", what, share);
    }
    return code;
}

/* ---- main ---- */

static int measure(struct bench_run *r)
{
    int code = 0;
    if (bench_wants(&r->args, "worker", 1, 1))
        code = run_own(r);
    if (code == 0 && bench_wants(&r->args, "added-32", 1, 0))
        code = run_many(r);
    if (code == 0 && bench_wants(&r->args, "data", 1, 1))
        code = run_data(r);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "memory",
        .question = "what do workers, and arrays that they share, take of the memory?",
        .unit = "KiB",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 1,
        .run_engine = bench_memory_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
