/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PSS_H
#define BENCH_PSS_H

/*
 * What the processes of a group have of the machine's memory, as the kernel counts it.
 *
 * PSS, the proportional set size, is a process's private pages, and of each page that k processes have mapped 1/k of it: the sum over all
 * processes counts each mapped page once. It does not count the page tables, which are each process's own.
 */

#include <sys/types.h>

struct bench_pss {
    int n;             /* processes that were added up */
    double kib;        /* PSS [KiB] */
    double tables_kib; /* page tables [KiB] */
};

/* Adds one process. Returns 0, or -ESRCH: it is gone, or its files cannot be read. */
int bench_pss_add(pid_t pid, struct bench_pss *sum);

/* Adds all processes of a group but `without` (0: none of them is left out). Returns 0 or < 0. */
int bench_pss_add_group(pid_t group, const pid_t without[2], struct bench_pss *sum);

#endif
