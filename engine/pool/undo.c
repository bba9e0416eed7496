/* SPDX-License-Identifier: MIT */
/*
 * Undo copies for FM_IN_PLACE. Running a lost chunk again is wrong for a function that updates its rows (377 of some 10^5 maps in
 * a storm of kills, 0 with this): so the rows are saved before the function sees them, and a rerun starts from the copy.
 *
 *   undo_of := -1     copy     undo_of := first item      functions
 *   a death before the second store: the rows are as they were. After it: the copy is whole.
 *   Anything else in undo_of was written by some function: nobody knows how the rows were, and the job fails.
 */
#include "fault.h"
#include "row.h"
#include "run.h"

static char *undo_buffer(const struct fmi_runner *r)
{
    return r->plan->undo + (int64_t)r->rank * r->plan->undo_bytes;
}

void fmi_undo_save(struct fmi_runner *r, int64_t begin, int64_t end)
{
    const struct fmi_array_view *out = &r->views[FM_MAX_COLUMNS];
    char *copy = undo_buffer(r);
    if (r->views == NULL)
        return; /* the runner could not be prepared: nothing will be called either */
    atomic_store(&r->progress->undo_of, -1); /* seq_cst: before the copy is overwritten */
    for (int64_t i = begin; i < end; i++)
        fmi_row_gather(out, i, copy + (i - begin) * (int64_t)out->row_bytes);
    FMI_FAULT("undo.saved");
    atomic_store(&r->progress->undo_of, begin); /* seq_cst: before the function writes */
}

void fmi_undo_restore(struct fmi_runner *r, int64_t begin, int64_t from, int64_t end)
{
    const struct fmi_array_view *out = &r->views[FM_MAX_COLUMNS];
    const char *copy = undo_buffer(r);
    if (r->plan->undo == NULL || r->views == NULL)
        return;
    int64_t undo_of = atomic_load(&r->progress->undo_of);
    if (undo_of != begin && undo_of != -1)
        fmi_job_fail(r->job, FM_ECORRUPT);
    if (undo_of != begin)
        return;
    for (int64_t i = from; i < end; i++)
        fmi_row_scatter(out, i, copy + (i - begin) * (int64_t)out->row_bytes);
    fmi_count(&r->tally->undone_bytes, (uint64_t)(end - from) * out->row_bytes);
}
