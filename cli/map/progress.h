/* SPDX-License-Identifier: MIT */
#ifndef FMC_PROGRESS_H
#define FMC_PROGRESS_H

/*
 * How far the map is: a bar on a terminal, redrawn in place on stderr; lines every few seconds elsewhere;
 * events in JSON mode. It also carries the user's wish to stop into the map.
 */

#include <forkmap/forkmap.h>

enum fmc_progress_form {
    FMC_PROGRESS_NONE = 1,
    FMC_PROGRESS_BAR,
    FMC_PROGRESS_LINES,
    FMC_PROGRESS_EVENTS
};

struct fmc_progress {
    int form; /* an fmc_progress_form */
    int utf8; /* the terminal can show the blocks of the bar */
    int drawn;
    double next_seconds; /* of the next line or event */
    fm_progress last;
    const int64_t *
        n_before; /* items that earlier runs have ended: they say nothing of the speed; NULL: none */
};

/* Chooses the form: `show` is an fmc_show. */
void fmc_progress_init(struct fmc_progress *p, int show, int json, int quiet);

/* For fm_map_opts.progress, with a struct fmc_progress as its argument. Non-zero when a signal asked to stop. */
int fmc_progress_step(const fm_progress *now, void *arg);

/* Ends the bar with a newline; n_items >= 0: all of them are done, after `seconds`. */
void fmc_progress_end(struct fmc_progress *p, int64_t n_items, double seconds);

#endif
