/* SPDX-License-Identifier: MIT */
/*
 * queue: what does a message from process to process cost?
 *
 * Peers      multiprocessing.Queue; POSIX message queues (10 messages of at most 8 KiB, as systems come); Boost.Interprocess
 *            message_queue; a pipe; a Unix socket (SOCK_SEQPACKET). forkmap by put and get, which copy twice, and by loan: reserve,
 *            commit, borrow, release.
 * Floors     line, futex (queue_floor.c): what two processes take without any queue, on bare cache lines, which are bound, and with
 *            bare futex calls. The way from core to core may change from minute to minute, and with it all that is hot: so forkmap/line
 *            says more than ns. It has no target.
 * Unit       ns of wall time per message, from the start of the writers to the end of the last reader; of a round trip, ns per trip.
 * Method     Every engine is a process of its own, which forks writers and readers for each sample; samples alternate, and only
 *            one engine is not stopped at any time. Writers and readers are bound to the cores in turn (Python's are not). forkmap's and Boost's queues hold 1,024 messages, 4 if they are
 *            longer than 4 KiB. A sample takes some 50 ms.
 *            A trip is "hot" if it follows the last one at once, "blocked" if the one who asks sleeps for 200 us before. Its two processes are
 *            bound to a core each; "free" ones go where the kernel puts them, which for a pipe is one core for both.
 * Cases      1:1, 1:2, 2:2 writers and readers; 8 B, 64 B, 4 KiB, 1 MiB, 16 MiB; 1:1 of 4 MiB.
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

enum { COPY, LOAN, LINE, FUTEX, MQ, BOOST, PIPE, SOCKET, MP, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [COPY] = {"forkmap", BENCH_OWN, NULL},
    [LOAN] = {"forkmap-loan", BENCH_OWN, NULL},
    [LINE] = {"line", BENCH_OWN, NULL},
    [FUTEX] = {"futex", BENCH_OWN, NULL},
    [MQ] = {"posix-mq", BENCH_OWN, NULL},
    [BOOST] = {"boost-mq", BENCH_OWN, NULL},
    [PIPE] = {"pipe", BENCH_OWN, NULL},
    [SOCKET] = {"unix-socket", BENCH_OWN, NULL},
    [MP] = {"mp.Queue", BENCH_PYTHON, "mp_queue.py"},
};

enum { IN_QUICK = 1, IS_FREE = 2 /* its processes are not bound */ };
static const struct queue_case {
    const char *name;
    int writers, readers; /* 0: trips */
    int64_t bytes;
    /* How many: by put and get, and of floors; by loan; of Boost; of others. */
    int64_t n, n_loan, n_boost, n_slow;
    int64_t gap_ns;
    int flags;
} cases[] = {
    {"1:1-8B", 1, 1, 8, 400000, 40000, 100000, 6000, 0, IN_QUICK},
    {"1:2-8B", 1, 2, 8, 400000, 40000, 100000, 6000, 0, 0},
    {"2:2-8B", 2, 2, 8, 400000, 40000, 100000, 6000, 0, IN_QUICK},
    {"1:1-64B", 1, 1, 64, 200000, 40000, 100000, 6000, 0, 0},
    {"1:2-64B", 1, 2, 64, 200000, 40000, 100000, 6000, 0, 0},
    {"2:2-64B", 2, 2, 64, 200000, 40000, 100000, 6000, 0, 0},
    {"1:1-4KiB", 1, 1, 4096, 40000, 40000, 20000, 4000, 0, 0},
    {"1:2-4KiB", 1, 2, 4096, 40000, 40000, 20000, 4000, 0, 0},
    {"2:2-4KiB", 2, 2, 4096, 40000, 40000, 20000, 4000, 0, 0},
    {"1:1-1MiB", 1, 1, 1 << 20, 100, 10000, 40, 20, 0, 0},
    {"1:2-1MiB", 1, 2, 1 << 20, 100, 10000, 40, 20, 0, 0},
    {"2:2-1MiB", 2, 2, 1 << 20, 100, 10000, 40, 20, 0, 0},
    {"1:1-4MiB", 1, 1, 4 << 20, 40, 10000, 20, 8, 0, IN_QUICK},
    {"1:1-16MiB", 1, 1, 16 << 20, 4, 10000, 4, 2, 0, 0},
    {"1:2-16MiB", 1, 2, 16 << 20, 4, 10000, 4, 2, 0, 0},
    {"2:2-16MiB", 2, 2, 16 << 20, 4, 10000, 4, 2, 0, 0},
    {"trip-hot", 0, 0, 8, 20000, 20000, 2000, 2000, 0, IN_QUICK},
    {"trip-blocked", 0, 0, 8, 100, 100, 100, 100, 200000, IN_QUICK},
    {"trip-blocked-free", 0, 0, 8, 100, 100, 100, 100, 200000, IN_QUICK | IS_FREE},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static int takes_part(int peer, const struct queue_case *c)
{
    if (peer == LINE)
        return c->gap_ns == 0 && c->bytes == 8 && c->writers < 2 && c->readers < 2;
    if (peer == FUTEX)
        return c->gap_ns > 0;
    if (c->bytes > 4096)
        return peer != MQ && peer != SOCKET && (peer != PIPE || c->readers == 1);
    return 1;
}

static int64_t messages_for(int peer, const struct queue_case *c)
{
    if (peer == LOAN)
        return c->n_loan;
    if (peer == BOOST)
        return c->n_boost;
    return peer == COPY || peer == LINE || peer == FUTEX ? c->n : c->n_slow;
}

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    const struct queue_case *c = self;
    int64_t n = messages_for(peer, c);
    if (!takes_part(peer, c))
        return 1;
    n = r->args.smoke ? (n + SMOKE_DIVISOR - 1) / SMOKE_DIVISOR * 2 : n;
    if (c->writers == 0)
        snprintf(command, BENCH_LINE, "trip %" PRId64 " %" PRId64 " %" PRId64 " %d", c->bytes, n,
                 c->gap_ns, (c->flags & IS_FREE) == 0);
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
    bench_relate(b, "1:1-8B", peers[BOOST].name, peers[COPY].name);
    bench_relate(b, "1:1-8B", peers[COPY].name, peers[LINE].name);
    bench_relate(b, "trip-hot", peers[COPY].name, peers[LINE].name);
    bench_relate(b, "trip-blocked", peers[COPY].name, peers[FUTEX].name);
    bench_relate(b, "trip-blocked-free", peers[COPY].name, peers[PIPE].name);
    bench_relate(b, "trip-blocked-free", peers[COPY].name, peers[FUTEX].name);
}

static json_t *describe_case(const struct queue_case *c)
{
    return json_pack("{sI sI sI sI sI}", "bytes", (json_int_t)c->bytes, "messages",
                     (json_int_t)c->n, "messages_loan", (json_int_t)c->n_loan, "messages_boost",
                     (json_int_t)c->n_boost, "messages_slow", (json_int_t)c->n_slow);
}

static int measure(struct bench_run *r)
{
    int code = bench_run_start(r, (const char *const[]){NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++) {
        const struct queue_case *c = &cases[i];
        if (!bench_wants(&r->args, c->name, c->flags & IN_QUICK, c->flags & IN_QUICK))
            continue;
        code = bench_run_case(r, c->name, "ns", write_command, c, describe_case(c));
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
