/* SPDX-License-Identifier: MIT */
/* What a map came to: its records, its code, and the states of items that nobody wanted any more. */
#include "error.h"
#include "mapping.h"
#include "soft_stop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fmi_code_of_state(int state)
{
    switch (state) {
    case FM_ITEM_FAILED:
        return FM_ETASK;
    case FM_ITEM_CRASHED:
        return FM_ECRASHED;
    case FM_ITEM_TIMEOUT:
        return FM_ETIMEOUT;
    case FM_ITEM_OUT_OF_MEMORY:
        return FM_EOOM;
    default:
        return FM_ECORRUPT; /* no worker of ours wrote that */
    }
}

int fmi_code_of_error(int error)
{
    return error < 0 && strcmp(fm_errname(error), "?") != 0 ? error : FM_ECORRUPT;
}

/* Whoever has finished something has a progress record of this job, in which its failures are. */
static int have_all_reported(const struct fmi_mapping *m)
{
    const struct fmi_progress_shm *progress = fmi_mapping_progress(m);
    for (int rank = 0; rank < m->ranges.n; rank++)
        if (fmi_range_count(&m->ranges, rank) != 0 &&
            atomic_load(&progress[rank].ticket) != m->ticket)
            return 0;
    return 1;
}

/* The map's code from its records: that of the lowest item. There are some if any item failed. */
static int settle_report(struct fmi_mapping *m, struct fmi_report *report, int n_failed)
{
    int rc = have_all_reported(m) ? fmi_report_collect(report, fmi_mapping_progress(m),
                                                       m->pool->view.n_ranks, m->ticket)
                                  : FM_ECORRUPT;
    if (rc == 0)
        rc = fmi_report_check(report, m->plan.begin, m->plan.n_items);
    if (rc != 0)
        return rc;
    if (m->journal.array != NULL)
        rc = fmi_report_add(report, m->journal.earlier, m->journal.n_earlier);
    if (rc != 0)
        return rc;
    fmi_report_sort(report);
    if (report->n == 0)
        return report->n_lost > 0 ? fmi_error(-ENOMEM, "items failed, and there was no memory for "
                                                       "their records")
               : n_failed != 0    ? FM_ECORRUPT
                                  : 0;
    if (m->plan.on_error == FM_ON_ERROR_STOP)
        report->n = 1; /* which others were found depends on the timing */
    const fm_failure *first = &report->list[0];
    return fmi_error(fmi_code_of_state(first->state), "item %lld %s (%lld failed in all)",
                     (long long)first->item, fm_item_state_name(first->state),
                     (long long)report->n);
}

/* Items that nobody wanted any more have no state yet. */
static void close_status(const struct fmi_mapping *m)
{
    for (int64_t i = 0; m->plan.status != NULL && i < m->plan.n_items; i++)
        if (m->plan.status[i * m->plan.status_stride] == 0)
            m->plan.status[i * m->plan.status_stride] = FM_ITEM_CANCELLED;
}

/* When no item failed. */
static int is_status_whole(const struct fmi_mapping *m)
{
    for (int64_t i = 0; m->plan.status != NULL && i < m->plan.n_items; i++)
        if (m->plan.status[i * m->plan.status_stride] != FM_ITEM_DONE)
            return 0;
    return 1;
}

/* Why the workers could not do it; what they recorded is dropped. */
static int settle_error(struct fmi_mapping *m, int code)
{
    struct fmi_report ignored = {0};
    (void)fmi_report_collect(&ignored, fmi_mapping_progress(m), m->pool->view.n_ranks, m->ticket);
    free(ignored.list);
    if (code == FM_ECORRUPT)
        return code;
    if (code == -ESTALE)
        return fmi_error(code,
                         "a worker cannot map the file of an array: the process that mapped it "
                         "first has ended or closed it, or /proc is not mounted");
    if (code == -ENOSPC)
        return fmi_error(code, "there is no room for the journal's states of items that failed");
    if (code == FM_ENOFUNC || code == FM_ESTALE)
        return fmi_error(code, "a worker cannot load the function's library: %s",
                         fm_strerror(code));
    return fmi_error(code, "a worker could not take part: %s", fm_strerror(code));
}

int fmi_mapping_collect(struct fmi_mapping *m, struct fmi_report *report)
{
    int error = atomic_load(&m->job->error), n_failed = atomic_load(&m->job->n_failed) != 0;
    int failed_before = m->journal.array != NULL && m->journal.n_earlier > 0;
    int was_stopped = atomic_load(&m->job->stop) != INT64_MAX;
    if (!fmi_plan_is_same(&m->job->plan, &m->pool->slots[m->slot].written))
        return FM_ECORRUPT; /* some item may have been run by another one */
    if (error != 0)
        return settle_error(m, fmi_code_of_error(error));
    int rc = n_failed || failed_before || m->plan.on_error == FM_ON_ERROR_CONTINUE
                 ? settle_report(m, report, n_failed)
                 : 0;
    if (was_stopped)
        close_status(m);
    if (m->is_cancelled)
        return fmi_error(FM_ECANCELLED, "the map was cancelled");
    int number = was_stopped ? fmi_soft_stop_told(m->pool) : 0;
    if (number != 0)
        return fmi_error(FM_ECANCELLED, "the map was stopped by SIG%s", sigabbrev_np(number));
    if (was_stopped && fmi_pool_phase(m->pool) == FMI_PHASE_TERMINATED)
        return fmi_pool_trouble(m->pool); /* items were skipped, and so are all finished */
    if (rc == 0 && (was_stopped || !is_status_whole(m)))
        return FM_ECORRUPT; /* nobody of ours had a reason to stop it, or to say something else */
    return rc;
}
