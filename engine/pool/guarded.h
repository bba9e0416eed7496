/* SPDX-License-Identifier: MIT */
#ifndef FMI_GUARDED_H
#define FMI_GUARDED_H

/*
 * Control memory: shared, zeroed, between inaccessible pages, far from user data. The first of the walls against stray writes.
 *
 * A block is never given back to the heap. Processes of other pools were forked while its guards were in place, and keep
 * them: an array laid there later would be a segfault in their functions. So a process keeps its spare blocks for its next pools.
 */

#include <stddef.h>

/* At least `bytes`, zeroed. 0, -ENOMEM, -ENOSPC. */
int fmi_guarded_take(char **out, size_t bytes);
/* What lies between the guards of a block that was taken here. */
size_t fmi_guarded_bytes(const char *p);
/* In a process that is no fork of the taker: makes the guards inaccessible here, too. 0 or -errno. */
int fmi_guarded_adopt(char *p, size_t bytes);
/* For the next pool of this process. NULL is ignored. */
void fmi_guarded_give(const char *p);

#endif
