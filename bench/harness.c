/* SPDX-License-Identifier: MIT */
/* Samples, statistics, JSON lines and the table of a benchmark run. */
#include "harness.h"

#include "facts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES  48
#define STOLEN_MUCH 0.02 /* of the busy time: more, and the figures say little */
#define OTHERS_MUCH 0.1  /* [cores] that others use: likewise */

struct series { /* the samples of one engine in one case */
    char case_name[NAME_BYTES], engine[NAME_BYTES], unit[NAME_BYTES];
    double *values;
    int n, cap;
    char outcome[16]; /* a word instead of samples, or "" */
};

struct verdict {
    char case_name[NAME_BYTES], what[2 * NAME_BYTES];
    double value, target;
    int sense; /* 0: there is no target */
};

struct bench {
    const char *name, *question, *unit;
    FILE *out;
    int failed; /* errno of the first line that could not be written */
    int workers;
    struct bench_usage begin;
    struct series *series;
    struct verdict *verdicts;
    int n_series, n_verdicts;
};

/* ---- samples and statistics ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double interpolate_quantile(const double *sorted, int n, double q)
{
    const double at = q * (n - 1);
    const int below = (int)at;
    const int above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

struct bench_stats bench_stats_of(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), compare_doubles);
    return (struct bench_stats){.median = interpolate_quantile(v, n, 0.5),
                                .p10 = interpolate_quantile(v, n, 0.1),
                                .p90 = interpolate_quantile(v, n, 0.9)};
}

static void *grow_or_die(void *list, size_t n, size_t bytes)
{
    void *grown = reallocarray(list, n, bytes);
    if (grown == NULL) {
        fprintf(stderr, "bench: no memory for %zu samples\n", n);
        exit(3);
    }
    return grown;
}

static struct series *find_series(const struct bench *b, const char *case_name, const char *engine)
{
    for (int i = 0; i < b->n_series; i++)
        if (strcmp(b->series[i].case_name, case_name) == 0 &&
            strcmp(b->series[i].engine, engine) == 0)
            return &b->series[i];
    return NULL;
}

static struct series *add_series(struct bench *b, const char *case_name, const char *engine,
                                 const char *unit)
{
    b->series = grow_or_die(b->series, (size_t)b->n_series + 1, sizeof(*b->series));
    struct series *s = &b->series[b->n_series++];
    *s = (struct series){.n = 0};
    snprintf(s->case_name, sizeof(s->case_name), "%s", case_name);
    snprintf(s->engine, sizeof(s->engine), "%s", engine);
    snprintf(s->unit, sizeof(s->unit), "%s", unit);
    return s;
}

void bench_record(struct bench *b, const char *case_name, const char *engine, const char *unit,
                  double value)
{
    struct series *s = find_series(b, case_name, engine);
    if (s == NULL)
        s = add_series(b, case_name, engine, unit);
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? BENCH_SAMPLES : 2 * s->cap;
        s->values = grow_or_die(s->values, (size_t)s->cap, sizeof(*s->values));
    }
    s->values[s->n++] = value;
}

void bench_record_calibration(struct bench *b, double times)
{
    if (!isnan(times))
        bench_record(b, "calibration", "processes", "x", times);
}

struct bench_stats bench_stats_for(const struct bench *b, const char *case_name, const char *engine)
{
    const struct series *s = find_series(b, case_name, engine);
    if (s == NULL || s->n == 0)
        return (struct bench_stats){NAN, NAN, NAN};
    double *sorted = grow_or_die(NULL, (size_t)s->n, sizeof(*sorted));
    memcpy(sorted, s->values, (size_t)s->n * sizeof(*sorted));
    const struct bench_stats stats = bench_stats_of(sorted, s->n);
    free(sorted);
    return stats;
}

double bench_median(const struct bench *b, const char *case_name, const char *engine)
{
    return bench_stats_for(b, case_name, engine).median;
}

double bench_least(const struct bench *b, const char *case_name, const char *engine)
{
    const struct series *s = find_series(b, case_name, engine);
    double least = NAN;
    for (int i = 0; s != NULL && i < s->n; i++)
        if (!(s->values[i] >= least)) /* true of NaN, too */
            least = s->values[i];
    return least;
}

/* ---- JSON lines ---- */

static void write_line(struct bench *b, json_t *line)
{
    if (b->out != NULL && (json_dumpf(line, b->out, JSON_COMPACT | JSON_REAL_PRECISION(7)) != 0 ||
                           fputc('\n', b->out) == EOF))
        b->failed = errno != 0 ? errno : EIO;
    json_decref(line);
}

void bench_write(struct bench *b, const char *case_name, json_t *object)
{
    json_t *line = json_pack("{ss}", "bench", b->name);
    if (case_name != NULL)
        json_object_set_new(line, "case", json_string(case_name));
    json_object_update(line, object);
    json_decref(object);
    write_line(b, line);
}

static json_t *describe_series(const struct bench *b, const struct series *s)
{
    const struct bench_stats stats = bench_stats_for(b, s->case_name, s->engine);
    json_t *samples = json_array();
    for (int i = 0; i < s->n; i++)
        json_array_append_new(samples, json_real(s->values[i]));
    return json_pack("{ss ss sf sf sf si so}", "engine", s->engine, "unit", s->unit, "median",
                     stats.median, "p10", stats.p10, "p90", stats.p90, "n", s->n, "samples",
                     samples);
}

void bench_case_end(struct bench *b, const char *case_name, json_t *extra)
{
    for (int i = 0; i < b->n_series; i++) {
        if (strcmp(b->series[i].case_name, case_name) != 0 || b->series[i].n == 0)
            continue;
        json_t *line = describe_series(b, &b->series[i]);
        if (extra != NULL)
            json_object_update(line, extra);
        bench_write(b, case_name, line);
    }
    json_decref(extra);
    if (b->out != NULL && fflush(b->out) != 0)
        b->failed = errno;
}

void bench_tell(struct bench *b, const char *case_name, const char *engine, const char *outcome,
                json_t *extra)
{
    struct series *s = add_series(b, case_name, engine, b->unit);
    snprintf(s->outcome, sizeof(s->outcome), "%s", outcome);
    json_t *line = json_pack("{ss ss}", "engine", engine, "outcome", outcome);
    if (extra != NULL)
        json_object_update(line, extra);
    json_decref(extra);
    bench_write(b, case_name, line);
}

/* ---- verdicts ---- */

static int is_met(const struct verdict *v)
{
    return v->sense == BENCH_AT_MOST ? v->value <= v->target : v->value >= v->target;
}

static void add_verdict(struct bench *b, const char *case_name, const char *what, double value,
                        double target, int sense)
{
    b->verdicts = grow_or_die(b->verdicts, (size_t)b->n_verdicts + 1, sizeof(*b->verdicts));
    struct verdict *v = &b->verdicts[b->n_verdicts++];
    *v = (struct verdict){.value = value, .target = target, .sense = sense};
    snprintf(v->case_name, sizeof(v->case_name), "%s", case_name);
    snprintf(v->what, sizeof(v->what), "%s", what);
}

void bench_judge(struct bench *b, const char *case_name, const char *what, double value,
                 double target, int sense)
{
    if (isnan(value))
        return;
    add_verdict(b, case_name, what, value, target, sense);
    const struct verdict *v = &b->verdicts[b->n_verdicts - 1];
    bench_write(b, case_name,
                json_pack("{ss sf sf ss sb}", "ratio", v->what, "value", value, "target", target,
                          "sense", sense == BENCH_AT_MOST ? "max" : "min", "met", is_met(v)));
}

void bench_compare(struct bench *b, const char *case_name, const char *over, const char *under,
                   double target, int sense)
{
    char what[2 * NAME_BYTES];
    snprintf(what, sizeof(what), "%s/%s", over, under);
    bench_judge(b, case_name, what,
                bench_median(b, case_name, over) / bench_median(b, case_name, under), target,
                sense);
}

void bench_tell_value(struct bench *b, const char *case_name, const char *what, double value)
{
    if (isnan(value))
        return;
    add_verdict(b, case_name, what, value, NAN, 0);
    bench_write(b, case_name, json_pack("{ss sf}", "ratio", what, "value", value));
}

void bench_relate(struct bench *b, const char *case_name, const char *over, const char *under)
{
    char what[2 * NAME_BYTES];
    snprintf(what, sizeof(what), "%s/%s", over, under);
    bench_tell_value(b, case_name, what,
                     bench_median(b, case_name, over) / bench_median(b, case_name, under));
}

/* ---- the table ---- */

/* 1 if nothing before series i has the same engine (or case), counting those of the table's unit only. */
static int is_first(const struct bench *b, int i, int by_engine)
{
    if (strcmp(b->series[i].unit, b->unit) != 0)
        return 0;
    for (int j = 0; j < i; j++) {
        const char *mine = by_engine ? b->series[i].engine : b->series[i].case_name;
        const char *other = by_engine ? b->series[j].engine : b->series[j].case_name;
        if (strcmp(b->series[j].unit, b->unit) == 0 && strcmp(mine, other) == 0)
            return 0;
    }
    return 1;
}

struct figure {
    char text[32];
};

/* Four figures that mean something; the JSON lines have more. */
static struct figure format_figure(const char *prefix, double value)
{
    struct figure f;
    const double size = fabs(value);
    const int decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
    if (isnan(value))
        snprintf(f.text, sizeof(f.text), "-");
    else
        snprintf(f.text, sizeof(f.text), "%s%.*f", prefix, decimals, value);
    return f;
}

static struct figure format_cell(const struct bench *b, const char *case_name, const char *engine)
{
    const struct series *s = find_series(b, case_name, engine);
    struct figure f = format_figure("", bench_median(b, case_name, engine));
    if (s != NULL && s->outcome[0] != '\0')
        snprintf(f.text, sizeof(f.text), "%s", s->outcome);
    return f;
}

/* Engines down, cases across: there are more engines than fit on a line. */
static void print_medians(const struct bench *b)
{
    int n_cases = 0;
    for (int i = 0; i < b->n_series; i++)
        n_cases += is_first(b, i, 0);
    printf("\n%s: %s\n", b->name, b->question);
    if (n_cases == 0)
        return;
    printf("%d workers, median [%s]\n\n%-24s", b->workers, b->unit, "");
    for (int i = 0; i < b->n_series; i++)
        if (is_first(b, i, 0))
            printf(" %13s", b->series[i].case_name);
    printf("\n");
    for (int i = 0; i < b->n_series; i++) {
        if (!is_first(b, i, 1))
            continue;
        printf("%-24s", b->series[i].engine);
        for (int j = 0; j < b->n_series; j++)
            if (is_first(b, j, 0))
                printf(" %13s", format_cell(b, b->series[j].case_name, b->series[i].engine).text);
        printf("\n");
    }
}

/* "-" without one. */
static struct figure format_target(const struct verdict *v)
{
    return format_figure(v->sense == BENCH_AT_MOST ? "<= " : ">= ", v->target);
}

static void print_verdicts(const struct bench *b)
{
    int n_targets = 0, n_met = 0;
    printf("\n%-14s %-52s %10s %14s  %s\n", "case", "ratio", "value", "target", "met");
    for (int i = 0; i < b->n_verdicts; i++) {
        const struct verdict *v = &b->verdicts[i];
        printf("%-14s %-52s %10s %14s  %s\n", v->case_name, v->what,
               format_figure("", v->value).text, format_target(v).text,
               v->sense == 0 ? "-"
               : is_met(v)   ? "yes"
                             : "NO");
        n_targets += v->sense != 0;
        n_met += v->sense != 0 && is_met(v);
    }
    printf("\n%d of %d targets met\n", n_met, n_targets);
}

/* ---- a run ---- */

struct bench *bench_open(const char *name, const char *question, const char *unit,
                         const struct bench_cores *cores, const struct bench_args *args)
{
    struct bench *b = grow_or_die(NULL, 1, sizeof(*b));
    *b = (struct bench){.name = name, .question = question, .unit = unit, .workers = cores->n};
    b->begin = bench_usage_now();
    if (args->out != NULL && (b->out = fopen(args->out, "we")) == NULL) {
        fprintf(stderr, "bench: cannot write %s: %s\n", args->out, strerror(errno));
        free(b);
        return NULL;
    }
    json_t *facts = bench_facts(args->commit, cores->n);
    json_object_set_new(facts, "question", json_string(question));
    json_object_set_new(facts, "quick", json_boolean(args->quick || args->smoke));
    bench_write(b, NULL, facts);
    return b;
}

static void write_calibration(struct bench *b)
{
    const double stolen = bench_stolen_share(b->begin), others = bench_other_cores(b->begin);
    const double times = bench_median(b, "calibration", "processes");
    bench_case_end(
        b, "calibration",
        json_pack("{si sf sf}", "processes", b->workers, "steal", stolen, "other_cores", others));
    if (!isnan(times))
        printf("\ncalibration: %d independent processes do %.3f times the work of one\n",
               b->workers, times);
    if (stolen > STOLEN_MUCH)
        printf(
            "warning: the hypervisor took %.1f %% of the busy time: repeat on a quieter machine\n",
            100 * stolen);
    if (others > OTHERS_MUCH)
        printf("warning: other processes used %.2f cores meanwhile: repeat on a quieter machine\n",
               others);
}

int bench_close(struct bench *b)
{
    print_medians(b);
    print_verdicts(b);
    write_calibration(b);
    if (b->out != NULL && fclose(b->out) != 0)
        b->failed = errno;
    const int code = -b->failed;
    if (code != 0)
        fprintf(stderr, "bench: the JSON lines could not be written: %s\n", strerror(-code));
    for (int i = 0; i < b->n_series; i++)
        free(b->series[i].values);
    free(b->series);
    free(b->verdicts);
    free(b);
    return code;
}
