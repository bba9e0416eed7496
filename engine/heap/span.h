/* SPDX-License-Identifier: MIT */
#ifndef FMI_SPAN_H
#define FMI_SPAN_H

/*
 * The span table: who has which 64 KiB of the heap. An allocation above 32 KiB is a run of spans; smaller ones are
 * blocks of a slab, which is a run of one span (slab.h).
 *
 * Each span has one 64-bit word, { kind:4, cold:1, -:3, a:28, b:28 }. A run's first span is its head. Every
 * change of a word is one CAS, or a store by the one who made the head CLAIMING or FREEING.
 *
 *   kind      a      b       meaning                               the process `b` dies here
 *   COLD 0    -      -       free, no pages, reads 0               -
 *   WARM      -      -       free, keeps its pages                 -
 *   CLAIMING  length pid     head of a run that pid is taking      recover: freed
 *   USED      length -       head of a run in use                  stays: others may point to it
 *   SLAB      class  -       a slab                                stays; at most one block is lost
 *   FREEING   length pid     head of a run that pid gives back     recover: given back
 *   TAIL      head   -       a later span of the run at `head`     as its head
 *
 *   COLD|WARM -> CLAIMING -> USED|SLAB -> FREEING -> WARM|COLD      CLAIMING -> FREEING when a neighbour was taken
 *
 * COLD is 0, against the rule that no state is, because the table of a fresh heap is a hole: 128 MiB of words for 1 TiB.
 *
 * INVARIANTS
 *   (1) A TAIL whose `head` is h belongs to the run whose head word is h; h is CLAIMING, USED or FREEING.
 *   (2) While h is CLAIMING or FREEING only process b changes the words of the run.
 *   (3) A span that is COLD, or has the cold bit in a run that is CLAIMING, has no pages that anyone wrote to. In a run
 *       that is FREEING the bit says that its pages are going: if b dies, recover gives them back again.
 *   (4) spans at and after `top` are COLD.
 * No lock, so nothing to repair but the runs of the dead, which their heads name.
 */

#include <stddef.h>
#include <stdint.h>

#define FMI_SPAN_BYTES ((size_t)65536)

enum fmi_span_kind {
    FMI_SPAN_COLD = 0,
    FMI_SPAN_WARM = 1,
    FMI_SPAN_CLAIMING = 2,
    FMI_SPAN_USED = 3,
    FMI_SPAN_SLAB = 4,
    FMI_SPAN_FREEING = 5,
    FMI_SPAN_TAIL = 6
};

struct fmi_heap; /* this process's view of the heap: heap_layout.h */

static inline unsigned fmi_span_kind(uint64_t word)
{
    return (unsigned)(word & 15);
}
static inline uint32_t fmi_span_length(uint64_t word) /* or class, or head */
{
    return (uint32_t)((word >> 8) & 0xfffffff);
}

/*
 * Claims `n` spans in a row, reserves their pages and leaves the head CLAIMING by this process. `zero`: the bytes read 0.
 * Returns the head's index, or -ENOMEM, -ENOSPC with a detail.
 */
int64_t fmi_span_claim(struct fmi_heap *heap, uint32_t n, int zero);

/* CLAIMING -> USED (kind FMI_SPAN_USED, a = length) or SLAB (a = class). */
void fmi_span_commit(struct fmi_heap *heap, uint32_t head, unsigned kind, uint32_t a);

/* USED -> ... -> WARM or COLD. Returns 0, or FM_ECORRUPT if `head` does not begin a run in use. */
int fmi_span_release(struct fmi_heap *heap, uint32_t head);

/* Gives back every run that `dead_pid` had CLAIMING or FREEING. */
void fmi_span_recover(struct fmi_heap *heap, int dead_pid);

#endif
