/* SPDX-License-Identifier: MIT */
#ifndef FMI_SLAB_H
#define FMI_SLAB_H

/*
 * Slabs: spans cut into blocks of one size, 64 bytes to 32 KiB. One bit per block, set while it is in use; any process
 * takes a block by setting its bit and frees it by clearing it. A process that dies in between has lost one block; there is
 * nothing else to repair. Bits beyond the last block are set for ever.
 *
 *   bit    | change                       | the process dies here
 *   0      | taken by fetch_or            | before: nothing; after, before the pointer is used: the block is lost
 *   1      | freed by fetch_and           | before: the block is lost; after: nothing
 *
 * The bits lie in the heap's control pages, apart from the blocks. Written by any process, one word per CAS.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_SLAB_CLASSES   10u
#define FMI_SLAB_MIN_BYTES ((size_t)64)
#define FMI_SLAB_MAX_BYTES (FMI_SLAB_MIN_BYTES << (FMI_SLAB_CLASSES - 1))

struct fmi_slab_shm {
    _Atomic uint64_t bits[16];
};
static_assert(sizeof(struct fmi_slab_shm) == 128, "slab: layout");

struct fmi_heap;

/* The class whose blocks hold `bytes` (<= FMI_SLAB_MAX_BYTES); they have FMI_SLAB_MIN_BYTES << class bytes. */
uint32_t fmi_slab_class(size_t bytes);

/* A block of at least `bytes` (<= FMI_SLAB_MAX_BYTES). 0, -ENOMEM, -ENOSPC. */
int fmi_slab_alloc(struct fmi_heap *heap, size_t bytes, void **out);

/* Frees the block at `p` in the slab `span` of class `size_class`. 0, or FM_ECORRUPT: no block in use begins there. */
int fmi_slab_free(struct fmi_heap *heap, uint32_t span, uint32_t size_class, const void *p);

#endif
