/* SPDX-License-Identifier: MIT */
#ifndef FMI_READONLY_H
#define FMI_READONLY_H

/*
 * FM_GUARD_INPUTS: the inputs of a job are read-only in a worker from its entering the job until it leaves. A worker is in one job at a time, and its pages are its own: another worker
 * may write the same array meanwhile, as the output of another map.
 *
 *   a process dies   it leaves nothing: its successor is a fork of the warden, in which all is writable
 */

#include "job.h"

struct fmi_readonly { /* private to the worker */
    int n;
    struct {
        char *begin;
        size_t bytes;
    } parts[FM_MAX_COLUMNS];
};

/* 0; -ENOMEM: the kernel has no room for more mappings (undone); as fmi_array_inspect(). `guard->n` is set in any case. */
int fmi_readonly_begin(struct fmi_readonly *guard, const struct fmi_plan *plan);
void fmi_readonly_end(struct fmi_readonly *guard);

/* The input of that job in which `address` was guarded, from 1; 0: none. */
int fmi_readonly_input(const struct fmi_plan *plan, uint64_t address);

#endif
