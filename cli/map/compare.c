/* SPDX-License-Identifier: MIT */
/* Times the three ways to run a kernel. */
#include "compare.h"

#include "events.h"
#include "say.h"
#include "stop.h"
#include "units.h"
#include "values.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum way { SERIAL, OPENMP, FORKMAP, N_WAYS };

struct comparison {
    struct fmc_job *job;
    fm_pool *pool;
    double *seconds[N_WAYS]; /* a sample per round */
    void *serial;            /* the serial result */
    int same_bits;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_way(struct comparison *c, enum way way, double *seconds)
{
    /* OpenMP's threads spin for a while after a region and would take the cores from whoever comes next. */
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    fm_map_opts opts = fmc_job_map_opts(c->job);
    int code;
    nanosleep(&pause, NULL);
    const double begin = now_seconds();
    if (way == SERIAL)
        code = fmk_run_serial(&c->job->problem);
    else if (way == OPENMP)
        code = fmk_run_openmp(&c->job->problem, fm_pool_workers(c->pool), "static", 0);
    else
        code = fmc_job_map(c->job, c->pool, &opts);
    if (way == FORKMAP)
        fmc_stop_note(fm_pool_signal(c->pool));
    *seconds = now_seconds() - begin;
    return code;
}

/* One run of each; the first round warms up and compares the results. */
static int run_round(struct comparison *c, int round)
{
    static const char *const names[] = {"the serial loop", "OpenMP", "forkmap"};
    const fm_array *out = c->job->out;
    for (int way = SERIAL; way < N_WAYS; way++) {
        double seconds;
        const int code = run_way(c, (enum way)way, &seconds);
        if (fmc_stop_signal() != 0)
            return FMC_SIGNALLED + fmc_stop_signal();
        if (code != 0) {
            fmc_say_code(code, names[way], NULL);
            return FMC_ENVIRONMENT;
        }
        if (round >= 0)
            c->seconds[way][round] = seconds;
        else if (way == SERIAL)
            memcpy(c->serial, fm_array_data(out), fm_array_bytes(out));
        else if (memcmp(c->serial, fm_array_data(out), fm_array_bytes(out)) != 0)
            c->same_bits = 0;
    }
    return FMC_DONE;
}

static int order_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double find_median(double *samples, int n)
{
    qsort(samples, (size_t)n, sizeof *samples, order_doubles);
    return n % 2 == 1 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
}

static void print_event(const struct comparison *c, const double *median)
{
    json_t *event = fmc_event("compare");
    json_object_set_new(event, "function", fmc_event_text(c->job->function.text));
    json_object_set_new(event, "workers", json_integer(fm_pool_workers(c->pool)));
    json_object_set_new(event, "rounds", json_integer(c->job->options->repeats));
    json_object_set_new(event, "serial_seconds", json_real(median[SERIAL]));
    json_object_set_new(event, "openmp_seconds", json_real(median[OPENMP]));
    json_object_set_new(event, "forkmap_seconds", json_real(median[FORKMAP]));
    json_object_set_new(event, "forkmap_to_openmp", json_real(median[FORKMAP] / median[OPENMP]));
    json_object_set_new(event, "same_bits", json_boolean(c->same_bits));
    (void)fmc_event_write(stdout, event); /* a broken stdout is reported once, at the end */
}

static void print_way(const char *name, const double *median, enum way way)
{
    char time[24];
    fmc_units_seconds(time, sizeof time, median[way]);
    printf("  %-18s %10s   %5.2fx serial\n", name, time, median[SERIAL] / median[way]);
}

static void print_table(const struct comparison *c, const double *median)
{
    const struct fmc_options *o = c->job->options;
    char name[40];
    const int schedule = o->map.schedule != 0 ? o->map.schedule : FM_SCHEDULE_AUTO;
    printf("compare, medians of %d rounds with %d workers:\n", o->repeats,
           fm_pool_workers(c->pool));
    print_way("serial", median, SERIAL);
    print_way("OpenMP, static", median, OPENMP);
    snprintf(name, sizeof name, "forkmap, %s", fmc_value_text(fmc_words_schedule, schedule));
    print_way(name, median, FORKMAP);
    printf("  forkmap / OpenMP   %10.3f   %s\n", median[FORKMAP] / median[OPENMP],
           c->same_bits ? "same bits in all three" : "the results DIFFER");
}

static int run_all(struct comparison *c)
{
    double median[N_WAYS];
    const int repeats = c->job->options->repeats;
    int rc = FMC_DONE;
    for (int round = -1; round < repeats && rc == FMC_DONE; round++)
        rc = run_round(c, round);
    if (rc != FMC_DONE)
        return rc;
    for (int way = SERIAL; way < N_WAYS; way++)
        median[way] = find_median(c->seconds[way], repeats);
    if (c->job->options->json)
        print_event(c, median);
    else
        print_table(c, median);
    if (c->same_bits)
        return FMC_DONE;
    return fmc_say_error(FMC_SOME_FAILED, NULL, "%s: serial, OpenMP and forkmap do not agree",
                         c->job->function.text);
}

int fmc_compare(struct fmc_job *job, fm_pool *pool)
{
    struct comparison c = {.job = job, .pool = pool, .same_bits = 1};
    const size_t rounds = (size_t)job->options->repeats;
    double *samples = calloc(N_WAYS * rounds, sizeof *samples);
    c.serial = malloc(fm_array_bytes(job->out) + 1);
    int rc = FMC_ENVIRONMENT;
    if (samples == NULL || c.serial == NULL) {
        fmc_say_error(rc, NULL, "no memory for --compare");
    } else {
        for (int way = SERIAL; way < N_WAYS; way++)
            c.seconds[way] = samples + (size_t)way * rounds;
        rc = run_all(&c);
    }
    free(samples);
    free(c.serial);
    return rc;
}
