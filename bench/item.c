/* SPDX-License-Identifier: MIT */
/*
 * item: what does a map add to each of very many items?
 *
 * Peers      libgomp (schedule static, bound to cores): a loop that calls the same item function through a pointer,
 *            and for chunks each thread's share by the same kernel object (libgomp), and a loop whose body
 *            is in the compiler's sight (libgomp-inlined). multiprocessing.Pool.map over a list of int, default chunk,
 *            and OCaml's Parmap.array_float_parmap over floats.
 * Unit       ns of wall time per item: the time of one map by its number of items. mp.Pool gets a hundredth of forkmap's
 *            items and parmap a tenth, because theirs are slow; their times are scaled to one item like the others, and
 *            the numbers are in the output.
 * Method     Every engine is a process of its own; samples alternate, one map of each engine per round, and only one
 *            engine is not stopped at any time. 10^8 items (a quick run: 10^7) of one multiply and one add. Input and output
 *            lie in the shared heap for forkmap and libgomp. forkmap runs with default options. After each map every
 *            row of the output is compared with what it must be; each map has another value to add.
 * Cases      item: fm_pool_map, a row of 4 bytes to a row of 4 bytes. item-range: fm_pool_map_range, a number to a
 *            row. chunk: fm_pool_map_range_chunks over the arrays of `item`.
 * Warm-up    2 rounds thrown away; in each sample one map of 10^6 items (10^2 of mp.Pool) before the one that counts.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "item.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#ifndef BENCH_PARMAP
#define BENCH_PARMAP "parmap_item"
#endif

#define MANY_ITEMS     100000000
#define QUICK_ITEMS    10000000
#define SMOKE_ITEMS    20000
#define MP_DIVISOR     100 /* mp.Pool gets a hundredth */
#define PARMAP_DIVISOR 10
#define ROW_BYTES      8 /* of input and output together */
#define N_WITH_ARRAYS  4

enum { CALLER, ISOLATED, GOMP, GOMP_INLINED, MP_POOL, PARMAP, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [GOMP] = {"libgomp", BENCH_OPENMP, "active"},
    [GOMP_INLINED] = {"libgomp-inlined", BENCH_OPENMP, "active"},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_pool.py"},
    [PARMAP] = {"parmap", BENCH_PROGRAM, BENCH_PARMAP},
};

struct item_case {
    const char *name;
    int64_t n_items;
};

static const char *const case_names[] = {"item", "item-range", "chunk"};
#define N_CASES (sizeof(case_names) / sizeof(case_names[0]))

/* ---- sampling ---- */

static int64_t count_items(const struct item_case *c, int peer)
{
    return peer == MP_POOL  ? c->n_items / MP_DIVISOR
           : peer == PARMAP ? c->n_items / PARMAP_DIVISOR
                            : c->n_items;
}

static int takes_part(const struct item_case *c, int peer)
{
    if (peer == MP_POOL || peer == PARMAP)
        return strcmp(c->name, "item") == 0;
    return peer != GOMP_INLINED || strcmp(c->name, "chunk") == 0;
}

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    const struct item_case *c = self;
    (void)r;
    snprintf(command, BENCH_LINE, "run %s %" PRId64, c->name, count_items(c, peer));
    return takes_part(c, peer) ? 0 : 1;
}

/* ---- verdicts ---- */

static void judge_case(struct bench *b, const char *case_name)
{
    static const char *const own[] = {"forkmap-caller", "forkmap-isolated"};
    const int is_chunk = strcmp(case_name, "chunk") == 0;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        bench_compare(b, case_name, own[i], "libgomp", is_chunk ? 1.01 : 1.05, BENCH_AT_MOST);
        bench_compare(b, case_name, own[i], "libgomp-inlined", 1.01, BENCH_AT_MOST);
        bench_compare(b, case_name, "mp.Pool", own[i], 100, BENCH_AT_LEAST);
    }
}

/* ---- main ---- */

/* Half of them, or a quarter ..., until the arrays of all engines take no more than half of the memory that is left. */
static int64_t fit_items(const struct bench_args *args)
{
    const int64_t wanted = args->smoke ? SMOKE_ITEMS : args->quick ? QUICK_ITEMS : MANY_ITEMS;
    int64_t n = wanted;
    while (n > SMOKE_ITEMS && n * ROW_BYTES * N_WITH_ARRAYS > fm_memory_left() / 2)
        n /= 2;
    if (n < wanted)
        fprintf(stderr, "bench: item: %" PRId64 " items instead of %" PRId64 ": no more memory\n",
                n, wanted);
    return n;
}

static int measure(struct bench_run *r)
{
    char workers[16], items[24];
    const int64_t n_items = fit_items(&r->args);
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    snprintf(items, sizeof(items), "%" PRId64, n_items);
    int code = bench_run_start(r, (const char *const[]){workers, items, NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++) {
        const struct item_case c = {case_names[i], n_items};
        if (!bench_wants(&r->args, c.name, 1, 1))
            continue;
        code = bench_run_case(r, c.name, "ns", write_command, &c,
                              json_pack("{sI sI sI}", "items", (json_int_t)n_items, "items_mp",
                                        (json_int_t)count_items(&c, MP_POOL), "items_parmap",
                                        (json_int_t)count_items(&c, PARMAP)));
        judge_case(r->bench, c.name);
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "item",
        .question = "what does a map add to each of very many items?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_item_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
