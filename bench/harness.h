/* SPDX-License-Identifier: MIT */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

/*
 * What every benchmark shares: its samples and their statistics, one JSON object per
 * line for machines, and one table for people.
 *
 * Output, in this order: a header (machine and build); per case and engine one line with median, p10,
 * p90 and all samples, in the order in which they were taken; a verdict per target; a line of the case
 * "calibration". An engine that has a word and no figures (bench_tell) has a line with "outcome" instead. A line
 * may carry more keys than those that are common to all. Figures that are not
 * there (a peer is missing) give no line.
 */

#include "args.h"

#include <jansson.h>

struct bench_stats {
    double median, p10, p90;
};

/* Percentiles with linear interpolation between order statistics (Hyndman and Fan's type 7). n >= 1. Sorts v. */
struct bench_stats bench_stats_of(double *v, int n);

struct bench; /* one run of one benchmark */

/* Begins a run: opens args->out, writes the header. NULL after a message. `unit` is that of the table. */
struct bench *bench_open(const char *name, const char *question, const char *unit,
                         const struct bench_cores *cores, const struct bench_args *args);

/* Notes one sample. An engine's samples of a case all have the unit of the first one. */
void bench_record(struct bench *b, const char *case_name, const char *engine, const char *unit,
                  double value);

/*
 * Says how an engine's case ended that has no figure, in one word that stands in the table instead: "hangs". Not for an engine that has samples in the
 * case. `extra` (may be NULL, is released) goes into its line.
 */
void bench_tell(struct bench *b, const char *case_name, const char *engine, const char *outcome,
                json_t *extra);

/* Notes one bench_calibrate(); its line is written at the end. */
void bench_record_calibration(struct bench *b, double times);

/* Median, p10 and p90 of what was recorded so far; NaN if nothing was. */
struct bench_stats bench_stats_for(const struct bench *b, const char *case_name,
                                   const char *engine);
double bench_median(const struct bench *b, const char *case_name, const char *engine);

/* The smallest sample; NaN if there is none. */
double bench_least(const struct bench *b, const char *case_name, const char *engine);

/* Writes the samples of a case, all engines. `extra` (may be NULL, is released) goes into each line. */
void bench_case_end(struct bench *b, const char *case_name, json_t *extra);

/* Sense of a target. */
enum { BENCH_AT_MOST = 1, BENCH_AT_LEAST = 2 };

/* A verdict over median(over) / median(under) of one case. */
void bench_compare(struct bench *b, const char *case_name, const char *over, const char *under,
                   double target, int sense);

/* A verdict over any figure; `what` says which. Nothing for a NaN. */
void bench_judge(struct bench *b, const char *case_name, const char *what, double value,
                 double target, int sense);

/* The same ratio without a target: what the first costs beside the second. */
void bench_relate(struct bench *b, const char *case_name, const char *over, const char *under);

/* A figure without a target, as bench_judge(). */
void bench_tell_value(struct bench *b, const char *case_name, const char *what, double value);

/* Writes one more line with keys "bench" and "case" in front. Releases `object`. */
void bench_write(struct bench *b, const char *case_name, json_t *object);

/* Ends a run: calibration line, warnings, the table. Returns 0, or -errno if the file could not be written. */
int bench_close(struct bench *b);

#endif
