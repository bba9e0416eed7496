/* SPDX-License-Identifier: MIT */
/* The driver of a benchmark: from the command line to the table. */
#include "suite.h"

#include "facts.h"
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- engines ---- */

int bench_run_start_peer(struct bench_run *r, int p, const char *const args[])
{
    const struct bench_peer *peer = &r->suite->peers[p];
    struct bench_engine *e = &r->running[p];
    if (peer->kind == BENCH_OPENMP)
        return bench_start_openmp(e, peer->name, args, r->cores.n, peer->how);
    if (peer->kind == BENCH_OPENMP_PROGRAM)
        return bench_start_openmp_program(e, peer->name, peer->how, args, r->cores.n);
    if (peer->kind == BENCH_PROGRAM)
        return bench_start_program(e, peer->name, peer->how, args);
    if (peer->kind == BENCH_OWN)
        return bench_start_own(e, peer->name, args);
    const char *python[BENCH_MAX_ARGS + 1] = {r->suite->name, peer->name};
    for (int i = 0; i < BENCH_MAX_ARGS - 2 && args[i] != NULL; i++)
        python[i + 2] = args[i];
    return bench_start_python(e, peer->name, peer->how, python);
}

int bench_run_start(struct bench_run *r, const char *const args[])
{
    for (int p = 0; p < r->suite->n_peers; p++) {
        const int code = bench_run_start_peer(r, p, args);
        if (code < 0)
            return code;
        if (code > 0 && p < r->suite->n_needed)
            return -1;
    }
    return 0;
}

/* ---- sampling ---- */

static int sample_peer(struct bench_run *r, const char *case_name, const char *unit,
                       const char *command, int p, int keep)
{
    char answer[BENCH_LINE];
    const int code = bench_engine_ask(&r->running[p], command, answer);
    if (code == 0 && keep)
        bench_record(r->bench, case_name, r->suite->peers[p].name, unit, strtod(answer, NULL));
    return code;
}

int bench_run_case(struct bench_run *r, const char *case_name, const char *unit,
                   bench_command_fn *command, const void *c, json_t *extra)
{
    char line[BENCH_LINE];
    int code = 0;
    for (int round = -r->args.n_warmup; code == 0 && round < r->args.n_samples; round++)
        for (int p = 0; code == 0 && p < r->suite->n_peers; p++)
            if (r->running[p].pid > 0 && command(r, c, p, line) == 0)
                code = sample_peer(r, case_name, unit, line, p, round >= 0);
    bench_case_end(r->bench, case_name, extra);
    return code;
}

/* ---- main ---- */

static int run_suite(struct bench_run *r)
{
    for (int i = 0; i < r->args.n_samples; i++)
        bench_record_calibration(
            r->bench, bench_calibrate(r->cores.places, r->cores.n, r->cores.steps_per_us));
    int code = r->suite->measure(r);
    if (code == 0)
        code = bench_wanted_any(&r->args);
    for (int p = 0; p < r->suite->n_peers; p++)
        bench_engine_end(&r->running[p]);
    return code;
}

int bench_suite_main(const struct bench_suite *suite, int argc, char **argv)
{
    struct bench_run r = {.suite = suite};
    int exit_code;
    for (int p = 0; p < suite->n_peers; p++)
        r.running[p] = (struct bench_engine){.name = suite->peers[p].name, .to = -1, .from = -1};
    if (bench_args_parse(&r.args, argc, argv, &exit_code) != 0)
        return exit_code;
    if (r.args.engine != NULL)
        return suite->run_engine(r.args.engine, r.args.engine_args);
    if (bench_cores_open(&r.cores) != 0)
        return 3;
    r.bench = bench_open(suite->name, suite->question, suite->unit, &r.cores, &r.args);
    int code = r.bench == NULL ? -1 : run_suite(&r);
    if (r.bench != NULL && bench_close(r.bench) != 0)
        code = -1;
    bench_cores_close(&r.cores);
    return code == 0 ? 0 : 3;
}
