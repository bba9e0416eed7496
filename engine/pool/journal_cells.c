/* SPDX-License-Identifier: MIT */
/* The cells of a journal: what workers set, and what the host makes of it when the journal is opened; see journal.h. */
#include "error.h"
#include "fault.h"
#include "journal.h"
#include "memory.h"

#include <errno.h>
#include <stdlib.h>

/* ---- in workers ---------------------------------------------------------------------------------- */

static uint8_t state_of(const struct fmi_journal_shm *shm, int64_t item)
{
    /* relaxed: one process at a time has the cell */
    return atomic_load_explicit(&shm->states[item], memory_order_relaxed);
}

static void store_state(struct fmi_journal_shm *shm, int64_t item, int state)
{
    atomic_store_explicit(&shm->states[item], (uint8_t)state, memory_order_relaxed);
}

int64_t fmi_journal_next(const struct fmi_journal_shm *shm, uint32_t cell, int64_t item,
                         int64_t end, int64_t *stretch_end)
{
    *stretch_end = end;
    if (!fmi_journal_bit(shm->again, cell))
        return item;
    while (item < end && (state_of(shm, item) & FMI_JOURNAL_AGAIN) == 0)
        item++;
    int64_t last = item;
    while (last < end && (state_of(shm, last) & FMI_JOURNAL_AGAIN) != 0)
        last++;
    *stretch_end = last;
    return item;
}

/* The states are not reserved, and on a full disk the touch of one would be a bus error. Kernels before 5.14 cannot tell. */
static int reserve_state(struct fmi_journal_shm *shm, int64_t item)
{
    size_t page = fmi_sys_page_bytes();
    char *state = (char *)&shm->states[item];
    int rc = fmi_sys_reserve(-1, 0, 0, state - (uintptr_t)state % page, page);
    return rc == -EINVAL ? 0 : rc;
}

int fmi_journal_note(struct fmi_journal_shm *shm, uint32_t cell, int64_t item, int state)
{
    int rc = reserve_state(shm, item);
    if (rc != 0)
        return rc;
    store_state(shm, item, state);
    FMI_FAULT("journal.noted");
    fmi_journal_set(shm->failed, cell); /* release: invariant (2) */
    return 0;
}

/* Items that were tried again and did not fail again are good. Their states say so before the cell is done. */
static void end_retry(struct fmi_journal_shm *shm, uint32_t cell, int64_t begin, int64_t end)
{
    int n_failed = 0;
    for (int64_t i = begin; i < end; i++) {
        uint8_t state = state_of(shm, i);
        if ((state & FMI_JOURNAL_AGAIN) != 0)
            store_state(shm, i, 0);
        else
            n_failed += state != 0;
    }
    FMI_FAULT("journal.retried");
    if (n_failed == 0)
        fmi_journal_clear(shm->failed, cell);
}

void fmi_journal_end(struct fmi_journal_shm *shm, uint32_t cell, int64_t begin, int64_t end)
{
    int is_retry = fmi_journal_bit(shm->again, cell);
    if (is_retry)
        end_retry(shm, cell, begin, end);
    FMI_FAULT("journal.ending");
    fmi_journal_set(shm->done, cell); /* release: rows and states first; invariant (1) */
    FMI_FAULT("journal.ended");
    if (is_retry)
        fmi_journal_clear(shm->again, cell);
}

/* ---- as it is opened ----------------------------------------------------------------------------- */

static int64_t begin_of(const struct fmi_journal *j, uint32_t cell)
{
    return (int64_t)cell * j->cell;
}

static int64_t end_of(const struct fmi_journal *j, uint32_t cell)
{
    return cell + 1 < j->n_cells ? begin_of(j, cell + 1) : j->n_items;
}

/* Cells that are not on disk may have any rows and states. */
void fmi_journal_forget_unsaved(struct fmi_journal_shm *shm)
{
    for (int i = 0; i < FMI_JOURNAL_WORDS; i++) {
        atomic_store(&shm->done[i], atomic_load(&shm->saved[i]));
        atomic_store(&shm->again[i], 0);
    }
}

static void clear_states(struct fmi_journal *j, uint32_t cell)
{
    for (int64_t i = begin_of(j, cell); i < end_of(j, cell); i++)
        if (state_of(j->shm, i) != 0)
            store_state(j->shm, i, 0);
    FMI_FAULT("journal.cleared");
    fmi_journal_clear(j->shm->failed, cell);
}

/* 1 if each state is that of an item that is done or has failed: bytes of a file may be any. */
static int has_good_states(const struct fmi_journal *j, uint32_t cell)
{
    for (int64_t i = begin_of(j, cell); i < end_of(j, cell); i++) {
        int state = state_of(j->shm, i) & ~FMI_JOURNAL_AGAIN;
        if (state != 0 && (state < FM_ITEM_FAILED || state > FM_ITEM_OUT_OF_MEMORY))
            return 0;
    }
    return 1;
}

/* What was under way is as if it had never begun, but for items that were tried again. */
static void settle_cell(struct fmi_journal *j, uint32_t cell)
{
    struct fmi_journal_shm *shm = j->shm;
    int is_done = fmi_journal_bit(shm->done, cell), is_failed = fmi_journal_bit(shm->failed, cell);
    if (is_done && fmi_journal_bit(shm->again, cell))
        fmi_journal_clear(shm->again, cell);
    if (is_failed && !has_good_states(j, cell)) {
        fmi_journal_clear(shm->saved, cell);
        fmi_journal_clear(shm->done, cell);
        fmi_journal_clear(shm->again, cell);
        is_done = 0;
    }
    if (!is_done && is_failed && !fmi_journal_bit(shm->again, cell))
        clear_states(j, cell);
}

/* done, failed -> failed, again; `saved` was taken back on disk before: invariant (4). */
static void begin_retry(struct fmi_journal *j, uint32_t cell)
{
    for (int64_t i = begin_of(j, cell); i < end_of(j, cell); i++)
        if (state_of(j->shm, i) != 0)
            store_state(j->shm, i, state_of(j->shm, i) | FMI_JOURNAL_AGAIN);
    FMI_FAULT("journal.again");
    fmi_journal_set(j->shm->again, cell);
    FMI_FAULT("journal.retry");
    fmi_journal_clear(j->shm->done, cell);
}

static int begin_retries(struct fmi_journal *j)
{
    int n = 0;
    for (uint32_t cell = 0; cell < j->n_cells; cell++)
        if (fmi_journal_bit(j->shm->done, cell) && fmi_journal_bit(j->shm->failed, cell)) {
            fmi_journal_clear(j->shm->saved, cell);
            n++;
        }
    int rc = n == 0 ? 0 : fmi_sys_sync(j->shm, FMI_JOURNAL_HEAD_BYTES);
    if (rc != 0)
        return rc;
    for (uint32_t cell = 0; cell < j->n_cells; cell++)
        if (fmi_journal_bit(j->shm->done, cell) && fmi_journal_bit(j->shm->failed, cell))
            begin_retry(j, cell);
    return 0;
}

static int add_earlier(struct fmi_journal *j, int64_t item, int state)
{
    static const fm_failure earlier = {
        .worker = -1, .cpu = -1, .note = "it failed in an earlier run, as the journal says"};
    if ((j->n_earlier & (j->n_earlier - 1)) == 0) { /* 0, or a power of two: full */
        int64_t room = j->n_earlier == 0 ? 1 : 2 * j->n_earlier;
        fm_failure *list = realloc(j->earlier, (size_t)room * sizeof *list);
        if (list == NULL)
            return fmi_error(-ENOMEM, "no memory for the records of earlier runs");
        j->earlier = list;
    }
    fm_failure *f = &j->earlier[j->n_earlier++];
    *f = earlier;
    f->item = item;
    f->state = state;
    return 0;
}

/* Counts what is not to be run, and collects what of it has failed. */
static int count_cell(struct fmi_journal *j, uint32_t cell, int64_t begin)
{
    int is_done = fmi_journal_bit(j->shm->done, cell);
    int is_failed = fmi_journal_bit(j->shm->failed, cell), rc = 0;
    if (is_done && !is_failed)
        j->n_before += end_of(j, cell) - begin_of(j, cell);
    if (!is_failed)
        return 0;
    for (int64_t i = begin_of(j, cell); i < end_of(j, cell) && rc == 0; i++) {
        int state = state_of(j->shm, i);
        if (!is_done && (state & FMI_JOURNAL_AGAIN) != 0)
            continue;
        j->n_before++;
        if (state != 0)
            rc = add_earlier(j, begin + i, state & ~FMI_JOURNAL_AGAIN);
    }
    return rc;
}

int fmi_journal_settle(struct fmi_journal *j, int64_t begin, int retry)
{
    int rc = 0;
    for (uint32_t cell = 0; cell < j->n_cells; cell++)
        settle_cell(j, cell);
    if (retry)
        rc = begin_retries(j);
    for (uint32_t cell = 0; cell < j->n_cells && rc == 0; cell++)
        rc = count_cell(j, cell, begin);
    return rc;
}
