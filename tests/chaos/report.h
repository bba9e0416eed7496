/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_REPORT_H
#define CHAOS_REPORT_H

/* What a run came to: for people, and as one line of JSON. */

#include "board.h"

#include <stdio.h>

struct chaos_run { /* the watchdog's */
    struct chaos_board *board;
    uint64_t seed, first_host, n_wanted; /* kills */
    uint64_t n_hosts;
    int64_t begin_ns, hang_ns;
    int64_t slowest_end_ns; /* until all that a host had started was gone */
    int is_apart, expects_findings;
    const char *commit;    /* what is tested; "" if nobody said */
    const char *log_path;  /* NULL: none */
    const char *json_path; /* NULL: none */
};

/* A line on stdout and in the log: how far it is. */
void chaos_report_progress(const struct chaos_run *run);
/* The JSON line: the last one of the log, and the file `json_path`, made anew. Also in between, with "finished": false. */
void chaos_report_json(const struct chaos_run *run, int is_finished);
/* The summary on stdout and in the log. */
void chaos_report_summary(const struct chaos_run *run);

#endif
