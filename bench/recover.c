/* SPDX-License-Identifier: MIT */
/*
 * recover: what does the death of a worker cost?
 *
 * Peers      multiprocessing.Pool (mp.Pool) and concurrent.futures.ProcessPoolExecutor on the same map with the same death. And what this machine
 *            takes at least (bare): a small process that waits for its child, which is killed, and forks another.
 * Unit       ns of wall time from the death: the victim notes CLOCK_MONOTONIC in shared memory, and raises SIGKILL. To the replacement (forkmap): its first
 *            instruction in user code, which is the pool's initializer. forkmap-rerun: to the item's next run. ProcessPoolExecutor: to the
 *            BrokenProcessPool that its caller gets. told: from the death of a child of forkmap's process, which is as large as a worker, until waitpid(2) returns
 *            there: no parent can know of a death earlier. forkmap-map, forkmap-undisturbed: the whole map, and the same without a death.
 * Method     Every engine is a process of its own; samples alternate, and only one engine is not stopped at any time. A sample of forkmap is two maps
 *            of the same pool, with default options: one without and one with a death, in the item in the middle, the first time that it runs. All results and
 *            messages are looked at. A peer has a new pool for each sample, as the old one is of no use. A map that has not come back 3 s
 *            after the death hangs; that is told as a word, not as a figure, and seen 3 times (--smoke: once, in compute only).
 * Cases      compute: in the function. lock: it holds a lock, which the others take as well. put: in the copying of a message of 16 MiB into a queue (Python: 1 MiB, of
 *            which a pipe takes 64 KiB). get: asleep, waiting for a message. In put and get a timer's handler notes the time and raises the signal.
 *            floor: fork, exit and wait of one small process, in the same minutes.
 * Warm-up    2 rounds thrown away; the map without a death comes first.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "recover.h"

#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_US      100.0
#define LIMIT_NS     2e6 /* from a death to its replacement */
#define HANG_SAMPLES 3   /* of a peer that hangs: each takes as long as one cares to wait */

enum { FORKMAP, BARE, EXECUTOR, MP_POOL, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [FORKMAP] = {"forkmap", BENCH_OWN, NULL},
    [BARE] = {"bare", BENCH_OWN, NULL},
    [EXECUTOR] = {"ProcessPoolExecutor", BENCH_PYTHON, "mp_recover.py"},
    [MP_POOL] = {"mp.Pool", BENCH_PYTHON, "mp_recover.py"},
};

static const char *const cases[] = {"compute", "lock", "put", "get"};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* ---- sampling ---- */

static int ask(struct bench_run *r, int peer, const char *case_name, char answer[BENCH_LINE])
{
    char command[BENCH_LINE];
    snprintf(command, sizeof(command), "die %s %.0f", case_name, ITEM_US * r->cores.steps_per_us);
    return bench_engine_ask(&r->running[peer], command, answer);
}

static int sample_forkmap(struct bench_run *r, const char *case_name, int keep)
{
    static const char *const figures[] = {"forkmap", "forkmap-rerun", "forkmap-map",
                                          "forkmap-undisturbed", "told"};
    enum { N_FIGURES = sizeof(figures) / sizeof(figures[0]) };
    char answer[BENCH_LINE];
    double ns[N_FIGURES], complete;
    const int code = ask(r, FORKMAP, case_name, answer);
    if (code != 0 || !keep)
        return code;
    if (sscanf(answer, "%lf %lf %lf %lf %lf %lf", &ns[0], &ns[1], &ns[2], &ns[3], &ns[4],
               &complete) != N_FIGURES + 1)
        return -1;
    for (int i = 0; i < N_FIGURES; i++)
        bench_record(r->bench, case_name, figures[i], "ns", ns[i]);
    bench_record(r->bench, case_name, "forkmap-complete", "maps", complete);
    return 0;
}

static int sample_bare(struct bench_run *r, const char *case_name, int keep)
{
    char answer[BENCH_LINE];
    double replaced_ns, fork_ns;
    const int code = ask(r, BARE, case_name, answer);
    if (code != 0 || !keep)
        return code;
    if (sscanf(answer, "%lf %lf", &replaced_ns, &fork_ns) != 2)
        return -1;
    bench_record(r->bench, case_name, "bare", "ns", replaced_ns);
    bench_record(r->bench, "floor", "bare", "ns", fork_ns);
    return 0;
}

/* How it ended is a part of the name: an engine that does both has two series. */
static int sample_python(struct bench_run *r, int peer, const char *case_name, int keep,
                         int *n_hung)
{
    char answer[BENCH_LINE], how[16], name[64];
    double ns = 0;
    const int code = ask(r, peer, case_name, answer);
    if (code != 0)
        return code;
    if (sscanf(answer, "%15s %lf", how, &ns) < 1)
        return -1;
    if (strcmp(how, "hangs") == 0) {
        ++*n_hung;
    } else if (keep) {
        snprintf(name, sizeof(name), "%s%s%s", peers[peer].name,
                 strcmp(how, "done") == 0 ? "-map" : "-", strcmp(how, "done") == 0 ? "" : how);
        bench_record(r->bench, case_name, name, "ns", ns);
    }
    return 0;
}

static int sample_round(struct bench_run *r, const char *case_name, int round, int n_hung[N_PEERS])
{
    const int keep = round >= 0, most_hung = r->args.smoke ? 1 : HANG_SAMPLES;
    int code = sample_forkmap(r, case_name, keep);
    if (code == 0)
        code = sample_bare(r, case_name, keep);
    if (r->args.smoke && strcmp(case_name, "compute") != 0)
        return code;
    for (int peer = EXECUTOR; code == 0 && peer <= MP_POOL; peer++)
        if (r->running[peer].pid > 0 && n_hung[peer] < most_hung)
            code = sample_python(r, peer, case_name, keep, &n_hung[peer]);
    return code;
}

/* ---- verdicts ---- */

static void judge_case(const struct bench_run *r, const char *case_name)
{
    struct bench *b = r->bench;
    bench_judge(b, case_name, "forkmap, death to replacement [ns]",
                bench_median(b, case_name, "forkmap"), LIMIT_NS, BENCH_AT_MOST);
    bench_judge(b, case_name, "forkmap, worst map of all is complete",
                bench_least(b, case_name, "forkmap-complete"), 1, BENCH_AT_LEAST);
    bench_relate(b, case_name, "forkmap", "bare");
    bench_relate(b, case_name, "forkmap", "told");
    bench_relate(b, case_name, "forkmap-map", "forkmap-undisturbed");
}

/* ---- main ---- */

static int run_case(struct bench_run *r, const char *case_name)
{
    int code = 0, n_hung[N_PEERS] = {0};
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        code = sample_round(r, case_name, round, n_hung);
    for (int peer = EXECUTOR; peer <= MP_POOL; peer++)
        if (n_hung[peer] > 0)
            bench_tell(
                r->bench, case_name, peers[peer].name, "hangs",
                json_pack("{si si}", "seen", n_hung[peer], "limit_ms", BENCH_RECOVER_HANG_MS));
    bench_case_end(r->bench, case_name, json_pack("{si}", "items", BENCH_RECOVER_ITEMS));
    judge_case(r, case_name);
    return code;
}

static int measure(struct bench_run *r)
{
    char workers[16];
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    int code = bench_run_start(r, (const char *const[]){workers, NULL});
    for (size_t i = 0; code == 0 && i < N_CASES; i++)
        if (bench_wants(&r->args, cases[i], 1, 1))
            code = run_case(r, cases[i]);
    bench_case_end(r->bench, "floor", NULL);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "recover",
        .question = "what does the death of a worker cost?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_recover_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
