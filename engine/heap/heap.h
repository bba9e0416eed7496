/* SPDX-License-Identifier: MIT */
#ifndef FMI_HEAP_H
#define FMI_HEAP_H

/*
 * The shared heap: one sparse object, mapped at one address in every process of the family, so that a
 * pointer into it means the same everywhere. See span.h for how it is divided and claimed.
 */

#include <forkmap/status.h>

#define FMI_HEAP_ZERO 1u /* the bytes start as 0 */

/*
 * Allocates `bytes` (> 0), aligned to 64, and to 64 KiB above 32 KiB. The memory is reserved for real.
 * Creates the heap on first use. Returns 0; -ENOMEM or -ENOSPC (detail with numbers), -EFBIG, -EMFILE.
 * Any process of the family; a process killed inside leaves the heap usable.
 */
int fmi_heap_alloc(void **out, size_t bytes, unsigned flags);

/* Where the heap is, for a process that does not inherit it. */
struct fmi_heap_place {
    int fd;
    char *base;
    size_t bytes;
};
/* Makes the heap if there is none. 0; as fmi_heap_alloc; -EBADF: the program has closed its descriptor. */
int fmi_heap_place(struct fmi_heap_place *out);
/* Maps the heap of another process there. 0; -EEXIST: something lies there; -ENOMEM; FM_ECORRUPT: it is no heap of this version. */
int fmi_heap_attach(const struct fmi_heap_place *place);

/* Frees what fmi_heap_alloc gave, in any process. NULL is ignored. FM_ECORRUPT: not an allocation. */
int fmi_heap_free(void *p);

/* 1 if all of [p, p + bytes) lies inside allocations' space of the heap of this family. */
int fmi_heap_contains(const void *p, size_t bytes);

/* 1 if a small allocation (slab.h) of the size of `bytes` may begin at p: safe to read, whatever p is. */
int fmi_heap_is_block(const void *p, size_t bytes);

/* Frees what a dead process had half done. By the process that knows of the death, before it reaps. */
void fmi_heap_recover(int dead_pid);

/*
 * Addresses for `bytes` of memory that is not the heap's and yet has one place in the whole family: a file that is mapped. They are given
 * again only after terabytes of others; whoever maps there must look whether they are free. `n_failed`: how often the answer was of no use, as something lay there; the next
 * is further away each time. `serial` is new at each call. 0; -ENOMEM; FM_ECORRUPT.
 */
int fmi_heap_take_outside(size_t bytes, int n_failed, char **base, uint64_t *serial);

/* 1 if [base, base + bytes) may be what fmi_heap_take_outside() gave. */
int fmi_heap_is_outside(const char *base, size_t bytes);

struct fmi_heap_usage {
    size_t used_bytes, warm_bytes, limit_bytes;
};
void fmi_heap_usage(struct fmi_heap_usage *out);

#endif
