/* SPDX-License-Identifier: MIT */
/*
 * queue: what does a message from process to process cost?
 *
 * Peers      multiprocessing.Queue; POSIX message queues (10 messages of at most 8 KiB, as systems come); a pipe; a Unix socket
 *            (SOCK_SEQPACKET). forkmap by put and get, which copy twice, and by loan: reserve, commit, borrow, release.
 * Unit       ns of wall time per message, from the start of the writers to the end of the last reader; of a round trip, ns per trip.
 * Method     Every engine is a process of its own, which forks writers and readers for each sample; samples alternate, and only
 *            one engine is not stopped at any time. Nothing is bound. forkmap's queues hold 1,024 messages, 4 if they are longer than 4 KiB.
 *            A trip is "hot" if it follows the last one at once, "blocked" if the one who asks sleeps for 200 us before.
 * Cases      1:1, 1:2, 2:2 writers and readers; 8 B, 64 B, 4 KiB, 1 MiB, 4 MiB, 16 MiB.
 *            Messages over 4 KiB go by neither message queue nor socket, and by a pipe only if there is one reader.
 * Warm-up    2 rounds thrown away; 100 trips in each sample of trips.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "queue.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SMOKE_DIVISOR 100

enum { COPY, LOAN, MQ, PIPE, SOCKET, MP, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [COPY] = {"forkmap", BENCH_OWN, NULL},       [LOAN] = {"forkmap-loan", BENCH_OWN, NULL},
    [MQ] = {"posix-mq", BENCH_OWN, NULL},        [PIPE] = {"pipe", BENCH_OWN, NULL},
    [SOCKET] = {"unix-socket", BENCH_OWN, NULL}, [MP] = {"mp.Queue", BENCH_PYTHON, "mp_queue.py"},
};

static const struct queue_case {
    const char *name;
    int writers, readers; /* 0: trips */
    int64_t bytes, n, n_slow, gap_ns;
    int in_quick;
} cases[] = {
    {"1:1-8B", 1, 1, 8, 400000, 20000, 0, 1},      {"1:2-8B", 1, 2, 8, 400000, 20000, 0, 0},
    {"2:2-8B", 2, 2, 8, 400000, 20000, 0, 1},      {"1:1-64B", 1, 1, 64, 400000, 20000, 0, 0},
    {"2:2-64B", 2, 2, 64, 400000, 20000, 0, 0},    {"1:1-4KiB", 1, 1, 4096, 100000, 10000, 0, 0},
    {"2:2-4KiB", 2, 2, 4096, 100000, 10000, 0, 0}, {"1:1-1MiB", 1, 1, 1 << 20, 400, 100, 0, 0},
    {"1:1-4MiB", 1, 1, 4 << 20, 200, 100, 0, 1},   {"1:1-16MiB", 1, 1, 16 << 20, 100, 100, 0, 0},
    {"trip-hot", 0, 0, 8, 20000, 2000, 0, 1},      {"trip-blocked", 0, 0, 8, 500, 500, 200000, 1},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    const struct queue_case *c = self;
    int64_t n = peer == COPY || peer == LOAN ? c->n : c->n_slow;
    if (c->bytes > 4096 && (peer == MQ || peer == SOCKET || (peer == PIPE && c->readers > 1)))
        return 1;
    n = r->args.smoke ? (n + SMOKE_DIVISOR - 1) / SMOKE_DIVISOR * 2 : n;
    if (c->writers == 0)
        snprintf(command, BENCH_LINE, "trip %" PRId64 " %" PRId64 " %" PRId64, c->bytes, n,
                 c->gap_ns);
    else
        snprintf(command, BENCH_LINE, "run %d %d %" PRId64 " %" PRId64, c->writers, c->readers,
                 c->bytes, n);
    return 0;
}

static void judge(struct bench_run *r)
{
    struct bench *b = r->bench;
    bench_compare(b, "1:1-8B", peers[MP].name, peers[COPY].name, 50, BENCH_AT_LEAST);
    bench_compare(b, "1:1-8B", peers[MQ].name, peers[COPY].name, 10, BENCH_AT_LEAST);
    bench_judge(b, "trip-hot", "forkmap [ns]", bench_median(b, "trip-hot", peers[COPY].name), 400,
                BENCH_AT_MOST);
    bench_compare(b, "trip-blocked", peers[COPY].name, peers[PIPE].name, 1, BENCH_AT_MOST);
    bench_judge(b, "1:1-4MiB", "forkmap-loan [ns]", bench_median(b, "1:1-4MiB", peers[LOAN].name),
                2000, BENCH_AT_MOST);
}

static int measure(struct bench_run *r)
{
    int code = bench_run_start(r, (const char *const[]){NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++) {
        const struct queue_case *c = &cases[i];
        if (!bench_wants(&r->args, c->name, c->in_quick, c->in_quick))
            continue;
        code = bench_run_case(r, c->name, "ns", write_command, c,
                              json_pack("{sI sI sI}", "bytes", (json_int_t)c->bytes, "messages",
                                        (json_int_t)c->n, "messages_slow", (json_int_t)c->n_slow));
    }
    if (code == 0)
        judge(r);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "queue",
        .question = "what does a message from process to process cost?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_queue_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
