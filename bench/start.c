/* SPDX-License-Identifier: MIT */
/*
 * start: what does it cost to have workers?
 *
 * Peers      multiprocessing.Pool (CPython) by the same three start methods. OCaml's parmap has no engine yet.
 * Unit       ns per start, wall time of the caller.
 * Method     A start is the time from nothing back to nothing: a pool of P workers is opened, P trivial items are
 *            mapped, the pool is destroyed; in Python Pool(P), map(range(P)), terminate(), join(). Every result is
 *            checked. A sample is the mean of up to 10 starts (20 ms of them, but one at least).
 *            The programs that start pools are processes of their own: one of forkmap for all its methods, whose
 *            forkserver was started before anything else; one of Python, likewise; and one more of forkmap that never
 *            has any heap. Samples alternate between all methods of all of them, round after round, and only one
 *            program is not stopped at any time.
 *            The program without a heap ("-no-heap") is measured beside the others in the cases with much memory, so
 *            that a ratio of much to none is one of samples taken at the same time.
 *            A heap is anonymous private memory in small pages, all touched, so that its page tables are there. It is
 *            made before the first sample of a case and freed after the last. Python's is a private mmap.mmap. With
 *            forkserver and spawn it lies in the program only. Arrays lie in forkmap's shared heap, and only there.
 * Cases      empty: P workers, no heap. 2-workers: the same with 2. heap: 1 GiB of heap. big-heap: 8 GiB. big-arrays:
 *            8 GiB of arrays, no heap. --quick takes a quarter of these sizes. A size that would leave less than 3 GiB
 *            of memory to the machine is halved until it fits, and that is told. The verdicts, and "heap_bytes" and
 *            "array_bytes" of the JSON lines, say which size it was.
 * Warm-up    2 rounds thrown away; one start before the timed ones in each sample, since a program that was stopped
 *            has cold caches.
 * Verdicts   2 workers by fork: 1 ms. 8 GiB of arrays, and of heap by forkserver: 1.2 of none. Beside Python: 1, and by fork
 *            with a heap (P + 1) / P, since the warden has a copy of the page tables, too: it is what dead workers are
 *            replaced from.
 * Statistic  median, p10, p90 of 31 samples (all of them are in the output); ratios are of medians.
 */
#include "start.h"

#include "suite.h"

#include <forkmap/forkmap.h>
#include <forkmap/process.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB           ((int64_t)1 << 30)
#define MARGIN_BYTES  (3 * GIB) /* for everything else on the machine */
#define QUICK_DIVISOR 4         /* of the sizes */
#define SMOKE_DIVISOR 128
#define MAX_STARTS    10
#define MAX_NS        INT64_C(20000000)

/* ---- who is measured ---- */

enum { FORKMAP, NO_HEAP, MP_POOL, N_PEERS };

static const struct bench_peer peers[N_PEERS] = {
    [FORKMAP] = {"forkmap", BENCH_OWN, NULL},
    [NO_HEAP] = {"forkmap-no-heap", BENCH_OWN, NULL},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_start.py"},
};

static const struct {
    const char *name, *method;
    int peer;
} engines[] = {
    {"forkmap-fork", "fork", FORKMAP},
    {"forkmap-fork-no-heap", "fork", NO_HEAP},
    {"mp.Pool-fork", "fork", MP_POOL},
    {"forkmap-forkserver", "forkserver", FORKMAP},
    {"forkmap-forkserver-no-heap", "forkserver", NO_HEAP},
    {"mp.Pool-forkserver", "forkserver", MP_POOL},
    {"forkmap-spawn", "spawn", FORKMAP},
    {"mp.Pool-spawn", "spawn", MP_POOL},
};
#define N_ENGINES (sizeof(engines) / sizeof(engines[0]))

struct start_case {
    const char *name;
    int workers; /* 0: one per core */
    int64_t heap_bytes, array_bytes;
    int in_quick;
};

static const struct start_case cases[] = {
    {"empty", 0, 0, 0, 1},          {"2-workers", 2, 0, 0, 1},        {"heap", 0, 1 * GIB, 0, 0},
    {"big-heap", 0, 8 * GIB, 0, 1}, {"big-arrays", 0, 0, 8 * GIB, 1},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* ---- memory ---- */

struct size_text {
    char text[32];
};

static struct size_text format_bytes(int64_t bytes)
{
    struct size_text t;
    if (bytes % GIB == 0)
        snprintf(t.text, sizeof(t.text), "%" PRId64 " GiB", bytes / GIB);
    else
        snprintf(t.text, sizeof(t.text), "%" PRId64 " MiB", bytes >> 20);
    return t;
}

/* Half of it, or a quarter ..., until n of them leave the margin. */
static int64_t fit_bytes(const char *case_name, int64_t wanted_bytes, int n)
{
    const int64_t left_bytes = fm_memory_left();
    int64_t bytes = wanted_bytes;
    while (bytes > 1 << 20 && bytes > (left_bytes - MARGIN_BYTES) / n)
        bytes /= 2;
    if (bytes < wanted_bytes)
        fprintf(stderr,
                "bench: start: %s with %s instead of %s: only %.1f GiB of memory are left\n",
                case_name, format_bytes(bytes).text, format_bytes(wanted_bytes).text,
                (double)left_bytes / (double)GIB);
    return bytes;
}

/* What the case is on this machine. */
static struct start_case fit_case(const struct bench_run *r, const struct start_case *wanted)
{
    struct start_case c = *wanted;
    const int64_t divisor = r->args.smoke ? SMOKE_DIVISOR : r->args.quick ? QUICK_DIVISOR : 1;
    if (c.workers == 0)
        c.workers = r->cores.n;
    if (c.heap_bytes > 0)
        c.heap_bytes = fit_bytes(c.name, c.heap_bytes / divisor, 2); /* forkmap's and Python's */
    if (c.array_bytes > 0)
        c.array_bytes = fit_bytes(c.name, c.array_bytes / divisor, 1);
    return c;
}

static int set_memory(struct bench_run *r, int peer, const char *what, int64_t bytes)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    snprintf(command, sizeof(command), "%s %" PRId64, what, bytes);
    return r->running[peer].pid == 0 ? 0 : bench_engine_ask(&r->running[peer], command, answer);
}

static int set_memory_of_all(struct bench_run *r, int64_t heap_bytes, int64_t array_bytes)
{
    int code = set_memory(r, FORKMAP, "heap", heap_bytes);
    if (code == 0)
        code = set_memory(r, FORKMAP, "arrays", array_bytes);
    return code == 0 ? set_memory(r, MP_POOL, "heap", heap_bytes) : code;
}

/* ---- sampling ---- */

static int is_wanted(const struct bench_run *r, const struct start_case *c, size_t e)
{
    if (r->running[engines[e].peer].pid == 0)
        return 0; /* missing */
    if (engines[e].peer == NO_HEAP)
        return c->heap_bytes > 0 || c->array_bytes > 0;
    return engines[e].peer != MP_POOL || c->array_bytes == 0;
}

static int sample_engine(struct bench_run *r, const struct start_case *c, size_t e, int keep)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    if (!is_wanted(r, c, e))
        return 0;
    snprintf(command, sizeof(command), "start %s %d %d %" PRId64, engines[e].method, c->workers,
             r->args.smoke ? 1 : MAX_STARTS, MAX_NS);
    const int code = bench_engine_ask(&r->running[engines[e].peer], command, answer);
    if (code == 0 && keep)
        bench_record(r->bench, c->name, engines[e].name, "ns", strtod(answer, NULL));
    return code;
}

/* ---- verdicts ---- */

/* over/under of one case; `what` says more than their names. */
static void judge_ratio(struct bench *b, const struct start_case *c, const char *what,
                        const char *over, const char *under, double target)
{
    bench_judge(b, c->name, what, bench_median(b, c->name, over) / bench_median(b, c->name, under),
                target, BENCH_AT_MOST);
}

static void judge_memory(struct bench *b, const struct start_case *c)
{
    char what[96];
    snprintf(what, sizeof(what), "forkmap-fork, %s of arrays/none",
             format_bytes(c->array_bytes).text);
    if (c->array_bytes > 0)
        judge_ratio(b, c, what, "forkmap-fork", "forkmap-fork-no-heap", 1.2);
    snprintf(what, sizeof(what), "forkmap-forkserver, %s heap/none",
             format_bytes(c->heap_bytes).text);
    if (strcmp(c->name, "big-heap") == 0)
        judge_ratio(b, c, what, "forkmap-forkserver", "forkmap-forkserver-no-heap", 1.2);
}

/* A pool copies the page tables of a heap once for its warden and once for each worker, Python once for each worker. */
static double fork_copies(const struct start_case *c)
{
    return c->heap_bytes == 0 ? 1 : (double)(c->workers + 1) / c->workers;
}

static void judge_case(struct bench *b, const struct start_case *c)
{
    if (strcmp(c->name, "2-workers") == 0)
        bench_judge(b, c->name, "forkmap-fork [ns]", bench_median(b, c->name, "forkmap-fork"), 1e6,
                    BENCH_AT_MOST);
    judge_memory(b, c);
    bench_compare(b, c->name, "forkmap-fork", "mp.Pool-fork", fork_copies(c), BENCH_AT_MOST);
    bench_compare(b, c->name, "forkmap-forkserver", "mp.Pool-forkserver", 1, BENCH_AT_MOST);
    bench_compare(b, c->name, "forkmap-spawn", "mp.Pool-spawn", 1, BENCH_AT_MOST);
}

/* ---- main ---- */

static int run_case(struct bench_run *r, const struct start_case *wanted)
{
    const struct start_case c = fit_case(r, wanted);
    int code = set_memory_of_all(r, c.heap_bytes, c.array_bytes);
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        for (size_t e = 0; code == 0 && e < N_ENGINES; e++)
            code = sample_engine(r, &c, e, round >= 0);
    if (code == 0)
        code = set_memory_of_all(r, 0, 0);
    bench_case_end(r->bench, c.name,
                   json_pack("{si sI sI}", "workers", c.workers, "heap_bytes",
                             (json_int_t)c.heap_bytes, "array_bytes", (json_int_t)c.array_bytes));
    judge_case(r->bench, &c);
    return code;
}

static int measure(struct bench_run *r)
{
    fprintf(stderr, "bench: skipped: parmap (it has no engine yet)\n");
    int code = bench_run_start(r, (const char *const[]){NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++)
        if (bench_wants(&r->args, cases[i].name, cases[i].in_quick, 1))
            code = run_case(r, &cases[i]);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "start",
        .question = "what does it cost to have workers?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_start_run_engine,
        .measure = measure,
    };
    if (fm_init(argc, argv) != 0) /* a worker that was spawned goes no further */
        return 3;
    return bench_suite_main(&suite, argc, argv);
}
