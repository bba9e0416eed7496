/* SPDX-License-Identifier: MIT */
#ifndef FMC_JOBLOG_H
#define FMC_JOBLOG_H

/*
 * The file of --joblog: a line for each failed item, in the columns of GNU parallel's --joblog. Lines are appended, each by one
 * write, so what stood there stays, and no line is half.
 *
 *   Seq          number of the item
 *   Host         ":", this machine
 *   Starttime    [s] since 1970, when the item's chunk began
 *   JobRuntime   [s] until it failed
 *   Send Receive 0
 *   Exitval      what the function returned, or its exit status; -1: it passed its time limit
 *   Signal       that ended its worker, or 0
 *   Command      the function, and in words what happened
 */

#include <forkmap/forkmap.h>

struct fmc_joblog {
    const char *text; /* as typed; NULL: none was asked for */
    int fd;
};

/* Finds out now whether it can be appended to. Returns 0, FMC_USAGE (it is there, and is no such log) or FMC_ENVIRONMENT. */
int fmc_joblog_open(struct fmc_joblog *log, const char *text);

/*
 * Appends what failed in the last map on that pool. Records of earlier runs, of which a journal tells, only if the log has no line of them: that run was killed before
 * it could write. Returns 0 or FMC_ENVIRONMENT.
 */
int fmc_joblog_append(struct fmc_joblog *log, fm_pool *pool, const char *function,
                      const fm_failure *list, int64_t n, int64_t limit_ns);

void fmc_joblog_close(struct fmc_joblog *log);

#endif
