/* SPDX-License-Identifier: MIT */
/*
 * triad: how much of the memory's bandwidth does a map have, and what does new memory cost?
 *
 * Peers      libgomp as in STREAM: private arrays, each thread's share touched by that thread first, schedule static, bound to cores
 *            (libgomp). The same arrays with MADV_HUGEPAGE (libgomp-huge), since forkmap's lie on huge pages without being asked.
 * Unit       GB (10^9 bytes) per second of wall time, as the caller sees it. Of triad as STREAM counts them: 24 bytes an element, though a
 *            processor may read a line before it writes it. Of touch: the bytes of the array.
 * Method     Every engine is a process of its own; samples alternate, and only one engine is not stopped at any time. The
 *            same object code, fmk_triad_range and bench_fill_kernel, runs in all. forkmap runs with default options, its arrays
 *            lie in the shared heap. In each sample of triad s is another number, and after it every 997th element and the last are
 *            compared with what they must be, bit for bit.
 *            touch: from nothing to an array of which each byte was written, by all workers; forkmap's fm_array_create() and a map, mmap and a
 *            loop of libgomp. Each sample has a new program, which has had no such array before: neither forkmap's heap nor the C
 *            library gives all memory back.
 * Cases      triad: a = b + s c over three arrays of 512 MiB of doubles. touch: 1 GiB. --quick takes a quarter of these sizes. A
 *            size that would leave less than 3 GiB of memory to the machine is halved until it fits, and that is told;
 *            "array_bytes" of the JSON lines says which size it was.
 * Warm-up    2 rounds thrown away; in each sample of triad one pass before the one that counts, in each of touch a map of a
 *            page a worker.
 * Verdicts   the bandwidth of libgomp at least, and of libgomp-huge; the same for touch.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "triad_engines.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB           ((int64_t)1 << 20)
#define TRIAD_BYTES   (512 * MIB)
#define TOUCH_BYTES   (1024 * MIB)
#define MARGIN_BYTES  (3072 * MIB) /* for everything else on the machine */
#define QUICK_DIVISOR 4
#define SMOKE_DIVISOR 128

enum { CALLER, ISOLATED, GOMP, GOMP_HUGE, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [GOMP] = {"libgomp", BENCH_OPENMP, "active"},
    [GOMP_HUGE] = {"libgomp-huge", BENCH_OPENMP, "active"},
};

/* Half of it, or a quarter ..., until n of them leave the margin. */
static int64_t fit_bytes(const struct bench_args *args, const char *case_name, int64_t full_bytes,
                         int n)
{
    const int64_t left_bytes = fm_memory_left();
    const int64_t wanted_bytes = full_bytes / (args->smoke   ? SMOKE_DIVISOR
                                               : args->quick ? QUICK_DIVISOR
                                                             : 1);
    int64_t bytes = wanted_bytes;
    while (bytes > MIB && bytes > (left_bytes - MARGIN_BYTES) / n)
        bytes /= 2;
    if (bytes < wanted_bytes)
        fprintf(stderr,
                "bench: triad: %s with arrays of %" PRId64 " MiB instead of %" PRId64
                ": only %" PRId64 " MiB of memory are left\n",
                case_name, bytes / MIB, wanted_bytes / MIB, left_bytes / MIB);
    return bytes;
}

static void judge_case(struct bench *b, const char *case_name)
{
    for (int own = CALLER; own <= ISOLATED; own++)
        for (int peer = GOMP; peer <= GOMP_HUGE; peer++)
            bench_compare(b, case_name, peers[own].name, peers[peer].name, 1, BENCH_AT_LEAST);
}

/* ---- triad ---- */

struct triad_case {
    int64_t bytes;
    int s; /* of the next sample */
};

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    struct triad_case *c = r->own;
    (void)self;
    (void)peer;
    snprintf(command, BENCH_LINE, "triad %" PRId64 " %d", c->bytes, c->s);
    c->s = c->s % 999 + 1;
    return 0;
}

static int run_triad(struct bench_run *r, const char *const args[])
{
    struct triad_case c = {fit_bytes(&r->args, "triad", TRIAD_BYTES, 3 * N_PEERS), 3};
    r->own = &c;
    int code = bench_run_start(r, args);
    if (code == 0)
        code = bench_run_case(r, "triad", "GB/s", write_command, NULL,
                              json_pack("{sI}", "array_bytes", (json_int_t)c.bytes));
    for (int peer = 0; peer < N_PEERS; peer++)
        bench_engine_end(&r->running[peer]);
    judge_case(r->bench, "triad");
    return code;
}

/* ---- touch ---- */

static int sample_touch(struct bench_run *r, const char *const args[], int64_t bytes, int peer,
                        int keep)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    snprintf(command, sizeof(command), "touch %" PRId64, bytes);
    int code = bench_run_start_peer(r, peer, args);
    if (code == 0)
        code = bench_engine_ask(&r->running[peer], command, answer);
    if (code == 0 && keep)
        bench_record(r->bench, "touch", peers[peer].name, "GB/s", strtod(answer, NULL));
    bench_engine_end(&r->running[peer]);
    return code > 0 && peer >= GOMP ? 0 : code;
}

static int run_touch(struct bench_run *r, const char *const args[])
{
    const int64_t bytes = fit_bytes(&r->args, "touch", TOUCH_BYTES, 1);
    int code = 0;
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        for (int peer = 0; code == 0 && peer < N_PEERS; peer++)
            code = sample_touch(r, args, bytes, peer, round >= 0);
    bench_case_end(r->bench, "touch", json_pack("{sI}", "array_bytes", (json_int_t)bytes));
    judge_case(r->bench, "touch");
    return code;
}

/* ---- main ---- */

static int measure(struct bench_run *r)
{
    char workers[16];
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    const char *const args[] = {workers, NULL};
    int code = 0;
    if (bench_wants(&r->args, "triad", 1, 1))
        code = run_triad(r, args);
    if (code == 0 && bench_wants(&r->args, "touch", 1, 1))
        code = run_touch(r, args);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "triad",
        .question =
            "how much of the memory's bandwidth does a map have, and what does new memory cost?",
        .unit = "GB/s",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_triad_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
