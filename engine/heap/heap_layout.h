/* SPDX-License-Identifier: MIT */
#ifndef FMI_HEAP_LAYOUT_H
#define FMI_HEAP_LAYOUT_H

/*
 * Where things lie in the heap object, and this process's view of it.
 *
 * Layout, in bytes; N = number of spans            who writes
 *        0:  header, one page                      the creator; then any process, the atomics only
 *   table:   N words of 8                          span.h
 *   bitmaps: N times 128                           slab.h
 *   spans:   N times 64 KiB                        whoever owns an allocation
 * An inaccessible page lies between header and table, and between bitmaps and spans: a write that runs off an
 * array's start does not reach the allocator. Sparse: control pages are reserved as `top` grows.
 */

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "mortal.h"
#include "slab.h"

#define FMI_HEAP_MAGIC  0x70616d6b726f6601ull
#define FMI_HEAP_LAYOUT 4u

/* Grouped by who writes when, each group on a line of its own. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct fmi_heap_shm {
    uint64_t magic;
    uint32_t layout;
    uint32_t n_spans;
    uint64_t bytes;
    uint64_t warm_limit;              /* [spans] kept warm before pages are given back */
    alignas(64) _Atomic uint32_t top; /* spans that were ever claimed lie below; grows only */
    _Atomic uint32_t ready;           /* spans whose table words have pages; grows only */
    _Atomic int64_t warm;             /* [spans] a hint: a death may leave it off */
    _Atomic int64_t used;             /* [spans] a hint */
    _Atomic uint64_t outside;         /* bytes of addresses given outside the heap; grows only */
    _Atomic uint64_t n_outside;       /* how often */
    alignas(64) _Atomic uint32_t slab_hint[FMI_SLAB_CLASSES]; /* where a block was last found */
    alignas(64) struct fmi_mortals_shm mortals;               /* mortal.h: the family's threads */
};
static_assert(offsetof(struct fmi_heap_shm, top) == 64, "heap: layout");
static_assert(offsetof(struct fmi_heap_shm, outside) == 88, "heap: layout");
static_assert(offsetof(struct fmi_heap_shm, slab_hint) == 128, "heap: layout");
static_assert(sizeof(struct fmi_heap_shm) <= 4096, "heap: layout");

struct fmi_heap {
    struct fmi_heap_shm *shm;
    _Atomic uint64_t *table;
    struct fmi_slab_shm *bitmaps;
    char *spans;
    uint32_t n_spans; /* private copy: the shared one may be overwritten */
    size_t bytes;
    int fd;
    int wants_huge; /* pages under large runs */
    uint64_t inode;
};

/* `top`; 0 if that cannot be, as the header is overwritten: it is raised after `ready`, and neither passes the table. */
uint32_t fmi_heap_top(const struct fmi_heap *heap);

/* Reserves pages of the heap by address. 0, -ENOMEM, -ENOSPC. */
int fmi_heap_reserve(struct fmi_heap *heap, void *p, size_t bytes);

#endif
