/* SPDX-License-Identifier: MIT */
#ifndef FMI_RECORD_H
#define FMI_RECORD_H

/*
 * Failure records: each rank has a list of blocks in the heap, newest first, to which only the process that has the rank
 * appends. A record counts when `n` says so (release), so a death leaves none half written; the successor may write the
 * same item again, and the host keeps one of them.
 *
 *   a process dies                   | it leaves
 *   before the block is linked       | a block without an owner, until the family ends
 *   before n is raised               | nothing
 *   after n is raised, before `next` | a record that its successor writes again
 */

#include "job.h"

enum { FMI_RECORDS_PER_BLOCK = 30 };
#define FMI_RECORDS_MARK 0x64726f63u

struct fmi_record_block_shm {
    struct fmi_record_block_shm *older;
    _Atomic uint32_t n;
    uint32_t mark; /* FMI_RECORDS_MARK, by who has made it: other blocks of that size are none */
    fm_failure list[FMI_RECORDS_PER_BLOCK];
};

/* Appends. Without memory the record is counted as lost. */
void fmi_record_append(struct fmi_progress_shm *progress, const fm_failure *failure);

/* The records of one map, in private memory: lowest item first, one per item. */
struct fmi_report {
    fm_failure *list;
    int64_t n;
    int64_t n_lost;
};

/* Collects n_ranks lists into `out` and frees their blocks. Adds to what `out` has. -ENOMEM; FM_ECORRUPT. */
int fmi_report_collect(struct fmi_report *out, struct fmi_progress_shm *progress, int n_ranks,
                       uint64_t ticket);
/* FM_ECORRUPT: a record is of no item of `begin` .. `begin` + n_items - 1, or says what none does. */
int fmi_report_check(const struct fmi_report *report, int64_t begin, int64_t n_items);
/* Frees the blocks of n_ranks lists, whatever job they are of. 0, FM_ECORRUPT. `scratch` is used meanwhile. */
int fmi_report_drop(struct fmi_report *scratch, struct fmi_progress_shm *progress, int n_ranks);
/* Adds n records. -ENOMEM. */
int fmi_report_add(struct fmi_report *report, const fm_failure *list, int64_t n);
/* Sorts, drops repetitions. */
void fmi_report_sort(struct fmi_report *report);

/* collect.c: the code of a call one of whose items ended like that; FM_ECORRUPT for what is no state of a failure. */
int fmi_code_of_state(int state);
/* The same of what a worker says that could not run it: a negative code that has a name, or FM_ECORRUPT. */
int fmi_code_of_error(int error);

/* This thread's last report: kept until its next map. `pool` is a number that tells pools apart. */
void fmi_report_keep(uint64_t pool, struct fmi_report *report);
const struct fmi_report *fmi_report_kept(uint64_t pool);

#endif
