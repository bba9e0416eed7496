/* SPDX-License-Identifier: MIT */
/* The table of threads, for tests of objects on given bytes: in memory that threads and forked children share. */
#ifndef T_MORTALS_H
#define T_MORTALS_H

#include "mortal.h"

#include <sys/mman.h>

static inline int t_take_shared(void **out, size_t bytes)
{
    *out = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *out == MAP_FAILED ? -1 : 0;
}

/* Before any fork: then the first 256 entries are there for all. */
static inline void t_use_mortals(void)
{
    static struct fmi_mortals_shm *table;
    void *bytes;
    if (table == NULL && t_take_shared(&bytes, sizeof *table) == 0) {
        table = bytes;
        fmi_mortals_use(table, t_take_shared);
    }
    (void)fmi_mortal_self();
}

#endif
