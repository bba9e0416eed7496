/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ITEM_H
#define BENCH_ITEM_H

/*
 * The engines of the item benchmark, each in a process of its own. Commands:
 *   run CASE N_ITEMS   one map over so many trivial items; answers its time per item [ns]
 * CASE is "item", "item-range" or "chunk".
 */

/*
 * `kind`: "forkmap-caller", "forkmap-isolated", "libgomp", "libgomp-inlined" (chunk only); args: the number of
 * workers, and of items that there is to be room for. Returns the exit code.
 */
int bench_item_engine(const char *kind, char *const args[]);

#endif
