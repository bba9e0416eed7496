/* SPDX-License-Identifier: MIT */
/*
 * manager: what does an operation on a shared dict cost, which everybody finds by its name?
 *
 * Peers      multiprocessing.Manager().dict(); Redis by a Unix socket, with hiredis. forkmap four times: for processes of the family
 *            (forkmap) and for programs of this user that have mapped its heap (forkmap-host), who work on the dict itself; and by calls to its
 *            server, through a Unix socket (forkmap-path) and through TCP on this machine (forkmap-tcp).
 * Unit       ns of wall time per operation, from the moment at which all clients begin to that at which all have ended, by the operations of all.
 * Method     Every engine is a process of its own, which starts a server and forks clients for each sample, bound to the cores in turn; servers are not
 *            bound. Samples alternate, and only one engine is not stopped at any time, its server with it. Keys and values have 8 bytes; there are
 *            1,000 keys. Peers and calls do fewer operations, because theirs are slow.
 * Cases      get, set: one client. get-2, set-2: two at once.
 * Warm-up    2 rounds thrown away.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "manager.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>

#define SMOKE_DIVISOR 20

enum { FAMILY, HOST, PATH, TCP, REDIS, MP, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [FAMILY] = {"forkmap", BENCH_OWN, NULL},
    [HOST] = {"forkmap-host", BENCH_OWN, NULL},
    [PATH] = {"forkmap-path", BENCH_OWN, NULL},
    [TCP] = {"forkmap-tcp", BENCH_OWN, NULL},
    [REDIS] = {"redis", BENCH_OWN, NULL},
    [MP] = {"mp.Manager", BENCH_PYTHON, "mp_manager.py"},
};

static const struct manager_case {
    const char *name, *operation;
    int n_clients;
} cases[] = {{"get", "get", 1}, {"set", "set", 1}, {"get-2", "get", 2}, {"set-2", "set", 2}};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* Of each client; a sample takes some 50 ms. */
static int64_t operations_of(int peer)
{
    return peer == FAMILY || peer == HOST ? 1000000 : peer == MP ? 500 : 2000;
}

static int write_command(const struct bench_run *r, const void *self, int peer,
                         char command[BENCH_LINE])
{
    const struct manager_case *c = self;
    const int64_t n = operations_of(peer);
    snprintf(command, BENCH_LINE, "run %s %d %" PRId64, c->operation, c->n_clients,
             r->args.smoke ? n / SMOKE_DIVISOR : n);
    return 0;
}

static void judge_case(const struct bench_run *r, const struct manager_case *c)
{
    struct bench *b = r->bench;
    bench_compare(b, c->name, "mp.Manager", "forkmap", 50, BENCH_AT_LEAST);
    bench_compare(b, c->name, "redis", "forkmap", 5, BENCH_AT_LEAST);
    bench_relate(b, c->name, "redis", "forkmap-path");
    bench_relate(b, c->name, "mp.Manager", "forkmap-tcp");
}

static int measure(struct bench_run *r)
{
    int code = bench_run_start(r, (const char *const[]){NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++) {
        const struct manager_case *c = &cases[i];
        if (!bench_wants(&r->args, c->name, i < 2, 1))
            continue;
        code = bench_run_case(
            r, c->name, "ns", write_command, c,
            json_pack("{si si}", "clients", c->n_clients, "keys", BENCH_MANAGER_KEYS));
        judge_case(r, c);
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "manager",
        .question = "what does an operation on a dict cost, which is found by its name?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 4,
        .run_engine = bench_manager_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
