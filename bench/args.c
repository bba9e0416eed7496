/* SPDX-License-Identifier: MIT */
/* Options and cores of a benchmark. */
#include "args.h"

#include "items.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
    {"quick", no_argument, NULL, 'q'},
    {"smoke", no_argument, NULL, 's'},
    {"out", required_argument, NULL, 'o'},
    {"commit", required_argument, NULL, 'c'},
    {"case", required_argument, NULL, 'k'},
    {"samples", required_argument, NULL, 'n'},
    {"engine", required_argument, NULL, 'e'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: %s [--quick] [--case NAME] [--samples N] [--out FILE.jsonl] [--commit ID]\n"
    "  --quick     5 samples and fewer cases: a look, not a result\n"
    "  --case      this case only\n"
    "  --samples   per case and engine, instead of 31\n"
    "  --out       where the JSON lines go\n"
    "  --commit    what the header says was measured\n"
    "  --smoke     the least that runs through everything, for tests\n";

/* libgomp binds a process at its start by these, and every engine would inherit that one core. */
static int check_environment(void)
{
    static const char *const names[] = {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (getenv(names[i]) == NULL)
            continue;
        fprintf(stderr, "bench: unset %s: the benchmarks set it for their OpenMP peers\n",
                names[i]);
        return -1;
    }
    return 0;
}

static void apply_option(struct bench_args *args, int option)
{
    if (option == 'q')
        args->quick = 1;
    else if (option == 's')
        args->smoke = 1;
    else if (option == 'o')
        args->out = optarg;
    else if (option == 'c')
        args->commit = optarg;
    else if (option == 'k')
        args->only = optarg;
    else if (option == 'n')
        args->n_samples = atoi(optarg);
    else if (option == 'e')
        args->engine = optarg;
}

int bench_args_parse(struct bench_args *args, int argc, char **argv, int *exit_code)
{
    int option;
    *args = (struct bench_args){.commit = "unknown"};
    if (getenv("BENCH_COMMIT") != NULL)
        args->commit = getenv("BENCH_COMMIT");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?' || option == 'h') {
            fprintf(option == 'h' ? stdout : stderr, usage, argv[0]);
            *exit_code = option == 'h' ? 0 : 2;
            return 1;
        }
        apply_option(args, option);
    }
    args->engine_args = argv + optind;
    if (args->n_samples < 1)
        args->n_samples = args->smoke ? 1 : args->quick ? 5 : BENCH_SAMPLES;
    args->n_warmup = args->smoke ? 1 : 2;
    if (args->engine == NULL && check_environment() != 0) {
        *exit_code = 2;
        return 1;
    }
    return 0;
}

int bench_wants(struct bench_args *args, const char *case_name, int in_quick, int in_smoke)
{
    int wanted = args->smoke ? in_smoke : args->quick ? in_quick : 1;
    if (args->only != NULL)
        wanted = strcmp(args->only, case_name) == 0;
    args->n_wanted += wanted;
    return wanted;
}

int bench_wanted_any(const struct bench_args *args)
{
    if (args->n_wanted > 0)
        return 0;
    fprintf(stderr, "bench: there is no case %s\n", args->only);
    return -1;
}

int bench_cores_open(struct bench_cores *cores)
{
    fm_budget budget;
    *cores = (struct bench_cores){.n = fm_cpu_budget(&budget)};
    int code = cores->n < 1 ? cores->n : 0;
    if (code == 0 && (cores->places = calloc((size_t)cores->n, sizeof(*cores->places))) == NULL)
        code = -ENOMEM;
    if (code == 0) {
        const int n_units = fm_places(cores->places, cores->n, FM_PIN_CORE, NULL);
        code = n_units < 0 ? n_units : 0;
    }
    if (code == 0)
        cores->steps_per_us = bench_items_calibrate();
    else
        fprintf(stderr, "bench: no cores: %s: %s\n", fm_strerror(code), fm_error_detail());
    return code;
}

void bench_cores_close(struct bench_cores *cores)
{
    free(cores->places);
    cores->places = NULL;
}
