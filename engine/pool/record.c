/* SPDX-License-Identifier: MIT */
/* Failure records: written by workers, collected by the host, kept for the thread that ran the map. See record.h. */
#include "record.h"

#include "fault.h"
#include "heap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct fmi_record_block_shm) <= 8192, "record: fits a block of 8 KiB");

static int is_block(const struct fmi_record_block_shm *block)
{
    return block != NULL && fmi_heap_is_block(block, sizeof *block) &&
           block->mark == FMI_RECORDS_MARK;
}

void fmi_record_append(struct fmi_progress_shm *progress, const fm_failure *failure)
{
    /* relaxed: this process, or its dead predecessor, wrote it */
    struct fmi_record_block_shm *block =
        atomic_load_explicit(&progress->records, memory_order_relaxed);
    if (!is_block(block))
        block = NULL; /* overwritten by some function: what it held is lost, the worker is not */
    uint32_t n = block == NULL ? FMI_RECORDS_PER_BLOCK
                               : atomic_load_explicit(&block->n, memory_order_relaxed);
    if (n >= FMI_RECORDS_PER_BLOCK) {
        void *fresh;
        if (fmi_heap_alloc(&fresh, sizeof *block, FMI_HEAP_ZERO) != 0) {
            atomic_fetch_add_explicit(&progress->n_lost, 1, memory_order_relaxed);
            return;
        }
        ((struct fmi_record_block_shm *)fresh)->older = block;
        block = fresh;
        block->mark = FMI_RECORDS_MARK;
        n = 0;
        FMI_FAULT("record.link");
        atomic_store_explicit(&progress->records, block,
                              memory_order_release); /* pairs with collect_list */
    }
    block->list[n] = *failure;
    FMI_FAULT("record.append");
    atomic_store_explicit(&block->n, n + 1, memory_order_release); /* pairs with collect_list */
}

static int add_records(struct fmi_report *out, const struct fmi_record_block_shm *block, uint32_t n)
{
    fm_failure *list = realloc(out->list, (size_t)(out->n + n) * sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    memcpy(list + out->n, block->list, n * sizeof *list);
    for (uint32_t i = 0; i < n; i++)
        list[out->n + i].note[sizeof list->note - 1] = '\0'; /* it is shown as text */
    out->list = list;
    out->n += n;
    return 0;
}

/* The list lies where workers write: every pointer and count is checked, and so is its length. */
static int collect_list(struct fmi_report *out, struct fmi_progress_shm *progress)
{
    struct fmi_record_block_shm *block =
        atomic_load_explicit(&progress->records, memory_order_acquire);
    int rc = 0;
    for (uint64_t n_blocks = 0; block != NULL && rc == 0; n_blocks++) {
        if (n_blocks > UINT32_MAX || !is_block(block))
            return FM_ECORRUPT;
        uint32_t n = atomic_load_explicit(&block->n, memory_order_acquire);
        if (n > FMI_RECORDS_PER_BLOCK)
            return FM_ECORRUPT;
        rc = n == 0 ? 0 : add_records(out, block, n);
        struct fmi_record_block_shm *older = block->older;
        if (fmi_heap_free(block) != 0)
            return FM_ECORRUPT;
        block = older;
    }
    return rc;
}

int fmi_report_collect(struct fmi_report *out, struct fmi_progress_shm *progress, int n_ranks,
                       uint64_t ticket)
{
    int rc = 0;
    for (int rank = 0; rank < n_ranks && rc == 0; rank++) {
        if (atomic_load(&progress[rank].ticket) != ticket)
            continue; /* this rank took no part */
        out->n_lost += atomic_load(&progress[rank].n_lost);
        rc = collect_list(out, &progress[rank]);
        atomic_store(&progress[rank].records, NULL);
    }
    return rc;
}

static int is_possible(const fm_failure *f, int64_t begin, int64_t n_items)
{
    return f->item >= begin && f->item - begin < n_items && f->state > FM_ITEM_DONE &&
           f->state < FM_ITEM_CANCELLED && f->attempt > 0;
}

int fmi_report_check(const struct fmi_report *report, int64_t begin, int64_t n_items)
{
    for (int64_t i = 0; i < report->n; i++)
        if (!is_possible(&report->list[i], begin, n_items))
            return FM_ECORRUPT;
    return 0;
}

int fmi_report_drop(struct fmi_report *scratch, struct fmi_progress_shm *progress, int n_ranks)
{
    int rc = 0;
    for (int rank = 0; rank < n_ranks && rc == 0; rank++) {
        scratch->n = 0;
        rc = collect_list(scratch, &progress[rank]);
        atomic_store(&progress[rank].records, NULL);
    }
    return rc;
}

int fmi_report_add(struct fmi_report *report, const fm_failure *list, int64_t n)
{
    if (n == 0)
        return 0;
    fm_failure *all = realloc(report->list, (size_t)(report->n + n) * sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    memcpy(all + report->n, list, (size_t)n * sizeof *list);
    report->list = all;
    report->n += n;
    return 0;
}

static int compare_records(const void *a, const void *b)
{
    const fm_failure *x = a, *y = b;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return (x->attempt > y->attempt) - (x->attempt < y->attempt);
}

void fmi_report_sort(struct fmi_report *report)
{
    if (report->n == 0)
        return;
    qsort(report->list, (size_t)report->n, sizeof report->list[0], compare_records);
    int64_t kept = 1;
    for (int64_t i = 1; i < report->n; i++)
        if (report->list[i].item != report->list[kept - 1].item)
            report->list[kept++] = report->list[i];
    report->n = kept;
}

/* Per thread, freed when the thread ends: what pthread keys are for. */
struct kept {
    uint64_t pool;
    struct fmi_report report;
};
static pthread_key_t kept_key;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;

static void free_kept(void *p)
{
    struct kept *kept = p;
    free(kept->report.list);
    free(kept);
}

static void make_kept_key(void)
{
    pthread_key_create(&kept_key, free_kept);
}

void fmi_report_keep(uint64_t pool, struct fmi_report *report)
{
    static _Thread_local int has_kept; /* spares maps without failures the key */
    if (report->n == 0 && !has_kept)
        return;
    pthread_once(&kept_once, make_kept_key);
    struct kept *kept = pthread_getspecific(kept_key);
    if (kept == NULL && (kept = calloc(1, sizeof *kept)) != NULL)
        pthread_setspecific(kept_key, kept);
    if (kept == NULL) {
        free(report->list);
        return;
    }
    has_kept = 1;
    free(kept->report.list);
    *kept = (struct kept){.pool = pool, .report = *report};
}

const struct fmi_report *fmi_report_kept(uint64_t pool)
{
    pthread_once(&kept_once, make_kept_key);
    struct kept *kept = pthread_getspecific(kept_key);
    return kept != NULL && kept->pool == pool ? &kept->report : NULL;
}
