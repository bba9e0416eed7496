/* SPDX-License-Identifier: MIT */
/*
 * stream: what does an item cost whose result is taken while the others are computed?
 *
 * Peers      multiprocessing.Pool.imap and imap_unordered, with the default chunk of one item (mp.imap) and with chunks of 100
 *            (mp.imap-100, results of 64 B), which its documentation recommends for long inputs.
 * Unit       ns of wall time per item: from the opening of a stream to its end, by the number of its items.
 * Method     Every engine is a process of its own; samples alternate, one stream of each engine per round, and only
 *            one engine is not stopped at any time. The items are numbers of a range; the function writes all bytes of its
 *            result (Python: makes a bytes object of that length); the consumer looks at its first words, in order or as they come, and
 *            checks that each item came once. forkmap runs with default options. Python's streams have fewer items,
 *            because theirs are slow; the numbers are in the output.
 * Cases      imap-* in order, unord-* as they come; results of 64 B, 4 KiB, 1 MiB.
 *            copies: how many results the consumer did not find at the address where the function wrote them, both
 *            orders and all sizes, per item.
 * Warm-up    2 rounds thrown away; in each sample a stream of 16 items before the one that counts.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "stream.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SMOKE_DIVISOR 20

enum { CALLER, ISOLATED, MP_IMAP, MP_IMAP_100, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [MP_IMAP] = {"mp.imap", BENCH_PYTHON, "mp_pool.py"},
    [MP_IMAP_100] = {"mp.imap-100", BENCH_PYTHON, "mp_pool.py"},
};

static const struct stream_case {
    const char *name, *order;
    int64_t result_bytes, n_items, n_items_mp;
    int in_quick;
} cases[] = {
    {"imap-64B", "ordered", 64, 200000, 2000, 1},
    {"imap-4KiB", "ordered", 4096, 50000, 2000, 1},
    {"imap-1MiB", "ordered", 1 << 20, 400, 20, 1},
    {"unord-64B", "unordered", 64, 200000, 2000, 1},
    {"unord-4KiB", "unordered", 4096, 50000, 2000, 0},
    {"unord-1MiB", "unordered", 1 << 20, 400, 20, 0},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* ---- sampling ---- */

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    const struct stream_case *c = self;
    const int64_t n = peer == CALLER || peer == ISOLATED ? c->n_items : c->n_items_mp;
    if (peer == MP_IMAP_100 && c->result_bytes > 64)
        return 1; /* chunks are for items that are small */
    snprintf(command, BENCH_LINE, "run %s %" PRId64 " %" PRId64, c->order, c->result_bytes,
             r->args.smoke ? n / SMOKE_DIVISOR : n);
    return 0;
}

static int ask_copies(struct bench_run *r, const struct stream_case *c, int peer, double *n_copied,
                      int64_t *n_items)
{
    char command[BENCH_LINE], answer[BENCH_LINE];
    const int64_t n = c->n_items_mp; /* enough to see it */
    snprintf(command, sizeof(command), "copies %s %" PRId64 " %" PRId64, c->order, c->result_bytes,
             n);
    const int code = bench_engine_ask(&r->running[peer], command, answer);
    if (code == 0) {
        *n_copied += strtod(answer, NULL);
        *n_items += n;
    }
    return code;
}

/* One sample, the same each time: it is a count. */
static int run_copies(struct bench_run *r)
{
    int code = 0;
    for (int peer = CALLER; code == 0 && peer <= ISOLATED; peer++) {
        double n_copied = 0;
        int64_t n_items = 0;
        for (size_t i = 0; code == 0 && i < N_CASES; i++)
            code = ask_copies(r, &cases[i], peer, &n_copied, &n_items);
        if (code == 0)
            bench_record(r->bench, "copies", peers[peer].name, "copies per item",
                         n_copied / (double)n_items);
    }
    bench_case_end(r->bench, "copies", NULL);
    return code;
}

/* ---- verdicts ---- */

static void judge_case(const struct bench_run *r, const struct stream_case *c)
{
    for (int peer = CALLER; peer <= ISOLATED && c->result_bytes == 64; peer++)
        bench_compare(r->bench, c->name, peers[MP_IMAP].name, peers[peer].name, 100,
                      BENCH_AT_LEAST);
}

static void judge_copies(const struct bench_run *r)
{
    char what[64];
    for (int peer = CALLER; peer <= ISOLATED; peer++) {
        snprintf(what, sizeof(what), "%s [copies per item]", peers[peer].name);
        bench_judge(r->bench, "copies", what, bench_median(r->bench, "copies", peers[peer].name), 0,
                    BENCH_AT_MOST);
    }
}

/* ---- main ---- */

static int measure(struct bench_run *r)
{
    char workers[16];
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    int code = bench_run_start(r, (const char *const[]){workers, NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++) {
        const struct stream_case *c = &cases[i];
        if (!bench_wants(&r->args, c->name, c->in_quick, c->in_quick))
            continue;
        code = bench_run_case(r, c->name, "ns", write_command, c,
                              json_pack("{sI sI sI}", "result_bytes", (json_int_t)c->result_bytes,
                                        "items", (json_int_t)c->n_items, "items_mp",
                                        (json_int_t)c->n_items_mp));
        judge_case(r, c);
    }
    if (code == 0 && bench_wants(&r->args, "copies", 1, 1)) {
        code = run_copies(r);
        judge_copies(r);
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "stream",
        .question = "what does an item cost whose result is taken while others are computed?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_stream_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
