/* SPDX-License-Identifier: MIT */
#ifndef FMI_PREPARE_H
#define FMI_PREPARE_H

/* From a call's arguments to a plan: shapes, options and overlaps are checked here, and nowhere else. */

#include "array.h"
#include "job.h"

/* What the caller asked for. */
struct fmi_request {
    int kind;
    fmi_any_fn *fn;
    fm_array *const *columns;
    int n_columns; /* 0: the range begin .. end-1 */
    int64_t begin, end;
    fm_array *out;
    const fm_map_opts *opts; /* whole, whatever the caller's struct_size */
    int may_journal;         /* 1: who asks opens a journal if there is to be one (journal.h) */
};

/*
 * Fills the plan but for fn, arg, undo and host_cpu. 0; -EINVAL, -EOVERFLOW, FM_ECORRUPT (detail). For an empty map n_items
 * is 0 and the rest is not to be used.
 */
int fmi_plan_prepare(struct fmi_plan *plan, const struct fmi_request *q, int n_ranks);

/* 1 if two arrays have memory, or bytes of a file, in common. */
int fmi_plan_overlap(const struct fmi_array_view *a, const struct fmi_array_view *b);

#endif
