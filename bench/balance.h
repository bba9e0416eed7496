/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BALANCE_H
#define BENCH_BALANCE_H

/*
 * The engines of the balance benchmark, each in a process of its own. Commands:
 *   run CASE SCHEDULE CHUNK   answers "MS CHECKSUM": time of one map [ms], and its results' checksum
 *   largest CASE              answers the time of the longest item, alone and serial [ms]
 * SCHEDULE: an OpenMP one (static, dynamic, guided, auto) for libgomp; "auto" for all others. CHUNK 0: the default.
 */

/* `kind`: "serial", "libgomp", "forkmap-caller", "forkmap-isolated"; args: workers, items, steps per us. */
int bench_balance_engine(const char *kind, char *const args[]);

#endif
