/* SPDX-License-Identifier: MIT */
#ifndef FMI_OWNER_H
#define FMI_OWNER_H

/*
 * Which process this is, asked at every call: a page that the kernel clears in every forked child says so without a system call.
 * And the list of this process's handles.
 */

#include <forkmap/map.h>
#include <stdint.h>

/* The pid of this process as long as it has opened a pool itself; 0 in a child that has not. */
uint32_t fmi_owner_pid(void);

/* Makes this process an owner. Returns its pid. */
uint32_t fmi_owner_become(void);

/* A handle for this process, with mark 0: a new one, or a destroyed one. NULL: no memory. */
fm_pool *fmi_owner_new_handle(void);

/* 1 if this process opened `pool` and it is live. Only compares the pointer. */
int fmi_owner_has(const fm_pool *pool);
/* The list of handles, dead ones too: by `next`. It only grows, so a signal handler may walk it. */
fm_pool *fmi_owner_first_handle(void);

#endif
